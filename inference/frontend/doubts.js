// What a visitor is asked about feedback before it is sent: slips of the unit, and answers that contradict each other.

import { count, say } from "./language.js";
import { short } from "./money.js";

const FAR_OFF = 5; // as many times the estimate, or the estimate as many times the price
const NEAR = 3;
const ACCURATE_WITHIN = 0.25;
const CRORE = 100; // lakh
const SPOT_ON = 5;
const POOR = 2; // stars

// { field: question }, and `meant`: the price in lakh that was probably meant.
export function doubts({ rating, verdict, actual_price: price }, estimate) {
  const prices = { price: price && short(price), estimate: short(estimate) };
  if (price && Math.max(price / estimate, estimate / price) >= FAR_OFF) return farOff(price, estimate, prices);
  const stars = Number(rating);
  if (price && verdict === "too_low" && price < estimate) {
    return about("verdict", say("The price, {price}, says that the estimate of {estimate} is not too low.", prices));
  }
  if (price && verdict === "too_high" && price > estimate) {
    return about("verdict", say("The price, {price}, says that the estimate of {estimate} is not too high.", prices));
  }
  if (price && verdict === "accurate" && Math.abs(price / estimate - 1) > ACCURATE_WITHIN) {
    return about("verdict", say("The estimate is {estimate} and the price {price}: is that accurate?", prices));
  }
  if ((stars === SPOT_ON && verdict && verdict !== "accurate") || (stars && stars <= POOR && verdict === "accurate")) {
    const said = { stars: count(stars), verdict: WORDS[verdict] };
    return about("verdict", stars === 1
      ? say("1 star and “{verdict}” contradict each other.", said)
      : say("{stars} stars and “{verdict}” contradict each other.", said));
  }
  return { fields: {} };
}

const WORDS = { too_low: say("too low"), too_high: say("too high"), accurate: say("accurate") };

function about(field, question) {
  return { fields: { [field]: `${question} ${say("If you mean it, send it again.")}` } };
}

function farOff(price, estimate, prices) {
  const meant = price * CRORE;
  if (Math.max(meant / estimate, estimate / meant) <= NEAR) {
    return { ...about("actual_price", say("{price} is far from the estimate. Did you mean crore?", prices)), meant };
  }
  return about("actual_price", say("{price} is far from the estimate of {estimate}.", prices));
}
