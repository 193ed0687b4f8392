// Why this price: the largest reasons, dollars a carat beside the clarity and all of them, and diamonds that resemble it.

import { count, say } from "./language.js";
import { rupeesEach, short } from "./money.js";

const byId = (id) => document.getElementById(id);

export function hideReasons() {
  byId("why").hidden = true;
  byId("trust").hidden = true;
}

// How close estimates of such diamonds came to the listed prices, if that was measured.
function showTrust(accuracy) {
  byId("trust").hidden = !accuracy;
  if (!accuracy) return;
  const { grade, grade_within_20: within, sentence } = accuracy;
  byId("grade").textContent = grade;
  byId("trust-text").textContent = sentence;
  byId("trust-basis").textContent = say("Confidence {grade}: of the estimates with this grade, {share} were within 20 %.", { grade, share: percent(within) });
}

function percent(share) {
  return `${Math.round(share * 100)} %`;
}

export function showReasons(answer) {
  showTrust(answer.accuracy);
  const { typical_home: typical, reasons, other_reasons: others, dollars_per_carat: each, comparables } = answer;
  byId("typical").textContent = say("A typical home in {place} is estimated at {price}.", { place: typical.place, price: short(typical.estimated_price) });
  const lines = reasons.map((one) => [one.dollars, one.sentence]);
  if (others) lines.push([others, say("everything else together")]);
  byId("reasons").replaceChildren(...lines.map(reason));
  const rows = [[say("This home"), each.home], [typical.place, each.place], [say("Bangalore"), each.city]].filter(([, value]) => value);
  const most = Math.max(...rows.map(([, value]) => value));
  byId("each").replaceChildren(...rows.map(([name, value]) => bar(name, value, most)));
  byId("listings").hidden = !comparables.length;
  byId("alike").replaceChildren(...comparables.map(listing));
  byId("why-notice").textContent = answer.notice ? say("Note: {notice}.", answer) : "";
  byId("why").hidden = false;
}

function element(tag, text, kind) {
  const made = document.createElement(tag);
  made.textContent = text;
  if (kind) made.className = kind;
  return made;
}

function reason([dollars, sentence]) {
  const item = document.createElement("li");
  const amount = `${dollars < 0 ? "−" : "+"}${short(Math.abs(dollars))}`;
  item.append(element("b", amount, dollars < 0 ? "less" : ""), element("span", sentence));
  return item;
}

function row(name, ...cells) {
  const made = document.createElement("tr");
  made.append(Object.assign(element("th", name), { scope: "row" }), ...cells);
  return made;
}

function bar(name, value, most) {
  const drawn = document.createElement("i");
  drawn.style.width = `${(100 * value) / most}%`;
  const cell = document.createElement("td");
  cell.append(drawn);
  return row(name, cell, element("td", rupeesEach(value)));
}

function listing({ place, carat, depth, dollars_per_carat: each, alike }) {
  return row(place, ...[count(carat), count(depth), rupeesEach(each), percent(alike)].map((text) => element("td", text)));
}
