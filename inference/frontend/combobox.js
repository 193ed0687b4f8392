// A text field with a list of suggestions, after the ARIA pattern "editable combobox with list autocomplete":
// focus stays in the field, arrows move through the list, Enter takes an entry, Escape closes.

import { count, say } from "./language.js";
import { Places } from "./places.js";

const SHOWN = 8;

export class Combobox {
  constructor(input, list, status) {
    this.input = input;
    this.list = list;
    this.status = status;
    this.places = new Places([]);
    this.active = -1;
    input.addEventListener("input", () => this.suggest());
    input.addEventListener("keydown", (event) => this.key(event));
    input.addEventListener("blur", () => this.close());
    // Before the field loses focus, or the list would be gone when the click arrives.
    list.addEventListener("pointerdown", (event) => this.click(event));
  }

  // Who types faster than the names arrive gets the suggestions when they do.
  offer(names) {
    this.places = new Places(names);
    if (this.input.value && this.input.matches(":focus")) this.suggest();
  }

  // The listed name of what was typed, in any spelling; else what was typed.
  adopt() {
    this.input.value = this.places.named(this.input.value) ?? this.input.value;
  }

  suggest() {
    const found = this.places.like(this.input.value).slice(0, SHOWN);
    this.list.replaceChildren(...found.map((name, index) => this.option(name, index)));
    this.activate(-1);
    this.show(found.length > 0);
    this.status.textContent = this.input.value.trim() ? matching(found.length) : "";
  }

  option(name, index) {
    const item = document.createElement("li");
    item.id = `${this.list.id}-${index}`;
    item.setAttribute("role", "option");
    item.setAttribute("aria-selected", "false");
    item.dataset.name = name;
    item.append(...highlighted(name, this.input.value.trim()));
    return item;
  }

  key(event) {
    const moves = { ArrowDown: 1, ArrowUp: -1 };
    if (event.key in moves) {
      event.preventDefault();
      if (this.list.hidden) this.suggest();
      else this.move(moves[event.key]);
    } else if (event.key === "Enter" && this.active >= 0) {
      event.preventDefault();
      this.take(this.list.children[this.active]);
    } else if (event.key === "Escape" && !this.list.hidden) {
      event.preventDefault();
      this.close();
    }
  }

  move(by) {
    const count = this.list.children.length;
    const from = this.active < 0 && by < 0 ? count : this.active;
    if (count) this.activate((from + by + count) % count);
  }

  activate(index) {
    this.active = index;
    [...this.list.children].forEach((item, at) => item.setAttribute("aria-selected", String(at === index)));
    const item = this.list.children[index];
    if (item) {
      this.input.setAttribute("aria-activedescendant", item.id);
      item.scrollIntoView({ block: "nearest" });
    } else {
      this.input.removeAttribute("aria-activedescendant");
    }
  }

  click(event) {
    event.preventDefault();
    const item = event.target.closest("[role=option]");
    if (item) this.take(item);
  }

  take(item) {
    this.input.value = item.dataset.name;
    this.input.dispatchEvent(new Event("change", { bubbles: true }));
    this.close();
  }

  close() {
    this.activate(-1);
    this.show(false);
    this.status.textContent = "";
  }

  show(shown) {
    this.list.hidden = !shown;
    this.input.setAttribute("aria-expanded", String(shown));
  }
}

function matching(number) {
  if (!number) return say("No matching locations");
  return number === 1 ? say("1 matching location") : say("{count} matching locations", { count: count(number) });
}

function highlighted(name, text) {
  const at = name.toLowerCase().indexOf(text.toLowerCase());
  if (!text || at < 0) return [name];
  const mark = document.createElement("mark");
  mark.textContent = name.slice(at, at + text.length);
  return [name.slice(0, at), mark, name.slice(at + text.length)];
}
