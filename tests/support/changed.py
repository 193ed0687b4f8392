"""The test files that a change can reach, by imports and by names of files and modules in strings.

The map is read from the sources, so nothing is kept that could get old. It may name a test too many, never one too
few: `tests/unit/tests/support/test_changed.py` compares it with what Python imports.
"""

from __future__ import annotations

import ast
import re
import subprocess
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROGRAMS = (
    "homeprices",
    "inference",
    "router",
    "local",
    "monitoring",
    "dags",
    "compose",
    "iac",
    "kubernetes",
    "benchmarks",
)
SUITES = ("tests/unit", "tests/infrastructure", "tests/integration", "tests/e2e")
WHOLE_STACK = "tests/e2e/"
RUN_BY_THE_STACK = ("homeprices/", "inference/", "router/", "local/", "monitoring/", "dags/")
HARMLESS = {
    ("tests/support/durations.py", "tests/durations.json"),
    ("tests/support/durations.py", "documentations/automated-testing.md"),
}
"""Read by every run to order its files, and written by `make test-durations`."""
READ_BY_ALL = {"pyproject.toml", "requirements.lock"}
UNTESTED = (".ci/", "documentations/images/", ".gitignore", "LICENSE", "tests/chaos/", "tests/compose/", "tests/load/",
            "tests/durations.json")  # fmt: skip
"""Files that no suite of `make test` reads, unless a string or an import names them."""


def changed_files(since: str) -> set[str]:
    """Return the files that differ from a revision, with those that git does not know yet."""
    differing = _git("diff", "--name-only", since, "--")
    return {*differing, *_git("ls-files", "--others", "--exclude-standard")}


def base() -> str:
    """Return the newest commit of the branch that origin has too; without an origin, the last commit."""
    for branch in ("origin/HEAD", "origin/main"):
        try:
            return _git("merge-base", "HEAD", branch)[0]
        except subprocess.CalledProcessError:
            continue
    return "HEAD"


def reached(changed: Iterable[str]) -> list[str]:
    """Return the test files that the changed files can reach; all of them if it is unknown what reads one of those."""
    users: defaultdict[str, set[str]] = defaultdict(set)
    for file, read in dependencies().items():
        for other in read:
            users[other].add(file)
    every = set(test_files())
    found: set[str] = set()
    for start in changed:
        seen = _all_users(start, users)
        if start in READ_BY_ALL or (seen == {start} and start not in every and not start.startswith(UNTESTED)):
            return sorted(every)
        found |= seen & every
    return sorted(found)


@cache
def dependencies() -> dict[str, set[str]]:
    """Return what each Python file imports, runs or reads by name, and what lies beside a program.

    A function of a `conftest.py` is an entry of its own, `conftest.py::name`, because a fixture's servers concern only
    those who ask for it.
    """
    files = _files()
    tree = _Tree(files)
    found: defaultdict[str, set[str]] = defaultdict(set)
    for file in tree.python:
        for entry, read in tree.read_by(file):
            if (entry, read) not in HARMLESS:
                found[entry].add(read)
        if file.startswith(WHOLE_STACK):
            found[file] |= {other for other in files if other.startswith(RUN_BY_THE_STACK)}
    for file in files - tree.python:  # templates, settings, documents: read by the code of the nearest folder with any
        for owner in tree.nearest(file):
            found[owner].add(file)
    return dict(found)


def test_files() -> list[str]:
    """Return the files of tests that `make test` runs."""
    return sorted(f for f in _files() if f.startswith(SUITES) and f.rpartition("/")[2].startswith("test_"))


def _all_users(start: str, users: dict[str, set[str]]) -> set[str]:
    seen, waiting = {start}, [start]
    while waiting:
        for user in users.get(waiting.pop(), set()) - seen:
            seen.add(user)
            waiting.append(user)
    return seen


