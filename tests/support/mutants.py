"""Mutation testing of the modules that decide: each small change of their code has to fail a test.

    python -m tests.support.mutants [MODULE ...]

Renews the table in documentations/mutants.md from this run and, for other modules that are as they were, from earlier
ones. Exit status 1 when a mutant survives that tests/mutants.json does not explain.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import hashlib
import importlib
import importlib.machinery
import importlib.util
import json
import os
import re
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import CodeType
from typing import Any

ROOT = Path(__file__).parents[2]
EXPLAINED = ROOT / "tests" / "mutants.json"
RESULTS = ROOT / "build" / "mutants"
DOCUMENT = ROOT / "documentations" / "mutants.md"
MARKS = re.compile(r"(<!-- mutants -->\n).*?(<!-- end of mutants -->)", re.DOTALL)

MODULES: dict[str, tuple[str, ...]] = {
    "homeprices/release/promotion.py": ("release/test_promotion.py", "release/test_release_contract.py"),
    "homeprices/release/control_record.py": (
        "release/test_control_record.py",
        "release/test_promotion.py",
        "release/test_trial_levels.py",
        "workflows/test_trial_places.py",
    ),
    "homeprices/release/experiment_record.py": (
        "release/test_control_record.py",
        "release/test_phases.py",
        "release/test_trial_levels.py",
        "workflows/test_trial_places.py",
    ),
    "homeprices/release/holds.py": ("release/test_holds.py",),
    "homeprices/experiment/policies/sequential.py": (
        "experiment/policies/test_sequential.py",
        "experiment/policies/test_segments.py",
        "experiment/policies/test_year.py",
        "experiment/test_policies.py",
    ),
    "homeprices/experiment/policies/composite.py": (
        "experiment/policies/test_composite.py",
        "experiment/test_policies.py",
    ),
    "homeprices/experiment/confidence_sequences.py": ("experiment/test_confidence_sequences.py",),
    "homeprices/experiment/sample_ratio.py": ("experiment/test_sample_ratio.py",),
    "homeprices/predictions/spool.py": ("predictions/test_spool.py",),
    "homeprices/pricing/predictor.py": ("pricing/test_predictor.py",),
    "router/render.py": ("router/test_render.py", "router/test_site_config.py"),
}
"""Each module and the files under tests/unit that test it."""

OTHER: dict[type[ast.AST], type[ast.AST]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In, ast.And: ast.Or, ast.Or: ast.And,
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult, ast.Pow: ast.Mult,
}  # fmt: skip
UNSEEN = {"log", "logger"}
"""Calls of these change nothing that is decided."""

KILLED, SURVIVED = "killed", "survived"
LEAST_SECONDS = 10
HANGS_SECONDS = 300


@dataclass
class Mutant:
    """One change: the line it is on, what it does, and how to compile the module with it."""

    line: int
    text: str
    change: str
    code: Callable[[], CodeType] | None = field(repr=False, default=None)
    outcome: str = ""

    @property
    def name(self) -> str:
        """A name that stays when lines move."""
        return f"{self.text} | {self.change}"


def mutants_of(source: str, path: str) -> list[Mutant]:
    """Return every mutant of a module's source, in the order of its lines."""
    tree, lines = ast.parse(source), source.splitlines()
    found: list[Mutant] = []
    for node in [*_decisive(tree)]:
        for line, change, apply, undo in _changes(node):
            code = partial(_compiled, tree, path, apply, undo)
            found.append(Mutant(line, lines[line - 1].strip(), change, code))
    return sorted(found, key=lambda mutant: mutant.line)


def _compiled(tree: ast.Module, path: str, apply: Callable[[], None], undo: Callable[[], None]) -> CodeType:
    apply()
    code = compile(ast.fix_missing_locations(tree), path, "exec")
    undo()
    return code


def _decisive(node: ast.AST) -> Iterator[ast.AST]:
    """Every node at run time: no annotation, decorator, or block for type checkers."""
    yield node
    for name, value in ast.iter_fields(node):
        if name in {"annotation", "returns", "decorator_list"}:
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.If) and isinstance(child.test, ast.Name) and child.test.id == "TYPE_CHECKING":
                continue
            if isinstance(child, ast.AST):
                yield from _decisive(child)


Change = tuple[int, str, Callable[[], None], Callable[[], None]]


