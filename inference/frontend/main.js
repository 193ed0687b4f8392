// The page: a home becomes an estimate, an estimate becomes feedback.

import { Refused, explain, locationNames, predict, sendFeedback } from "./api.js";
import { homeInAddress, keepInLinks, putIntoAddress } from "./address.js";
import { Combobox } from "./combobox.js";
import { doubts } from "./doubts.js";
import { hideReasons, showReasons } from "./explain.js";
import { alertIn, check, clearError, clearErrors, fill, inThisLanguage, offerUnits, showErrors, values, whileBusy } from "./fields.js";
import { inEnglish, say } from "./language.js";
import { inWords, rupees, short } from "./money.js";

const byId = (id) => document.getElementById(id);
const homeForm = byId("home");
const feedbackForm = byId("feedback");
const locations = new Combobox(byId("location"), byId("location-list"), byId("location-count"));
let predictionId = null;
let estimated = null; // the home of the shown estimate, and its price
let asked = ""; // the feedback that the visitor was asked about

function start() {
  const names = locationNames().then(({ locations: known, inputs, trained_on: data }) => {
    locations.offer(known);
    offerInputs(inputs);
    if (data) byId("trained-on").textContent = say("Learned from {data}.", { data: origin(data) });
  }, () => {}); // without names, the field takes any text
  offerUnits(homeForm);
  homeForm.addEventListener("submit", (event) => submitted(event, homeForm, say("Estimating…"), estimate));
  feedbackForm.addEventListener("submit", (event) => submitted(event, feedbackForm, say("Sending…"), giveFeedback));
  for (const form of [homeForm, feedbackForm]) {
    form.noValidate = true; // the script tells mistakes beside their fields; without it the browser tells them
    form.addEventListener("input", (event) => clearError(event.target));
  }
  for (const kind of ["input", "change"]) homeForm.addEventListener(kind, dimIfChanged);
  homeForm.addEventListener("click", step);
  byId("again").addEventListener("click", startAgain);
  byId("meant").addEventListener("click", takeMeant);
  byId("suggested").addEventListener("click", takeSuggested);
  const languages = byId("languages");
  languages.addEventListener("click", () => keepInLinks(languages.children, values(homeForm)));
  addEventListener("popstate", showAddress);
  if (Object.keys(homeInAddress(homeForm)).length) names.then(showAddress);
}

const IMPORTED = ", imported on ";

function origin(data) {
  const [source, date] = data.split(IMPORTED);
  const listings = source === "synthetic listings" ? say("synthetic listings") : source;
  return date ? say("{listings}, imported on {date}", { listings, date }) : listings;
}

// An input that the served model does not use brings no closer estimate.
function offerInputs(used) {
  if (!used) return;
  const optional = homeForm.querySelector("details");
  for (const input of optional.querySelectorAll("[name]")) input.closest(".field").hidden = !used.includes(input.name);
  optional.hidden = !optional.querySelector(".field:not([hidden])");
}

function showAddress() {
  const home = homeInAddress(homeForm);
  fill(homeForm, home);
  const complete = [...homeForm.querySelectorAll("[required]")].every(({ name }) => home[name]);
  if (complete) homeForm.requestSubmit();
  else showNothing();
}

function submitted(event, form, words, work) {
  event.preventDefault();
  whileBusy(form.querySelector("button.main"), words, async () => {
    const problems = check(form);
    if (Object.keys(problems).length) return void showErrors(form, problems);
    try {
      await work();
    } catch (error) {
      report(form, error);
    }
  });
}

function report(form, error) {
  if (!(error instanceof Refused)) throw error;
  const fromService = error.status > 0;
  const homeless = showErrors(form, fromService ? inThisLanguage(form, error.fields) : error.fields);
  const named = Object.keys(error.fields).length;
  const rest = Object.entries(homeless).map(([name, message]) => `${name}: ${message}`);
  alertIn(form, named && (inEnglish || !rest.length) ? rest.join("; ") : error.message);
}

// The buttons next to a number: for pointers only, because the arrow keys do the same.
function step(event) {
  const by = event.target.dataset?.step;
  if (!by) return;
  const input = event.target.parentElement.querySelector("input");
  if (by > 0) input.stepUp();
  else input.stepDown();
  clearError(input);
  dimIfChanged();
}

// A price beside a home that it was not estimated for would mislead.
function dimIfChanged() {
  const changed = estimated !== null && JSON.stringify(values(homeForm)) !== JSON.stringify(estimated.home);
  for (const id of ["estimate", "why"]) byId(id).classList.toggle("old", changed);
  byId("changed").hidden = !changed;
}

async function estimate() {
  locations.adopt();
  const home = values(homeForm);
  const answer = await predict(home).catch((error) => {
    showNothing();
    throw error;
  });
  putIntoAddress(home);
  predictionId = answer.prediction_id;
  estimated = { home, price: answer.estimated_price };
  dimIfChanged();
  showPrice(answer, home);
  showRange(answer);
  showNotice(answer);
  const facts = { version: answer.model_version, time: Math.max(1, Math.round(answer.response_time_ms)) };
  byId("made-by").textContent = facts.version ? say("Model {version}, answered in {time} ms", facts) : say("Answered in {time} ms", facts);
  byId("waiting").hidden = true;
  byId("thanks").hidden = true;
  byId("estimate").hidden = false;
  openFeedback();
  explainWhenItCan(estimated);
  byId("estimate-title").focus({ preventScroll: true });
  byId("estimate").scrollIntoView({ block: "nearest" });
}