class _Tree:
    """The project's files, and what a Python file among them uses."""

    def __init__(self, files: set[str]) -> None:
        self.files = files
        self.python = {file for file in files if file.endswith(".py")}
        self.folders = {folder.as_posix() for file in files for folder in Path(file).parents}
        self.modules = {_module(file): file for file in self.python}
        self.by_folder: defaultdict[str, set[str]] = defaultdict(set)
        for file in self.python:
            self.by_folder[Path(file).parent.as_posix()].add(file)

    def read_by(self, file: str) -> Iterator[tuple[str, str]]:
        """Yield (entry, file that it uses)."""
        text = (ROOT / file).read_text()
        syntax = ast.parse(text)
        conftest = file.endswith("conftest.py")
        functions = [n for n in syntax.body if isinstance(n, ast.FunctionDef)] if conftest else []
        for function in functions:
            entry = f"{file}::{function.name}"
            for name in _imported(function):
                yield from ((entry, other) for other in self._imports(name))
            yield from ((entry, other) for other in self._fixtures(file, function) if other != entry)
            yield entry, file
            syntax.body.remove(function)
            if any("autouse" in ast.unparse(decorator) for decorator in function.decorator_list):
                yield file, entry
        for name in _imported(syntax):
            yield from ((file, other) for other in self._imports(name))
        if file.startswith("tests/"):
            yield from ((file, other) for other in self._fixtures(file, syntax))
        searches = any(word in text for word in ("glob(", "ls-files", "iterdir(", "os.walk"))
        for name in set(_strings(syntax)):
            yield from ((file, other) for other in self._named(file, name, searches))

    def nearest(self, file: str) -> set[str]:
        """Return the Python files of the nearest folder that has any; a file of the root or of `tests` has none."""
        for folder in Path(file).parents:
            if folder.as_posix() not in {".", "tests"} and (owners := self.by_folder.get(folder.as_posix())):
                return owners
        return set()

    def _imports(self, name: str) -> Iterator[str]:
        parts = name.split(".")
        for length in range(1, len(parts) + 1):
            if file := self.modules.get(".".join(parts[:length])):
                yield file

    def _fixtures(self, file: str, syntax: ast.AST) -> Iterator[str]:
        """Yield the conftests of a test, and their functions whose names it has anywhere."""
        nodes = list(ast.walk(syntax))
        asked = {n.arg for n in nodes if isinstance(n, ast.arg)}
        asked |= {n.value for n in nodes if isinstance(n, ast.Constant) and isinstance(n.value, str)}
        asked |= {n.name for n in nodes if isinstance(n, ast.alias)}
        for folder in Path(file).parents:
            if (name := (folder / "conftest.py").as_posix()) in self.files:
                if name != file:
                    yield name
                yield from (f"{name}::{function}" for function in _functions(name) & asked)
        for node in nodes:  # fixtures of another suite, imported by name
            if isinstance(node, ast.ImportFrom) and node.module and node.module.endswith("conftest"):
                name = self.modules[node.module]
                yield from (f"{name}::{alias.name}" for alias in node.names if alias.name in _functions(name))

    def _named(self, file: str, text: str, searches: bool) -> Iterator[str]:
        """Yield what a string names: a file, a folder that a test searches, or a module to run."""
        name, path = text.strip("/"), "/" in text
        test = file.startswith("tests/")
        if name in self.files:
            if test or name.endswith(".py"):
                yield name
        elif name in self.folders and name != ".":
            if test and searches and (path or file.rpartition("/")[2].startswith("test_")):
                yield from (other for other in self.files if other.startswith(f"{name}/"))
        elif "." in name or text.startswith("-m "):  # `python -m name`, `module:function`
            module = name.removeprefix("-m ").partition(":")[0]
            if module in self.modules or f"{module}.__main__" in self.modules:
                yield from self._imports(f"{module}.__main__")


@cache
def _functions(conftest: str) -> set[str]:
    return {node.name for node in ast.parse((ROOT / conftest).read_text()).body if isinstance(node, ast.FunctionDef)}


def _imported(syntax: ast.AST) -> Iterator[str]:
    """Yield the modules that are imported, and what is imported from them; not what only a type checker imports."""
    for node in _run(syntax):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _run(syntax: ast.AST) -> Iterator[ast.AST]:
    if isinstance(syntax, ast.If) and ast.unparse(syntax.test) == "TYPE_CHECKING":
        return
    yield syntax
    for child in ast.iter_child_nodes(syntax):
        yield from _run(child)


def _strings(syntax: ast.AST) -> Iterator[str]:
    """Yield every string and the words of it, `-m name` as one, and paths that are written as `folder / "a" / "b"`."""
    joined: set[ast.AST] = set()
    nodes = list(ast.walk(syntax))
    for node in nodes:
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div) and node not in joined:
            parts: list[str] = []
            side: ast.expr = node
            while isinstance(side, ast.BinOp) and isinstance(side.right, ast.Constant):
                parts.insert(0, str(side.right.value))
                joined |= {side, side.right}
                side = side.left
            yield "/".join(parts) + "/"
        elif isinstance(node, ast.List | ast.Tuple | ast.Call):
            values = node.args if isinstance(node, ast.Call) else node.elts
            words = [str(value.value) for value in values if isinstance(value, ast.Constant)]
            yield from (f"-m {after}" for word, after in pairwise(words) if word == "-m")
    for node in nodes:
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in joined:
            yield from {node.value, *node.value.split()}
            yield from re.findall(r"-m \S+", node.value)


def _module(file: str) -> str:
    return file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


@cache
def _files() -> set[str]:
    listed = _git("ls-files", "--cached", "--others", "--exclude-standard")
    return {name for name in listed if (ROOT / name).is_file()}


def _git(*words: str) -> list[str]:
    done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()
