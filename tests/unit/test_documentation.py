"""Everything the documents name exists: links, files, make targets, endpoints, DAGs and modules."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from homeprices import names
from tests.support import document_blocks, recipes
from tests.support.document_blocks import COMMANDS, OTHERS

ROOT = Path(__file__).parents[2]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "documentations").rglob("*.md"))]
FOLDERS = (
    "audit",
    "benchmarks",
    "compose",
    "dags",
    "documentations",
    "homeprices",
    "iac",
    "inference",
    "kubernetes",
    "local",
    "monitoring",
    "router",
    "tests",
)
DIAGRAM = re.compile(r"^```mermaid\n(.*?)^```$", re.M | re.S)
DIFF = re.compile(r"^```diff\n.*?^```$", re.M | re.S)
BLOCK = re.compile(r"```(?:bash|text)\n(.*?)```", re.DOTALL)

MOST_LINES, LONGEST_LINE = 150, 120
GENERATED = re.compile(r"^<!-- (?!not run|end of).+? -->\n.*?^<!-- end of .*?-->\n", re.M | re.S)
LONGER = {"documentations/runbook.md": 490}
"""Each alert links to its section of this page."""


def page_id(page: Path) -> str:
    """Return a page's name in the project."""
    return page.relative_to(ROOT).as_posix()


pages = pytest.mark.parametrize("page", PAGES, ids=page_id)


def text_of(page: Path) -> str:
    """Return a page without the diffs of recipes, which `tests/unit/test_recipes.py` reads."""
    return DIFF.sub("", page.read_text())


def commands(page: Path) -> str:
    """Return what a reader may type: code blocks and inline code."""
    text = text_of(page)
    return "\n".join([*BLOCK.findall(text), *re.findall(r"`([^`\n]+)`", BLOCK.sub("", text))])


def make_targets() -> set[str]:
    makefiles = [ROOT / "Makefile", *ROOT.glob("*/targets.mk"), *ROOT.glob("homeprices/*/targets.mk")]
    return {name for file in makefiles for name in re.findall(r"^([a-z0-9-]+):", file.read_text(), re.MULTILINE)}


def by_hand(page: Path) -> str:
    """Return the lines that a person reads and wrote: a page without generated sections, diagrams and diffs."""
    return DIAGRAM.sub("", GENERATED.sub("", text_of(page)))


@pytest.mark.parametrize("page", document_blocks.PAGES, ids=page_id)
def test_a_page_is_short_and_its_lines_fit_a_screen(page: Path) -> None:
    lines = by_hand(page).splitlines()
    assert len(lines) <= LONGER.get(page_id(page), MOST_LINES)
    prose = re.sub(r"^```.*?^```$", "", by_hand(page), flags=re.M | re.S).splitlines()
    table = ("|", "[![", "![")
    too_long = [line for line in prose if len(line) > LONGEST_LINE and not line.lstrip().startswith(table)]
    assert too_long == []


LISTED_PAGES = [*sorted((ROOT / "documentations").glob("*.md")), ROOT / "iac/README.md", ROOT / "kubernetes/README.md"]
PICTURE = re.compile(r"^!\[[^\]]+\]\([^)]+\)$|^```mermaid$", re.M)


@pytest.mark.parametrize("page", LISTED_PAGES, ids=page_id)
def test_a_page_opens_with_what_it_is_for_and_a_picture(page: Path) -> None:
    title, first, *_ = page.read_text().split("\n\n")
    assert title.startswith("# ") and "\n" not in title
    assert re.match(r"(Use this page|Look up|Find)\b", first), "the first sentence says what the page is for"
    opening = re.split(r"^## ", page.read_text(), flags=re.M)
    assert PICTURE.search("".join(opening[:2]))