// The price does not wait for its reasons, and stays without them. Reasons of another price, of a model that replaced or
// stood in for the one that answered, are not shown.
async function explainWhenItCan(shown) {
  hideReasons();
  try {
    const answer = await explain(shown.home, predictionId);
    if (shown === estimated && answer.estimated_price === shown.price) showReasons(answer, shown.home);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
  }
}

function showPrice(answer, home) {
  const area = homeForm.querySelector("[data-price-per]");
  const price = answer.estimated_price;
  const [number, unit] = inWords(price);
  byId("lakh").textContent = number;
  byId("price-unit").textContent = say("{unit} rupees", { unit });
  byId("rupees").textContent = rupees(price);
  byId("per-sqft").textContent = say("{price} per {unit}", { price: rupees(price / home[area.name]), unit: area.dataset.pricePer });
}

function showRange({ interval, estimated_price: price, unusual }) {
  byId("range").hidden = !interval;
  if (!interval) return;
  const { low, high, coverage } = interval;
  byId("low").textContent = short(low);
  byId("high").textContent = short(high);
  const facts = { share: Math.round(coverage * 100), low: short(low), high: short(high) };
  byId("range-text").textContent = !unusual
    ? say("{share} % of such homes are listed between {low} and {high}.", facts)
    : say("How often such a home is listed within this range is not known.");
  byId("range").style.setProperty("--at", `${(100 * (price - low)) / (high - low || 1)}%`);
}

function showNotice(answer) {
  const unusual = Object.entries(answer.unusual ?? {}).map(([name, sentence]) => (inEnglish ? sentence : nameOf(name)));
  const notices = unusual.length ? [say("An unusual home. {reasons}. The estimate is a guess.", { reasons: unusual.join(inEnglish ? ". " : ", ") })] : [];
  if (answer.notice && inEnglish) notices.unshift(`${answer.notice}.`);
  else if (!answer.location_known) notices.unshift(say("This model does not know the place; it was priced as another one."));
  byId("notice").textContent = notices.join(" ");
  byId("notice").hidden = !byId("notice").textContent;
  byId("suggestion").hidden = !answer.suggested_location;
  byId("suggested").textContent = answer.suggested_location ?? "";
}

function nameOf(input) {
  return homeForm.elements[input]?.labels[0].textContent ?? input;
}

function takeSuggested() {
  byId("location").value = byId("suggested").textContent;
  homeForm.requestSubmit();
}

function openFeedback() {
  feedbackForm.reset();
  clearErrors(feedbackForm);
  asked = "";
  byId("meant").hidden = true;
  feedbackForm.hidden = predictionId === null; // an estimate that is not on record cannot be rated
}

// One request per kind of feedback; the comment goes with the first.
function remarks() {
  const { rating, verdict, actual_price: price, comment } = values(feedbackForm);
  const items = [];
  if (rating) items.push({ feedback_type: "rating", feedback_value: Number(rating) });
  if (verdict) items.push({ feedback_type: verdict });
  if (price) items.push({ feedback_type: "actual_price", feedback_value: price });
  if (comment && items.length) items[0].feedback_text = comment;
  return items.map((remark) => ({ prediction_id: predictionId, ...remark }));
}

const FIELD_OF_TYPE = { rating: "rating", accurate: "verdict", too_high: "verdict", too_low: "verdict", actual_price: "actual_price" };

async function giveFeedback() {
  const items = remarks();
  if (!items.length) throw new Refused("", { rating: say("Choose stars, or say below how the estimate compares") });
  askOnce(values(feedbackForm));
  for (const remark of items) await giveOne(remark);
  feedbackForm.hidden = true;
  byId("thanks").hidden = false;
  byId("thanks").querySelector("h2").focus();
}

// Feedback that is probably a slip is asked about once; sent a second time, it is taken as it is.
function askOnce(said) {
  const { fields, meant } = doubts(said, estimated.price);
  byId("meant").hidden = !meant;
  if (!Object.keys(fields).length || asked === JSON.stringify(said)) return;
  asked = JSON.stringify(said);
  if (meant) {
    byId("meant").value = meant;
    byId("meant").textContent = say("Yes, {price}", { price: short(meant) });
  }
  throw new Refused("", fields);
}

function takeMeant() {
  byId("actual_price").value = byId("meant").value;
  byId("meant").hidden = true;
  clearError(byId("actual_price"));
  byId("actual_price").focus();
}

async function giveOne(remark) {
  try {
    await sendFeedback(remark);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    const { feedback_value: value, feedback_text: text, ...others } = error.fields;
    const fields = { ...others };
    if (value) fields[FIELD_OF_TYPE[remark.feedback_type]] = value;
    if (text) fields.comment = text;
    throw new Refused(error.message, fields, error.status);
  }
}

function showNothing() {
  for (const id of ["estimate", "why", "feedback", "thanks"]) byId(id).hidden = true;
  byId("waiting").hidden = false;
  estimated = null;
}

function startAgain() {
  showNothing();
  putIntoAddress({});
  byId("location").select();
  byId("location").focus();
}

start();
