"""The recipes of `documentations/recipes`: pages with a diff, which `git apply PAGE` and the tests apply.

A hunk is found by its lines and not by their numbers, so that a change elsewhere in the file does not matter. To renew
a recipe whose code has moved:

1. `git apply --3way documentations/recipes/NAME.md` in a clean clone, and repair by hand what it says does not apply;
2. run the commands of the page;
3. `.venv/bin/python -m tests.support.recipes NAME` writes the differences of the working tree into the page, and the
   sizes of all recipes into the list of the folder.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDER = Path("documentations/recipes")
LIST = FOLDER / "README.md"
BEGIN, END = "<!-- sizes: written by tests.support.recipes -->\n", "<!-- end of sizes -->\n"
GENERATED = ("inference/openapi.json", "inference/frontend/index", "monitoring/grafana/dashboards/",
             "monitoring/rules/slo.yml", "monitoring/prometheus.yml", "kubernetes/monitoring/",
             "router/nginx.example.conf")  # fmt: skip
"""Left out of the diffs: what a command of the page writes."""
ADVICE = f"the code has moved; {Path(__file__).relative_to(ROOT)} says how to renew the recipe"

_DIFF = re.compile(r"^```diff\n(.*?)^```$", re.M | re.S)
_COMMANDS = re.compile(r"^```bash\n(.*?)^```$", re.M | re.S)
_FILE = re.compile(r"^diff --git a/(\S+) b/\S+\n", re.M)
_HUNK = re.compile(r"^@@ [^\n]*\n", re.M)


class DoesNotApply(Exception):
    """A hunk of a recipe is not in the tree exactly once; the message names recipe, file and line."""


@dataclass(frozen=True)
class Recipe:
    """A page. `text` is all of it."""

    name: str
    text: str

    @property
    def diff(self) -> str:
        """The diff as git reads it."""
        [diff] = _DIFF.findall(self.text)
        return str(diff)

    @property
    def commands(self) -> list[str]:
        """The lines of its block of commands, without the one that applies it."""
        [block] = _COMMANDS.findall(self.text)
        return [line for line in block.splitlines() if not line.startswith("git apply ")]

    def files(self) -> Iterator[tuple[str, list[tuple[str, str]]]]:
        """Yield each file with the (old, new) texts of its hunks; a new file has one hunk whose old text is empty."""
        parts = _FILE.split(self.diff)[1:]
        for name, body in zip(parts[::2], parts[1::2], strict=True):
            yield name, [(_side(hunk, "-"), _side(hunk, "+")) for hunk in _HUNK.split(body)[1:]]

    def size(self) -> tuple[int, int, int]:
        """How many files it touches, and how many lines it adds and removes."""
        lines = [line for part in _HUNK.split(self.diff)[1:] for line in _FILE.split(part)[0].splitlines()]
        return len(_FILE.findall(self.diff)), sum(x[:1] == "+" for x in lines), sum(x[:1] == "-" for x in lines)

    def changes(self, folder: Path) -> dict[str, str]:
        """Return the new text of each file of a copy of the project. Raises DoesNotApply."""
        changed = {}
        for name, hunks in self.files():
            file = folder / name
            text = file.read_text(encoding="utf-8") if file.exists() else ""
            for old, new in hunks:
                if text.count(old) != 1 and (old or text):
                    line = self.text.count("\n", 0, self.text.index(f"b/{name}\n")) + 1
                    found = "is not in it" if old not in text else "is in it more than once"
                    raise DoesNotApply(f"{FOLDER}/{self.name}.md:{line}: {name}: {ADVICE}. This {found}:\n{old}")
                text = text.replace(old, new) if old else new
            changed[name] = text
        return changed

    def apply(self, folder: Path) -> list[str]:
        """Change the files of a copy of the project; their names. Raises DoesNotApply."""
        changed = self.changes(folder)
        for name, text in changed.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text, encoding="utf-8")
        return list(changed)


def _side(hunk: str, sign: str) -> str:
    """One side of a hunk. A line without its first blank is an empty one, as for git."""
    kept = [line for line in hunk.splitlines() if line[:1] in {" ", "", sign}]
    return "".join(f"{line[1:]}\n" for line in kept)


def recipes(root: Path = ROOT) -> list[Recipe]:
    """Return every recipe, by name."""
    pages = sorted(path for path in (root / FOLDER).glob("*.md") if path.name != LIST.name)
    return [Recipe(page.stem, page.read_text(encoding="utf-8")) for page in pages]


def recipe(name: str) -> Recipe:
    """Return the recipe of this name."""
    return next(one for one in recipes() if one.name == name)


def commands() -> list[str]:
    """Return the commands of all recipes, and those of the list, which hold for each."""
    shared = Recipe(LIST.stem, (ROOT / LIST).read_text(encoding="utf-8"))
    return [line for one in [*recipes(), shared] for line in one.commands]


def sizes() -> str:
    """Return the table of the list: recipe, files, lines."""
    rows = ["| recipe | files | lines added | lines removed |", "|---|---|---|---|"]
    for one in recipes():
        title = one.text.partition("\n")[0].removeprefix("# ")
        rows.append(f"| [{title}]({one.name}.md) | {' | '.join(map(str, one.size()))} |")
    return "\n".join(rows) + "\n"


def with_sizes(text: str) -> str:
    """Return the text of the list with the table between its marks."""
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    return f"{before}{BEGIN}{sizes()}{END}{after}"


def main() -> None:
    """Write the differences of the working tree into the page of a recipe, and the table of sizes."""
    page = ROOT / FOLDER / f"{sys.argv[1]}.md"
    left_out = [f":(exclude){name}*" for name in (*GENERATED, FOLDER.as_posix())]
    subprocess.run(["git", "add", "--intent-to-add", "."], cwd=ROOT, check=True)
    command = ["git", "diff", "HEAD", "--unified=2", "--", ".", *left_out]
    diff = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    diff = re.sub(r"^ $", "", diff, flags=re.M)  # no blank at the end of a line; git reads both
    text = page.read_text(encoding="utf-8")
    page.write_text(_DIFF.sub(lambda _: f"```diff\n{diff}```", text), encoding="utf-8")
    (ROOT / LIST).write_text(with_sizes((ROOT / LIST).read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