LABEL = r"""\[\("[^"\[\]]+"\)\]|\["[^"\[\]]+"\]"""
NODE = rf"[a-z]\w*(?:{LABEL})?"
EDGE = r""" (?:-->|-\.->)(?:\|"[^"|]+"\|)? """
DIAGRAM_LINES = {
    "flowchart": rf"{NODE}(?:{EDGE}{NODE})*|subgraph \w+(?:{LABEL})|end",
    "stateDiagram-v2": r"direction (?:LR|TB)|(?:\[\*\]|\w+) --> (?:\[\*\]|\w+): [\w, ]+",
    "sequenceDiagram": r"participant \w+ as [\w ./-]+|\w+--?>>\w+: [\w:, -]+|Note over \w+(?:,\w+)?: [\w:, -]+",
}
"""Lines that Mermaid draws: the forms that the pages use, by kind of diagram."""


MERMAID_WORDS = {"graph", "end", "default", "style", "class", "click", "subgraph", "flowchart"}


def test_every_diagram_has_only_lines_that_mermaid_draws() -> None:
    diagrams = [(page, text) for page in document_blocks.PAGES for text in DIAGRAM.findall(page.read_text())]
    assert len(diagrams) > 20
    wrong = []
    for page, text in diagrams:
        kind, *lines = text.splitlines()
        form = DIAGRAM_LINES[kind.split()[0]]
        wrong += [f"{page_id(page)}: {line}" for line in lines if not re.fullmatch(form, line.strip())]
        if kind.startswith("flowchart"):
            named = set(re.findall(rf"(\w+)(?:{LABEL})", text))
            words = re.sub(rf"{LABEL}|\|[^|]+\||flowchart \w+|subgraph|^ +end$", "", text, flags=re.M)
            used = set(re.findall(r"\b[a-z]\w*", words))
            wrong += [f"{page_id(page)}: {name} is no part of it" for name in sorted(used - named)]
            wrong += [f"{page_id(page)}: {name} is a word of Mermaid" for name in sorted(used & MERMAID_WORDS)]
    assert wrong == []


def test_no_page_is_exempt_without_need() -> None:
    sizes = {page_id(page): len(by_hand(page).splitlines()) for page in document_blocks.PAGES}
    assert {name: limit for name, limit in LONGER.items() if not MOST_LINES < sizes.get(name, 0) <= limit} == {}


def test_every_block_is_of_a_language_so_that_no_command_escapes_its_test() -> None:
    wrong = [str(block) for block in document_blocks.blocks() if block.language not in COMMANDS | OTHERS]
    assert wrong == []
    fences = sum(page.read_text().count("\n```") for page in document_blocks.PAGES)
    assert len(document_blocks.blocks()) * 2 == fences, "each fence begins or ends a block"
    prompts = [str(block) for block in document_blocks.runnable() if re.search(r"^\$ ", block.text, re.MULTILINE)]
    assert prompts == []


def test_every_command_of_the_reliability_page_names_a_test_that_exists() -> None:
    of_page = [block for block in document_blocks.blocks() if block.page == document_blocks.GENERATED]
    generated = [block.text for block in of_page if block.language in COMMANDS]
    named = re.findall(r"pytest '(tests/[\w/]+\.py)::(\w+)", "\n".join(generated))
    assert len(named) == len(generated) > 20
    assert [name for path, name in named if f"def {name}(" not in (ROOT / path).read_text()] == []


@pages
def test_every_link_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", text_of(page))
    missing = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert missing == []


