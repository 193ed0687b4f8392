"""The import order of the packages, and the rules of layout, read from the sources themselves.

`documentations/architecture.md` explains them. Imports inside functions and under `TYPE_CHECKING` count.
"""

import ast
import json
import re
import subprocess
import sys
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from homeprices import names

ROOT = Path(__file__).parents[2]

LAYERS = [
    {"names", "foreign_text", "input_field", "words"},
    {"errors"},
    {"settings", "files", "tables"},
    {"log", "pricing", "reporting"},
    {"data", "adapters"},
    {"model", "resources", "predictions", "keys"},
    {"registry", "batch", "training", "migrations"},
    {"release"},
    {"experiment"},
    {"drift", "simulation"},
    {"workflows"},
    {"cli"},
]
"""Packages of `homeprices`: each may import only those of an earlier line."""

ABOVE = {"audit", "dags", "inference", "router", "local", "monitoring", "compose", "iac", "benchmarks", "tests"}
"""What stands on the library; it imports none of them."""

ENTRY_POINTS = {f"homeprices/{p}/__main__.py" for p in ("data", "training", "drift", "experiment", "release")}
KEPT_FOR_CALLERS = {"homeprices/database.py", "homeprices/orchestration.py"}  # `python -m homeprices.database`
EXEMPT = ENTRY_POINTS | KEPT_FOR_CALLERS | {"homeprices/__init__.py", "homeprices/__main__.py"}

# No clock, network, bucket or database; named are the files of the package that may.
PURE: dict[str, set[str]] = {
    "data": set(),
    "simulation": set(),
    "drift": {"live_comparison"},
    "experiment": {"exposures", "production_visitors", "collection", "decision_log", "decision_report"},
}
IMPURE_MODULES = {"alembic", "boto3", "botocore", "httpx", "psycopg2", "requests", "socket", "sqlalchemy", "urllib",
                  "homeprices.adapters", "homeprices.registry", "homeprices.release", "homeprices.resources",
                  "homeprices.settings"}  # fmt: skip
CLOCK = re.compile(r"\b(datetime|date|time)\.(now|utcnow|today|time|monotonic|perf_counter|sleep)\(|\butc_now\b")

HEAVY = {
    "sklearn": {"model", "training"},
    "skl2onnx": {"model"},
    "scipy": {"model", "training", "drift", "experiment", "simulation"},
    "pyarrow": {"batch", "data", "tables"},
    "pandera": {"data"},
    "matplotlib": {"training", "reporting"},
}
NEVER_IN_SERVING = {*HEAVY, "airflow", "mlflow", "pandas"}

SERVING = {"names", "foreign_text", "input_field", "words", "errors", "settings", "files", "tables", "log", "pricing",
           "adapters", "resources", "predictions", "registry", "release", "keys"}  # fmt: skip
"""What `inference` and `router` may import of the library."""

LONGEST_FILE = 300
MOST_FILES = 12
LITERALS = {*names.BUNDLE_KIND.values(), *names.MODEL_PREFIX.values()}
LITERALS_MAY_STAND_IN = {"homeprices/names.py", "homeprices/registry/versions.py", "homeprices/settings.py"}
PROGRAMS = ("homeprices", "inference", "router", "monitoring", "local", "dags", "compose", "benchmarks", "audit")


def sources(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def nodes(path: Path) -> tuple[ast.AST, ...]:
    """Return every node of a file's syntax tree."""
    return tuple(ast.walk(ast.parse(path.read_text())))


@cache
def imports(path: Path) -> set[str]:
    """The modules that a file imports, and the names that it imports from them, dotted."""
    dotted: set[str] = set()
    for node in nodes(path):
        if isinstance(node, ast.Import):
            dotted.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno} is a relative import, which these rules cannot read"
            dotted.update([str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)])
    return dotted


def top_level(path: Path) -> set[str]:
    return {name.split(".")[0] for name in imports(path)}


def library_packages(path: Path) -> set[str]:
    """The packages of `homeprices` that a file imports."""
    return {name.split(".")[1] for name in imports(path) if name.startswith("homeprices.")}


def package_of(path: Path) -> str:
    """The package of `homeprices` that a file belongs to; a module of its own counts as one."""
    return path.relative_to(ROOT / "homeprices").parts[0].removesuffix(".py")


def module_imports(path: Path) -> set[str]:
    """`homeprices.package.module` of everything that a file imports of the library."""
    return {".".join(name.split(".")[:3]) for name in imports(path) if name.startswith("homeprices.")}


LAYERED = [path for path in sources("homeprices") if relative(path) not in EXEMPT]


@pytest.mark.parametrize("path", LAYERED, ids=relative)
def test_a_package_imports_only_packages_of_earlier_layers(path: Path) -> None:
    layer = {package: number for number, packages in enumerate(LAYERS) for package in packages}
    package = package_of(path)
    upward = {
        module
        for module in module_imports(path)
        if (other := module.split(".")[1]) != package and layer[other] >= layer[package]
    }
    assert upward == set()


def test_every_package_and_module_has_a_layer() -> None:
    assert {package_of(path) for path in LAYERED} <= set().union(*LAYERS)


@pytest.mark.parametrize("path", sources("homeprices"), ids=relative)
def test_the_library_imports_neither_airflow_nor_flask_nor_what_stands_on_it(path: Path) -> None:
    assert not top_level(path) & ({"airflow", "flask"} | ABOVE)


def test_names_use_the_standard_library_only() -> None:
    assert top_level(ROOT / "homeprices/names.py") <= sys.stdlib_module_names


