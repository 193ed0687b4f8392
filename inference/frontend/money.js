// Lakh rupees as people in India read them. One lakh is 100,000 rupees, a crore is 100 lakh.

import { locale, say } from "./language.js";

const LAKH = 100000;
const rupeeFormat = new Intl.NumberFormat(locale, { style: "currency", currency: "INR", maximumFractionDigits: 0 });
const lakhFormat = new Intl.NumberFormat(locale, { minimumFractionDigits: 1, maximumFractionDigits: 1 });
const croreFormat = new Intl.NumberFormat(locale, { minimumFractionDigits: 2, maximumFractionDigits: 2 });

// ["78.2", "lakh"] or, from 100 lakh on, ["1.12", "crore"]
export function inWords(price) {
  return price < 100 ? [lakhFormat.format(price), say("lakh")] : [croreFormat.format(price / 100), say("crore")];
}

export function rupees(price) {
  return rupeeFormat.format(Math.round(price * LAKH));
}

export function rupeesEach(amount) {
  return rupeeFormat.format(amount);
}

// "₹61.2 lakh" or "₹1.13 crore"
export function short(price) {
  return `₹${inWords(price).join(" ")}`;
}
