// Why this price: the largest reasons, rupees a square foot beside the place and the city, and listings that resemble it.

import { rupeesEach, short } from "./money.js";

const byId = (id) => document.getElementById(id);

export function hideReasons() {
  byId("why").hidden = true;
}

export function showReasons(answer) {
  const { typical_home: typical, reasons, other_reasons: others, rupees_per_sqft: each, comparables } = answer;
  byId("typical").textContent = `A typical home in ${typical.place} is estimated at ${short(typical.estimated_price)}.`;
  const lines = reasons.map(({ lakh, sentence }) => [lakh, sentence]);
  if (others) lines.push([others, "everything else together"]);
  byId("reasons").replaceChildren(...lines.map(reason));
  const rows = [["This home", each.home], [typical.place, each.place], ["Bangalore", each.city]];
  const known = rows.filter(([name, value], at) => value && rows.findIndex(([other]) => other === name) === at);
  const most = Math.max(...known.map(([, value]) => value));
  byId("each").replaceChildren(...known.map(([name, value]) => bar(name, value, most)));
  byId("listings").hidden = !comparables.length;
  byId("alike").replaceChildren(...comparables.map(listing));
  byId("why-notice").textContent = answer.notice ? `Note: ${answer.notice}.` : "";
  byId("why").hidden = false;
}

function element(tag, text, kind) {
  const made = document.createElement(tag);
  made.textContent = text;
  if (kind) made.className = kind;
  return made;
}

function reason([lakh, sentence]) {
  const item = document.createElement("li");
  const amount = `${lakh < 0 ? "−" : "+"}${short(Math.abs(lakh))}`;
  item.append(element("b", amount, lakh < 0 ? "less" : ""), element("span", sentence));
  return item;
}

function bar(name, value, most) {
  const row = document.createElement("tr");
  const cell = document.createElement("td");
  const drawn = document.createElement("i");
  drawn.style.width = `${(100 * value) / most}%`;
  cell.append(drawn);
  row.append(Object.assign(element("th", name), { scope: "row" }), cell, element("td", rupeesEach(value)));
  return row;
}

function listing({ place, area, bedrooms, rupees_per_sqft: each, alike }) {
  const row = document.createElement("tr");
  const cells = [Math.round(area).toLocaleString("en-IN"), bedrooms, rupeesEach(each), `${Math.round(alike * 100)} %`];
  row.append(Object.assign(element("th", place), { scope: "row" }), ...cells.map((text) => element("td", text)));
  return row;
}
