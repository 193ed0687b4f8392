// Refreshes the state quietly while somebody looks. Without this script the page has a plain link to reload it.
const EVERY_SECONDS = 10;
const age = document.getElementById("age");
const when = age.parentElement;
let reached = true;
let last = Date.now();

function show() {
  const seconds = Math.round((Date.now() - last) / 1000);
  when.classList.toggle("bad", !reached);
  const text = reached ? "Refreshes every 10 s." : `The server does not answer. This is the state of ${seconds} s ago.`;
  if (age.textContent !== text) age.textContent = text;
}

// What can have the focus, by section and address or name: to find the same element in the new state again.
function focusable(state) {
  const keyOf = (one) => [one.closest("section").id, ...["href", "aria-labelledby", "aria-label"].map((name) => one.getAttribute(name))].join();
  return [...state.querySelectorAll("a, [tabindex]")].map((one) => [keyOf(one), one]);
}

function replaceState(text) {
  const fresh = new DOMParser().parseFromString(text, "text/html");
  const [before, after] = [document.getElementById("state"), fresh.getElementById("state")];
  if (!after) throw new Error("this is not the operations page");
  const focused = focusable(before).find(([, one]) => one === document.activeElement)?.[0];
  before.replaceWith(document.adoptNode(after));
  focusable(after).find(([key]) => key === focused)?.[1].focus({ preventScroll: true });
  for (const id of ["token", "version", "on"]) {  // the form itself stays: somebody may be typing
    const [mine, theirs] = [document.getElementById(id), fresh.getElementById(id)];
    if (mine && theirs) [mine.value, mine.textContent] = [theirs.value, theirs.textContent];
  }
  document.title = fresh.title;
}

async function refresh() {
  if (document.hidden) return;
  try {
    const answer = await fetch("/operations", { cache: "no-store", signal: AbortSignal.timeout(15000) });
    if (!answer.ok) throw new Error(answer.status);
    replaceState(await answer.text());
    [reached, last] = [true, Date.now()];
  } catch {
    reached = false;
  }
  show();
}

// One request after the other: a slow answer is not overtaken.
async function run() {
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, EVERY_SECONDS * 1000));
    await refresh();
  }
}

document.addEventListener("visibilitychange", refresh);
show();
run();