def _changes(node: ast.AST) -> Iterator[Change]:
    """What can be changed at a node: its line, a description, and how to do and undo it."""
    line: int = getattr(node, "lineno", 0)
    if isinstance(node, ast.Compare):
        for at, operator in enumerate(node.ops):
            if type(operator) in OTHER:
                yield _change(line, node.ops, at, OTHER[type(operator)]())
    elif isinstance(node, ast.BoolOp) or (isinstance(node, ast.BinOp) and not _is_text(node)):
        if type(node.op) in OTHER:
            yield _change(line, vars(node), "op", OTHER[type(node.op)]())
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield _change(line, vars(node), "operand", ast.UnaryOp(ast.Not(), node.operand), "not x to x")
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield _change(line, vars(node), "value", not node.value)
    elif isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        yield _change(line, vars(node), "value", node.value + 1)
    elif isinstance(node, ast.Return) and node.value and not isinstance(node.value, ast.Constant):
        yield _change(line, vars(node), "value", ast.Constant(None), "return None")
    for block in ("body", "orelse", "finalbody"):
        statements = getattr(node, block, None)
        for at, statement in enumerate(statements if isinstance(statements, list) else ()):
            if isinstance(statement, ast.Raise) or (isinstance(statement, ast.Expr) and _is_seen_call(statement.value)):
                said = f"no {ast.unparse(statement)[:60]}"
                yield _change(statement.lineno, statements, at, ast.copy_location(ast.Pass(), statement), said)


def _change(line: int, place: Any, at: Any, new: Any, change: str = "") -> Change:
    old = place[at]
    if not change:
        named = [type(one).__name__ if isinstance(one, ast.AST) else str(one) for one in (old, new)]
        change = " to ".join(named)
    return line, change, lambda: place.__setitem__(at, new), lambda: place.__setitem__(at, old)


def _is_text(node: ast.BinOp) -> bool:
    sides = (node.left, node.right)
    return any(
        isinstance(s, ast.JoinedStr) or (isinstance(s, ast.Constant) and isinstance(s.value, str)) for s in sides
    )


def _is_seen_call(node: ast.expr) -> bool:
    if not isinstance(node, ast.Call):
        return False
    first: ast.expr = node.func
    while isinstance(first, ast.Attribute):
        first = first.value
    return not (isinstance(first, ast.Name) and first.id in UNSEEN)


class MutatedModule(importlib.machinery.SourceFileLoader):
    """Loads one module from a mutant's code."""

    def __init__(self, name: str, path: str, code: CodeType) -> None:
        super().__init__(name, path)
        self._code = code

    def get_code(self, fullname: str) -> CodeType:
        """Return the mutant's code."""
        return self._code

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        """Return the module's specification, for `sys.meta_path`."""
        return importlib.util.spec_from_loader(name, self) if name == self.name else None


