// What a visitor is asked about feedback before it is sent: slips of the unit, and answers that contradict each other.

import { short } from "./money.js";

const FAR_OFF = 5; // as many times the estimate, or the estimate as many times the price
const NEAR = 3;
const ACCURATE_WITHIN = 0.25;
const CRORE = 100; // lakh
const SPOT_ON = 5;
const POOR = 2; // stars

// { field: question }, and `meant`: the price in lakh that was probably meant.
export function doubts({ rating, verdict, actual_price: price }, estimate) {
  if (price && Math.max(price / estimate, estimate / price) >= FAR_OFF) return farOff(price, estimate);
  const stars = Number(rating);
  if (price && verdict === "too_low" && price < estimate) return { fields: { verdict: above("low", price, estimate) } };
  if (price && verdict === "too_high" && price > estimate) return { fields: { verdict: above("high", price, estimate) } };
  if (price && verdict === "accurate" && Math.abs(price / estimate - 1) > ACCURATE_WITHIN) {
    return { fields: { verdict: `The estimate is ${short(estimate)} and the price ${short(price)}: is that accurate? ${AGAIN}` } };
  }
  if ((stars === SPOT_ON && verdict && verdict !== "accurate") || (stars && stars <= POOR && verdict === "accurate")) {
    return { fields: { verdict: `${stars} ${stars === 1 ? "star" : "stars"} and “${WORDS[verdict]}” contradict each other. ${AGAIN}` } };
  }
  return { fields: {} };
}

const AGAIN = "If you mean it, send it again.";
const WORDS = { too_low: "too low", too_high: "too high", accurate: "accurate" };

function above(word, price, estimate) {
  return `The price, ${short(price)}, says that the estimate of ${short(estimate)} is not too ${word}. ${AGAIN}`;
}

function farOff(price, estimate) {
  const meant = price * CRORE;
  if (Math.max(meant / estimate, estimate / meant) <= NEAR) {
    return { fields: { actual_price: `${short(price)} is far from the estimate. Did you mean crore? ${AGAIN}` }, meant };
  }
  return { fields: { actual_price: `${short(price)} is far from the estimate of ${short(estimate)}. ${AGAIN}` } };
}
