// Why this price: the largest reasons, rupees a square foot beside the place and the city, and listings that resemble it.

import { rupeesEach, short } from "./money.js";

const byId = (id) => document.getElementById(id);

export function hideReasons() {
  byId("why").hidden = true;
  byId("trust").hidden = true;
}

const LISTED = {
  unknown: "places that the model does not know",
  up_to_9: "places listed up to 9 times",
  below_10: "places listed up to 9 times or not known",
  "10_to_49": "places listed 10 to 49 times",
  "50_and_more": "places listed 50 times and more",
};
const MOST_BEDROOMS = 5;

// How close estimates of such homes came to the listed prices, if that was measured.
function showTrust(accuracy) {
  byId("trust").hidden = !accuracy;
  if (!accuracy) return;
  const { grade, grade_within_20: within, median_error: error, homes } = accuracy;
  byId("grade").textContent = grade;
  byId("trust-text").textContent = `Half of such estimates were within ${percent(error)} of the listed price.`;
  byId("trust-basis").textContent =
    `Confidence ${grade}: of the estimates with this grade, ${percent(within)} were within 20 %. `
    + `Measured on ${homes.toLocaleString("en-IN")} homes that the model had not seen: ${kindOfHome(accuracy.kind)}.`;
}

function kindOfHome({ listed, bedrooms, price_from: from, price_to: to }) {
  const words = [listed ? LISTED[listed] : "homes of every kind"];
  if (bedrooms) words.push(`${bedrooms}${bedrooms === MOST_BEDROOMS ? " or more" : ""} BHK`);
  if (from && to) words.push(`estimated at ${short(from)} to ${short(to)}`);
  else if (to) words.push(`estimated up to ${short(to)}`);
  else if (from) words.push(`estimated above ${short(from)}`);
  return words.join(", ");
}

function percent(share) {
  return `${Math.round(share * 100)} %`;
}

export function showReasons(answer) {
  showTrust(answer.accuracy);
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
  const cells = [Math.round(area).toLocaleString("en-IN"), bedrooms, rupeesEach(each), percent(alike)];
  row.append(Object.assign(element("th", place), { scope: "row" }), ...cells.map((text) => element("td", text)));
  return row;
}
