// Errors beside the fields they belong to, and the values of a form.

export function check(form) {
  clearErrors(form);
  const problems = {};
  for (const input of form.querySelectorAll("input, select, textarea")) {
    const message = problemOf(input);
    if (message) problems[input.name] = message;
  }
  return problems;
}

function problemOf(input) {
  const { validity, dataset } = input;
  if (validity.valueMissing || (input.required && !input.value.trim() && !validity.badInput)) return dataset.missing;
  if (!validity.valid) return dataset.wrong ?? input.validationMessage;
  return "";
}

// Shows each problem at its field, gives back those that have no field here, and moves to the first.
export function showErrors(form, problems) {
  const homeless = {};
  for (const [name, message] of Object.entries(problems)) {
    if (!showError(form, name, message)) homeless[name] = message;
  }
  const first = form.querySelector("[aria-invalid=true]");
  if (first) {
    first.closest("details")?.setAttribute("open", "");
    first.focus();
  }
  return homeless;
}

function showError(form, name, message) {
  const place = form.querySelector(`#${CSS.escape(name)}-error`);
  if (!place) return false;
  place.textContent = asSentence(message);
  place.hidden = false;
  for (const input of form.querySelectorAll(`[name="${CSS.escape(name)}"]`)) input.setAttribute("aria-invalid", "true");
  return true;
}

export function clearErrors(form) {
  for (const place of form.querySelectorAll(".error")) place.hidden = true;
  for (const input of form.querySelectorAll("[aria-invalid]")) input.removeAttribute("aria-invalid");
  alertIn(form, "");
}

export function clearError(input) {
  const place = document.getElementById(`${input.name}-error`);
  if (place) place.hidden = true;
  for (const one of input.form.querySelectorAll(`[name="${CSS.escape(input.name)}"]`)) one.removeAttribute("aria-invalid");
}

export function alertIn(form, message) {
  const place = form.querySelector("[role=alert]");
  place.textContent = message;
  place.hidden = !message;
}

// What is filled in, by name; numbers as numbers.
export function values(form) {
  const filled = {};
  for (const input of form.querySelectorAll("input, select, textarea")) {
    const chosen = input.type !== "radio" || input.checked;
    const text = input.value.trim();
    if (input.name && chosen && text) filled[input.name] = input.type === "number" ? Number(text) : text;
  }
  return filled;
}

// While it runs, the button says so and a second press does nothing.
export async function whileBusy(button, words, work) {
  if (button.getAttribute("aria-disabled") === "true") return;
  const before = button.textContent;
  button.setAttribute("aria-disabled", "true");
  button.textContent = words;
  try {
    await work();
  } finally {
    button.removeAttribute("aria-disabled");
    button.textContent = before;
  }
}

function asSentence(message) {
  return message.charAt(0).toUpperCase() + message.slice(1);
}
