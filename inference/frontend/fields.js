// Errors next to their fields, and the values of a form.

import { count, inEnglish, say } from "./language.js";

export function check(form) {
  clearErrors(form);
  const problems = {};
  for (const input of form.querySelectorAll("input, select, textarea")) {
    const message = problemOf(input);
    if (message) problems[input.name] = message;
  }
  return problems;
}

function problemOf(input) {
  const { validity, dataset } = input;
  if (validity.valueMissing || (input.required && !input.value.trim() && !validity.badInput)) return dataset.missing;
  if (!validity.valid) return dataset.wrong ?? input.validationMessage;
  return "";
}

// What the service says of fields, in the language of the page: of each field here, what the form says of it.
export function inThisLanguage(form, problems) {
  if (inEnglish) return problems;
  const told = {};
  for (const [name, message] of Object.entries(problems)) {
    const { missing, wrong } = form.querySelector(`[name="${CSS.escape(name)}"]`)?.dataset ?? {};
    told[name] = (message === "is required" ? missing : wrong) ?? say("This value is not accepted");
  }
  return told;
}

// Shows each problem at its field, gives back those that have no field here, and moves to the first.
export function showErrors(form, problems) {
  const homeless = {};
  for (const [name, message] of Object.entries(problems)) {
    if (!showError(form, name, message)) homeless[name] = message;
  }
  const first = form.querySelector("[aria-invalid=true]");
  if (first) {
    first.closest("details")?.setAttribute("open", "");
    first.focus();
  }
  return homeless;
}

function showError(form, name, message) {
  const place = form.querySelector(`#${CSS.escape(name)}-error`);
  if (!place) return false;
  place.textContent = asSentence(message);
  place.hidden = false;
  for (const input of form.querySelectorAll(`[name="${CSS.escape(name)}"]`)) input.setAttribute("aria-invalid", "true");
  return true;
}

export function clearErrors(form) {
  for (const place of form.querySelectorAll(".error")) place.hidden = true;
  for (const input of form.querySelectorAll("[aria-invalid]")) input.removeAttribute("aria-invalid");
  alertIn(form, "");
}

export function clearError(input) {
  const place = document.getElementById(`${input.name}-error`);
  if (place) place.hidden = true;
  for (const one of input.form.querySelectorAll(`[name="${CSS.escape(input.name)}"]`)) one.removeAttribute("aria-invalid");
}

export function alertIn(form, message) {
  const place = form.querySelector("[role=alert]");
  place.textContent = message;
  place.hidden = !message;
}

// What is filled in, by name; numbers as numbers.
export function values(form) {
  const filled = {};
  for (const input of form.querySelectorAll("input, select, textarea")) {
    const chosen = input.type !== "radio" || input.checked;
    const text = input.value.trim();
    if (input.name && chosen && text) filled[input.name] = input.type === "number" ? inItsUnit(input, Number(text)) : text;
  }
  return filled;
}

// An area may be typed in another unit than the one that is sent. The options of its unit hold the factor.
function inItsUnit(input, number) {
  const factor = Number(unitOf(input)?.value ?? 1);
  return factor === 1 ? number : Math.round(number * factor * 100) / 100;
}

function unitOf(input) {
  return input.form.querySelector(`[data-unit-of="${CSS.escape(input.name)}"]`);
}

// Makes the choice of a unit visible, and gives its field the limits in that unit.
export function offerUnits(form) {
  for (const unit of form.querySelectorAll("[data-unit-of]")) {
    const input = form.elements[unit.dataset.unitOf];
    const { min, max } = input;
    const wrong = input.dataset.wrong;
    unit.hidden = false;
    unit.previousElementSibling.hidden = true;
    unit.addEventListener("change", () => {
      const factor = Number(unit.value);
      input.min = Math.ceil(min / factor);
      input.max = Math.floor(max / factor);
      const range = { low: input.min, high: count(Number(input.max)), unit: unit.selectedOptions[0].label };
      input.dataset.wrong = factor === 1 ? wrong : say("Enter an area from {low} to {high} {unit}", range);
    });
  }
}

// Fills a form with values in the units that are sent.
export function fill(form, given) {
  for (const input of form.querySelectorAll("[name]")) {
    const unit = unitOf(input);
    if (unit) {
      unit.selectedIndex = 0;
      unit.dispatchEvent(new Event("change"));
    }
    const text = given[input.name] ?? input.defaultValue ?? "";
    input.value = input.type === "number" && Number.isNaN(Number(text)) ? "" : text;
    if (given[input.name]) input.closest("details")?.setAttribute("open", "");
  }
}

// While it runs, the button says so and a second press does nothing.
export async function whileBusy(button, words, work) {
  if (button.getAttribute("aria-disabled") === "true") return;
  const before = button.textContent;
  button.setAttribute("aria-disabled", "true");
  button.textContent = words;
  try {
    await work();
  } finally {
    button.removeAttribute("aria-disabled");
    button.textContent = before;
  }
}

function asSentence(message) {
  return message.charAt(0).toUpperCase() + message.slice(1);
}