@pytest.mark.parametrize("package", sorted(PURE))
def test_pure_packages_use_neither_clock_nor_network_nor_storage(package: str) -> None:
    for path in sources(f"homeprices/{package}"):
        if path.stem in PURE[package] or relative(path) in EXEMPT:
            continue
        dotted = imports(path)
        impure = {m for m in IMPURE_MODULES if any(name == m or name.startswith(f"{m}.") for name in dotted)}
        assert (relative(path), impure) == (relative(path), set())
        assert not CLOCK.search(path.read_text()), path


@pytest.mark.parametrize("library", sorted(HEAVY))
def test_a_heavy_library_is_imported_only_where_it_belongs(library: str) -> None:
    users = {package_of(path) for path in sources("homeprices") if library in top_level(path)}
    assert users <= HEAVY[library]


@pytest.mark.parametrize("path", sources("inference", "router"), ids=relative)
def test_serving_and_routing_import_only_what_they_need(path: Path) -> None:
    assert library_packages(path) <= SERVING


@pytest.mark.parametrize(
    ("entry", "never"),
    [
        ("inference.backend.inference_api", NEVER_IN_SERVING),
        ("router.agent", NEVER_IN_SERVING),
        ("homeprices.pricing.predictor", NEVER_IN_SERVING),
        ("monitoring.exporter.__main__", {"matplotlib"}),
    ],
)
def test_serving_and_routing_load_nothing_heavy_and_the_exporter_no_charts(entry: str, never: set[str]) -> None:
    script = f"import {entry}, sys; print(*sorted({{m.split('.')[0] for m in sys.modules}} & {never!r}))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, timeout=120, check=False
    )
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr


def test_dags_import_at_their_top_nothing_heavier_than_the_airflow_sdk() -> None:
    allowed = {"__future__", "airflow", "collections", "dag_defaults", "datetime", "logging", "typing"}
    light = {"homeprices.names", "homeprices.foreign_text", "homeprices.workflows"}
    for path in sources("dags"):
        modules = {
            str(node.module) if isinstance(node, ast.ImportFrom) else node.names[0].name
            for node in ast.parse(path.read_text()).body
            if isinstance(node, ast.Import | ast.ImportFrom)
        }
        assert {m for m in modules if m.split(".")[0] not in allowed} <= light, path


def test_files_can_be_read_in_one_sitting() -> None:
    lines = {relative(path): len(path.read_text().splitlines()) for path in sources(*PROGRAMS)}
    assert {name: count for name, count in lines.items() if count > LONGEST_FILE} == {}


def test_no_two_files_of_the_library_share_a_name() -> None:
    files = [path for path in sources("homeprices") if relative(path) not in KEPT_FOR_CALLERS]
    counted = Counter(path.name for path in files if path.stem not in {"__init__", "__main__"})
    # A command of `cli` is named as the package that it operates, or as the adapter.
    assert {name for name, count in counted.items() if count > 1} == set()


def test_no_package_has_more_than_twelve_files() -> None:
    files = [path for path in sources("homeprices", "inference", "router", "local", "monitoring", "dags")
             if path.stem not in {"__init__", "__main__"}]  # fmt: skip
    counted = Counter(relative(path.parent) for path in files)
    assert {folder: count for folder, count in counted.items() if count > MOST_FILES} == {}


@pytest.mark.parametrize(
    "path", [path for path in sources("homeprices", "inference", "router", "local") if path.stem == "__init__"],
    ids=relative,
)  # fmt: skip
def test_a_package_s_init_holds_a_docstring_and_imports_nothing(path: Path) -> None:
    if path.parent.name in {"cli", "policies"}:
        assert ast.get_docstring(ast.parse(path.read_text()))
        return
    [docstring] = ast.parse(path.read_text()).body
    assert isinstance(docstring, ast.Expr), path


@cache
def literals(path: Path) -> frozenset[str]:
    return frozenset(n.value for n in nodes(path) if isinstance(n, ast.Constant) and isinstance(n.value, str))


@pytest.mark.parametrize(
    "path", [path for path in sources(*PROGRAMS) if relative(path) not in LITERALS_MAY_STAND_IN], ids=relative
)
def test_bundle_kinds_and_model_prefixes_come_from_names(path: Path) -> None:
    assert not LITERALS & literals(path)


def test_the_path_of_a_prediction_comes_from_names() -> None:
    served = [relative(path) for path in sources("homeprices", "inference", "router", "local", "monitoring")
              if names.PREDICT_PATH in literals(path)]  # fmt: skip
    assert served == ["homeprices/names.py"]
    document = json.loads((ROOT / "inference/openapi.json").read_text())
    # `tests/unit/inference/test_contract.py` compares the document's paths with the routes of the service.
    assert {"post"} == {*document["paths"][names.PREDICT_PATH]} == {*document["paths"][f"{names.PREDICT_PATH}/batch"]}
    assert f'"{names.PREDICT_PATH}"' in (ROOT / "inference/frontend/api.js").read_text()


def test_every_fixture_and_every_module_of_support_says_what_it_gives() -> None:
    silent = [
        f"{relative(path)}: {node.name}"
        for path in sources("tests")
        for node in nodes(path)
        if isinstance(node, ast.FunctionDef) and not ast.get_docstring(node)
        and any(ast.unparse(decorator).startswith("pytest.fixture") for decorator in node.decorator_list)
    ]  # fmt: skip
    assert silent == []
    modules = sources("tests/support")
    assert [relative(path) for path in modules if not ast.get_docstring(ast.parse(path.read_text()))] == []
