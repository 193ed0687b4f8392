// The language of the page. Its messages are found by their English text; a page in English carries none.

const carried = document.getElementById("messages");
const messages = carried ? JSON.parse(carried.textContent) : {};

export const inEnglish = document.documentElement.lang === "en";
export const locale = "en-IN"; // of numbers: India groups them alike in each language, and browsers do not know it of all

// The message in this language, with the values in place of {name}.
export function say(text, values = {}) {
  return (messages[text] ?? text).replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}

export function count(number) {
  return number.toLocaleString(locale);
}
