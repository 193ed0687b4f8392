// Why this price: the largest reasons, rupees a square foot beside the place and the city, and listings that resemble it.

import { count, inEnglish, locale, say } from "./language.js";
import { rupeesEach, short } from "./money.js";

const byId = (id) => document.getElementById(id);

export function hideReasons() {
  byId("why").hidden = true;
  byId("trust").hidden = true;
}

const LISTED = {
  unknown: say("places that the model does not know"),
  up_to_9: say("places listed up to 9 times"),
  below_10: say("places listed up to 9 times or not known"),
  "10_to_49": say("places listed 10 to 49 times"),
  "50_and_more": say("places listed 50 times and more"),
};
const MOST_BEDROOMS = 5;

// How close estimates of such homes came to the listed prices, if that was measured.
function showTrust(accuracy) {
  byId("trust").hidden = !accuracy;
  if (!accuracy) return;
  const { grade, grade_within_20: within, median_error: error, homes } = accuracy;
  byId("grade").textContent = grade;
  byId("trust-text").textContent = say("Half of such estimates were within {error} of the listed price.", { error: percent(error) });
  byId("trust-basis").textContent = [
    say("Confidence {grade}: of the estimates with this grade, {share} were within 20 %.", { grade, share: percent(within) }),
    say("Measured on {count} homes that the model had not seen: {kind}.", { count: count(homes), kind: kindOfHome(accuracy.kind) }),
  ].join(" ");
}

function kindOfHome({ listed, bedrooms, price_from: from, price_to: to }) {
  const words = [listed ? LISTED[listed] : say("homes of every kind")];
  const prices = { from: from && short(from), to: to && short(to) };
  if (bedrooms) words.push(bedrooms === MOST_BEDROOMS ? say("{rooms} or more BHK", { rooms: bedrooms }) : say("{rooms} BHK", { rooms: bedrooms }));
  if (from && to) words.push(say("estimated at {from} to {to}", prices));
  else if (to) words.push(say("estimated up to {to}", prices));
  else if (from) words.push(say("estimated above {from}", prices));
  return words.join(", ");
}

function percent(share) {
  return `${Math.round(share * 100)} %`;
}

// The service's sentences are English. In other languages the form says the same of the input that it shows.
function sentenceIn(answer, { input, sentence }, home) {
  if (inEnglish) return sentence;
  const control = document.querySelector(`#home [name="${CSS.escape(input)}"]`);
  const option = [...(control.options ?? [])].find(({ value }) => value === home[input]);
  const number = typeof home[input] === "number" && [home[input].toLocaleString(locale), control.dataset.pricePer].join(" ").trim();
  const value = number || (option?.label ?? home[input]);
  const { place, inputs } = answer.typical_home;
  const name = control.labels[0].textContent;
  return say("{name}: {value}; typical in {place}: {typical}", { name, value, place: nameOf(place), typical: say(inputs[input]) });
}

const CITY = "Bangalore";

function nameOf(place) {
  return place === CITY ? say("Bangalore") : place;
}

export function showReasons(answer, home) {
  showTrust(answer.accuracy);
  const { typical_home: typical, reasons, other_reasons: others, rupees_per_sqft: each, comparables } = answer;
  byId("typical").textContent = say("A typical home in {place} is estimated at {price}.", { place: nameOf(typical.place), price: short(typical.estimated_price) });
  const lines = reasons.map((one) => [one.lakh, sentenceIn(answer, one, home)]);
  if (others) lines.push([others, say("everything else together")]);
  byId("reasons").replaceChildren(...lines.map(reason));
  const rows = [[say("This home"), each.home], [nameOf(typical.place), each.place], [say("Bangalore"), each.city]];
  const known = rows.filter(([name, value], at) => value && rows.findIndex(([other]) => other === name) === at);
  const most = Math.max(...known.map(([, value]) => value));
  byId("each").replaceChildren(...known.map(([name, value]) => bar(name, value, most)));
  byId("listings").hidden = !comparables.length;
  byId("alike").replaceChildren(...comparables.map(listing));
  const notice = inEnglish ? answer.notice : say("this model keeps no listings, so the typical home is that of the whole city");
  byId("why-notice").textContent = answer.notice ? say("Note: {notice}.", { notice }) : "";
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
  const cells = [count(Math.round(area)), bedrooms, rupeesEach(each), percent(alike)];
  row.append(Object.assign(element("th", place), { scope: "row" }), ...cells.map((text) => element("td", text)));
  return row;
}
