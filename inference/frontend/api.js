// The four requests that the form makes, and readable messages for their errors.

const PATIENCE_MS = 15000;

// An answer that is no estimate: `fields` says what is wrong with which input, `message` the rest.
export class Refused extends Error {
  constructor(message, fields = {}) {
    super(message);
    this.fields = fields;
  }
}

export function locationNames() {
  return ask("/api/get_location_names");
}

export function predict(home) {
  return ask("/api/predict_home_price", home);
}

export function sendFeedback(remark) {
  return ask("/api/feedback", remark);
}

async function ask(path, body) {
  const response = await reach(path, body);
  const answer = await readJson(response);
  if (response.ok) return answer;
  throw new Refused(sentence(response, answer), answer.fields ?? {});
}

async function reach(path, body) {
  const request = { signal: AbortSignal.timeout(PATIENCE_MS), headers: { Accept: "application/json" } };
  if (body !== undefined) {
    request.method = "POST";
    request.headers["Content-Type"] = "application/json";
    request.body = JSON.stringify(body);
  }
  try {
    return await fetch(path, request);
  } catch (error) {
    const slow = error.name === "TimeoutError";
    throw new Refused(slow ? "This took too long. Please try again." : "The price service cannot be reached. Are you online?");
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
  if (response.status === 429) return "That was a lot at once. Please wait a moment and try again.";
  if (response.status >= 500) return `No answer at the moment.${wait ? ` Please try again in ${wait} seconds.` : " Please try again."}`;
  return answer.error ?? `The service answered ${response.status}.`;
}
