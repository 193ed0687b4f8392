// Prices in dollars.

const LOCALE = "en-US";
const dollarFormat = new Intl.NumberFormat(LOCALE, { style: "currency", currency: "USD", maximumFractionDigits: 0 });
const numberFormat = new Intl.NumberFormat(LOCALE, { maximumFractionDigits: 0 });

// ["5,390", ""]: number and unit
export function inWords(price) {
  return [numberFormat.format(price), ""];
}

export function rupees(price) {
  return dollarFormat.format(price);
}

export const rupeesEach = rupees;
export const short = rupees;
