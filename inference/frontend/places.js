// Names of places, found without regard to capitals, blanks, accents and punctuation: "j.p. nagar" is "JP Nagar".

const SHORTEST_BEGINNING = 3;

function letters(text) {
  return text.normalize("NFKC").toLowerCase().replace(/[^\p{L}\p{N}\p{M}]/gu, "");
}

export class Places {
  constructor(names) {
    this.places = names.map((name) => ({ name, letters: letters(name) }));
  }

  // The one listed name that a text is a spelling of, or undefined.
  named(text) {
    const wanted = letters(text);
    const same = this.places.filter((place) => place.letters === wanted);
    return same.length === 1 ? same[0].name : undefined;
  }

  // Names that begin with the text, then those that hold it; when there is none, those that begin most like it.
  like(text) {
    const wanted = letters(text);
    if (!wanted) return [];
    const holding = this.places.filter((place) => place.letters.includes(wanted));
    const rank = (place) => (place.letters.startsWith(wanted) ? 0 : 1);
    holding.sort((a, b) => rank(a) - rank(b) || a.name.localeCompare(b.name));
    for (let length = wanted.length - 1; !holding.length && length >= SHORTEST_BEGINNING; length -= 1) {
      const beginning = wanted.slice(0, length);
      holding.push(...this.places.filter((place) => place.letters.startsWith(beginning)));
    }
    return holding.map((place) => place.name);
  }
}
