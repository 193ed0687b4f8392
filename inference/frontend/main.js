// The page: a home becomes an estimate, an estimate becomes feedback.

import { Refused, locationNames, predict, sendFeedback } from "./api.js";
import { Combobox } from "./combobox.js";
import { alertIn, check, clearError, clearErrors, showErrors, values, whileBusy } from "./fields.js";
import { lakh, rupees, short } from "./money.js";

const byId = (id) => document.getElementById(id);
const homeForm = byId("home");
const feedbackForm = byId("feedback");
let predictionId = null;

function start() {
  const locations = new Combobox(byId("location"), byId("location-list"), byId("location-count"));
  locationNames().then((names) => locations.offer(names), () => {}); // without names, the field takes any text
  homeForm.addEventListener("submit", (event) => submitted(event, homeForm, "Estimating…", estimate));
  feedbackForm.addEventListener("submit", (event) => submitted(event, feedbackForm, "Sending…", giveFeedback));
  for (const form of [homeForm, feedbackForm]) form.addEventListener("input", (event) => clearError(event.target));
  homeForm.addEventListener("click", step);
  byId("again").addEventListener("click", startAgain);
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
  const homeless = showErrors(form, error.fields);
  const named = Object.keys(error.fields).length;
  const rest = Object.entries(homeless).map(([name, message]) => `${name}: ${message}`);
  alertIn(form, named ? rest.join("; ") : error.message);
}

// The buttons beside a number: for pointers only, because the arrow keys do the same.
function step(event) {
  const by = event.target.dataset?.step;
  if (!by) return;
  const input = event.target.parentElement.querySelector("input");
  if (by > 0) input.stepUp();
  else input.stepDown();
  clearError(input);
}

async function estimate() {
  const home = values(homeForm);
  const answer = await predict(home);
  predictionId = answer.prediction_id;
  showPrice(answer, home);
  showRange(answer);
  showNotice(answer);
  const model = answer.model_version ? `Model ${answer.model_version}, answered` : "Answered";
  byId("made-by").textContent = `${model} in ${Math.max(1, Math.round(answer.response_time_ms))} ms`;
  byId("waiting").hidden = true;
  byId("thanks").hidden = true;
  byId("estimate").hidden = false;
  openFeedback();
  byId("estimate-title").focus({ preventScroll: true });
  byId("estimate").scrollIntoView({ block: "nearest" });
}

function showPrice(answer, home) {
  const area = homeForm.querySelector("[data-price-per]");
  const price = answer.estimated_price;
  byId("lakh").textContent = lakh(price);
  byId("rupees").textContent = rupees(price);
  byId("per-sqft").textContent = `${rupees(price / home[area.name])} per ${area.dataset.pricePer}`;
}

function showRange({ interval, estimated_price: price }) {
  byId("range").hidden = !interval;
  if (!interval) return;
  const { low, high, coverage } = interval;
  byId("low").textContent = short(low);
  byId("high").textContent = short(high);
  const often = Math.round(coverage * 100);
  byId("range-text").textContent = `${often} % of such homes are listed between ${short(low)} and ${short(high)}.`;
  byId("range").style.setProperty("--at", `${(100 * (price - low)) / (high - low || 1)}%`);
}

function showNotice(answer) {
  byId("notice").textContent = answer.notice ?? "";
  byId("notice").hidden = !answer.notice;
}

function openFeedback() {
  feedbackForm.reset();
  clearErrors(feedbackForm);
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
  if (!items.length) throw new Refused("", { rating: "Choose stars, or say below how the estimate compares" });
  for (const remark of items) await giveOne(remark);
  feedbackForm.hidden = true;
  byId("thanks").hidden = false;
  byId("thanks").querySelector("h2").focus();
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
    throw new Refused(error.message, fields);
  }
}

function startAgain() {
  for (const id of ["estimate", "feedback", "thanks"]) byId(id).hidden = true;
  byId("waiting").hidden = false;
  byId("location").select();
  byId("location").focus();
}

start();