def _run_tests(module: str, tests: list[str], mutant: Mutant | None, seconds: float) -> int:
    """Run in a forked process: the tests with the mutant in the module's place. Returns pytest's exit status."""
    import pytest

    os.setsid()  # whatever the tests start ends with them
    resource.setrlimit(resource.RLIMIT_CPU, (int(seconds) + 1, int(seconds) + 1))
    name = ".".join(Path(module).with_suffix("").parts)
    if mutant and mutant.code:
        sys.meta_path.insert(0, MutatedModule(name, str(ROOT / module), mutant.code()))
    with Path(os.environ.get("MUTANTS_LOG", os.devnull)).open("a") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)
        options = ["-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "--hypothesis-seed=0", "--assert=plain"]
        return int(pytest.main([*options, *tests]))


def _fork(work: Callable[[], int]) -> int:
    """Return the id of a child that exits with what the work returns."""
    sys.stdout.flush()
    if child := os.fork():
        return child
    status = 3
    try:
        status = work()
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


def _baseline(module: str, tests: list[str]) -> tuple[float, list[str]]:
    """Run the tests without a mutant: processor seconds, and the libraries they load. SystemExit unless they pass."""
    with tempfile.TemporaryDirectory() as folder:
        kept = Path(folder) / "loaded.json"

        def work() -> int:
            status = _run_tests(module, tests, None, 3600)
            used = sum(resource.getrusage(who).ru_utime for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
            files = {name: str(getattr(module, "__file__", None)) for name, module in sys.modules.items()}
            own = {name for name, file in files.items() if file.startswith(str(ROOT)) and "site-packages" not in file}
            loaded = [name for name in files if name not in own | {"__main__"}]
            kept.write_text(json.dumps([used, loaded]))
            return status

        _, status = os.waitpid(_fork(work), 0)
        if status:
            raise SystemExit(f"{' '.join(tests)} fail without any mutant")
        used, loaded = json.loads(kept.read_text())
    return float(used), loaded


def try_all(module: str, tests: list[str], report: Callable[[Mutant], None], workers: int) -> list[Mutant]:
    """Return the module's mutants with their outcomes."""
    used, libraries = _baseline(module, tests)
    for library in libraries:
        with contextlib.suppress(Exception):
            importlib.import_module(library)  # once here instead of in each child
    source, limit = (ROOT / module).read_text(), max(LEAST_SECONDS, 10 * used)
    mutants = mutants_of(source, str(ROOT / module))
    same = Mutant(0, "", "none", partial(compile, source, str(ROOT / module), "exec"))
    if os.waitpid(_fork(lambda: _run_tests(module, tests, same, limit)), 0)[1]:
        raise SystemExit(f"{' '.join(tests)} fail with a mutant of {module} that changes nothing")
    waiting, running = list(reversed(mutants)), dict[int, tuple[Mutant, float]]()
    while waiting or running:
        while waiting and len(running) < workers:
            mutant = waiting.pop()
            child = _fork(lambda mutant=mutant: _run_tests(module, tests, mutant, limit))  # type: ignore[misc]
            running[child] = (mutant, time.monotonic())
        child, status = os.waitpid(-1, os.WNOHANG)
        if child in running:
            mutant, _ = running.pop(child)
            mutant.outcome = SURVIVED if status == 0 else KILLED
            report(mutant)
            continue
        for child, (_, since) in running.items():
            if time.monotonic() > since + HANGS_SECONDS:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(child, signal.SIGKILL)
        time.sleep(0.02)
    return mutants


def _result(module: str) -> Path:
    """Return where the outcomes of a module, as it is now, are kept."""
    digest = hashlib.sha256((ROOT / module).read_bytes()).hexdigest()[:16]
    return RESULTS / f"{module.replace('/', '.')}-{digest}.json"


def _keep(module: str, mutants: list[Mutant]) -> None:
    RESULTS.mkdir(parents=True, exist_ok=True)
    _result(module).write_text(json.dumps([[m.line, m.text, m.change, m.outcome] for m in mutants]))


def _kept() -> dict[str, list[Mutant]]:
    return {
        module: [Mutant(line, text, change, None, outcome) for line, text, change, outcome in json.loads(text_of)]
        for module in MODULES
        if _result(module).exists() and (text_of := _result(module).read_text())
    }


def page(tried: dict[str, list[Mutant]], explained: dict[str, dict[str, str]]) -> str:
    """Return the table of the modules and the list of the survivors."""
    lines = ["| module | mutants | killed | survivors |", "|---|---|---|---|"]
    for module, mutants in tried.items():
        left = [mutant for mutant in mutants if mutant.outcome == SURVIVED]
        lines.append(f"| `{module}` | {len(mutants)} | {len(mutants) - len(left)} | {len(left)} |")
    for module, mutants in tried.items():
        if left := [mutant for mutant in mutants if mutant.outcome == SURVIVED]:
            lines += ["", f"### {module}", "", "| line | change | why no test fails |", "|---|---|---|"]
            for mutant in left:
                why = explained.get(module, {}).get(mutant.name, "")
                text, change = (words.replace("|", "\\|") for words in (mutant.text, mutant.change))
                lines.append(f"| `{text}` | {change} | {why} |")
    return "\n".join(lines) + "\n"


def main(arguments: list[str]) -> int:
    """Try the mutants of the modules that are named, by default of all; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("modules", nargs="*", help="some of " + ", ".join(MODULES))
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args(arguments)
    if unknown := set(options.modules) - set(MODULES):
        raise SystemExit(f"{', '.join(sorted(unknown))}: the modules are {', '.join(MODULES)}")
    os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    os.chdir(ROOT)
    explained: dict[str, dict[str, str]] = json.loads(EXPLAINED.read_text()) if EXPLAINED.exists() else {}
    tried: dict[str, list[Mutant]] = {}
    for module in options.modules or MODULES:

        def report(mutant: Mutant, module: str = module) -> None:
            if mutant.outcome == SURVIVED and mutant.name not in explained.get(module, {}):
                print(f"{module}:{mutant.line}: {mutant.name}", flush=True)

        tests = [f"tests/unit/{test}" for test in MODULES[module]]
        tried[module] = try_all(module, tests, report, options.workers)
        _keep(module, tried[module])
        killed = sum(mutant.outcome == KILLED for mutant in tried[module])
        print(f"{module}: {killed} of {len(tried[module])} mutants are killed", flush=True)
    kept = _kept()
    if kept.keys() >= MODULES.keys():  # else the page would lose what was measured elsewhere
        table = page(kept, explained)
        DOCUMENT.write_text(MARKS.sub(lambda marks: marks[1] + table + marks[2], DOCUMENT.read_text()))
    left = {(module, mutant.name) for module, found in tried.items() for mutant in found if mutant.outcome == SURVIVED}
    return int(any(name not in explained.get(module, {}) for module, name in left))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
