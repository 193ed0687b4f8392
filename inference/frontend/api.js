// The requests that the form makes, and readable messages for their errors.

import { inEnglish, say } from "./language.js";

const PATIENCE_MS = 15000;
const EXPLAIN_RETRIES = 2;
const RETRY_MS = 1500;

const TOO_SLOW = say("This took too long. Please try again.");
const AWAY = say("The price service cannot be reached. Are you online?");

let place = "";

// An answer that is no estimate. `fields` says what is wrong with which input; with a status, in the service's English.
export class Refused extends Error {
  constructor(message, fields = {}, status = 0) {
    super(message);
    this.fields = fields;
    this.status = status;
  }
}

export function locationNames() {
  return ask("/api/get_location_names");
}

export function predict(home) {
  return ask("/api/predict_home_price", home);
}

// The explanation of an estimate that is on record; of one that is not, only a trusted network gets one.
export async function explain(home, predictionId) {
  const body = predictionId === null ? home : { ...home, prediction_id: predictionId };
  for (let tries = 1; ; tries++) {
    try {
      return await ask("/api/explain", body);
    } catch (error) {
      if (error.status !== 404 || tries > EXPLAIN_RETRIES) throw error;
      await new Promise((go) => setTimeout(go, RETRY_MS)); // the record is on its way to the database
    }
  }
}

export function sendFeedback(remark) {
  return ask("/api/feedback", remark);
}

async function ask(path, body) {
  const response = await reach(path, body);
  const answer = await readJson(response);
  if (response.ok) return answer;
  throw new Refused(sentence(response, answer), answer.fields ?? {}, response.status);
}

async function reach(path, body) {
  const request = { signal: AbortSignal.timeout(PATIENCE_MS), headers: { Accept: "application/json" } };
  if (body !== undefined) {
    request.method = "POST";
    request.headers["Content-Type"] = "application/json";
    request.body = JSON.stringify(body);
    place = body[document.getElementById("location").name] ?? place; // feedback is about the newest home
    request.headers["X-Home-Place"] = encodeURIComponent(place.normalize("NFKC").toLowerCase().trim().replace(/\s+/g, " "));
  }
  try {
    return await fetch(path, request);
  } catch (error) {
    const slow = error.name === "TimeoutError";
    throw new Refused(slow ? TOO_SLOW : AWAY);
  }
}

async function readJson(response) {
  try {
    return await response.json();
  } catch {
    return {};
  }
}

function sentence(response, answer) {
  const wait = response.headers.get("Retry-After");
  if (response.status === 429) return say("That was a lot at once. Please wait a moment and try again.");
  if (response.status >= 500 && wait) return say("No answer at the moment. Please try again in {wait} seconds.", { wait });
  if (response.status >= 500) return say("No answer at the moment. Please try again.");
  return (inEnglish && answer.error) || say("The service did not accept this (status {status}).", response);
}