def test_the_list_of_pages_has_every_page_of_its_folder() -> None:
    text = (ROOT / "documentations/README.md").read_text()
    pages = sorted(path.name for path in (ROOT / "documentations").glob("*.md") if path.name != "README.md")
    assert [name for name in pages if f"]({name})" not in text] == []


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    prose = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.M | re.S)
    titles = re.findall(r"^#+ (.+)$", prose, re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pages
def test_every_link_into_a_page_leads_to_a_heading(page: Path) -> None:
    links = re.findall(r"\]\((?!\w+://)([^)#\s]*)#([^)\s]+)\)", text_of(page))
    found = [(page.parent / name if name else page, anchor) for name, anchor in links]
    wrong = [
        f"{place.name}#{anchor}" for place, anchor in found if place.suffix == ".md" and anchor not in anchors(place)
    ]
    assert wrong == []


@pages
def test_every_make_target_that_is_named_exists(page: Path) -> None:
    named = set(re.findall(r"(?:^|[;&|] *|[A-Z_]+=\S+ )make ([a-z][a-z0-9-]*)", commands(page), re.MULTILINE))
    assert named - make_targets() == set()


@pages
def test_every_module_that_is_run_exists(page: Path) -> None:
    named = set(
        re.findall(r"python -m ((?:audit|homeprices|local|router|monitoring|tests|compose)[a-z_.]*)", commands(page))
    )
    missing = {
        name
        for name in named
        if not any((ROOT / (name.replace(".", "/") + end)).exists() for end in (".py", "/__main__.py"))
    }
    assert missing == set()


@pages
def test_every_file_that_is_named_exists(page: Path) -> None:
    named = set(re.findall(rf"(?<![\w/.-])(?:{'|'.join(FOLDERS)})/[\w/.-]*\w/?(?![\w*{{*-])", commands(page)))
    made = {name for recipe in recipes.recipes() if recipe.name == page.stem for name, _ in recipe.files()}
    assert {name for name in named if not (ROOT / name).exists()} - made == set()


def test_every_term_of_the_glossary_names_a_file_that_exists() -> None:
    rows = re.findall(r"^\| .* \| .* \| (.*) \|$", (ROOT / "documentations/glossary.md").read_text(), re.MULTILINE)
    places = [cell for cell in rows if cell not in {"where it lives", "this page"}]
    assert len(places) > 60
    files = {cell: re.findall(r"`(\w+/[\w/.]+)`", cell) for cell in places}
    assert [cell for cell, paths in files.items() if not paths and "Nginx" not in cell] == []
    assert [path for paths in files.values() for path in paths if not (ROOT / path).exists()] == []


@pages
def test_every_endpoint_that_is_named_exists(page: Path) -> None:
    named = set(re.findall(r"(?<!backend)/api/(?!v2\b)[a-z_/.]*[a-z_]", commands(page)))  # /api/v2 is Airflow's
    assert named - {*endpoints(), "/api/status"} == set(), "the exporter answers /api/status"


def test_every_endpoint_is_documented() -> None:
    page = (ROOT / "documentations/inference.md").read_text()
    assert [endpoint for endpoint in endpoints() if f"{endpoint}`" not in page and f"{endpoint}?" not in page] == []


def endpoints() -> list[str]:
    document = json.loads((ROOT / "inference/openapi.json").read_text())
    return sorted(document["paths"])


def test_every_dag_is_documented() -> None:
    text = "\n".join(page.read_text() for page in PAGES)
    ids = {names.TRAINING_DAG, names.EVALUATION_DAG, names.DRIFT_DAG, names.BATCH_DAG, names.PLACE_PRICES_DAG}
    assert len(ids) == len(list((ROOT / "dags").glob("*_dag.py")))
    assert {name for name in ids if name not in text} == set()


def test_a_decision_record_has_its_four_parts_and_a_number_of_its_own() -> None:
    records = sorted((ROOT / "documentations/decisions").glob("*.md"))
    assert [record.name[:4] for record in records] == [f"{number:04}" for number in range(1, len(records) + 1)]
    for record in records:
        text = record.read_text()
        assert text.startswith(f"# {record.name[:4]}: "), record.name
        assert re.findall(r"^## (.+)$", text, re.M) == [
            "Context", "Choice", "What was measured", "What would change it"
        ], record.name  # fmt: skip


def test_make_help_lists_what_the_readme_uses() -> None:
    shown = subprocess.run(
        ["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True, env={**os.environ, "MAKEFLAGS": ""}
    )
    listed = set(re.findall(r"^ {2}([a-z0-9-]+) ", shown.stdout, re.MULTILINE))
    named = set(re.findall(r"(?:^|`)make ([a-z-]+)", commands(ROOT / "README.md"), re.MULTILINE))
    assert named <= listed
