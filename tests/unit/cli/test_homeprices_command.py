"""The command `homeprices`: help with examples, completion, errors in one line, the earlier names of its groups."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from homeprices.adapters.object_store import MemoryBucket, open_bucket
from homeprices.cli import homeprices, main
from homeprices.resources import Resources
from homeprices.settings import Settings, load_settings, variable_names
from tests.contract.names import run

ROOT = Path(__file__).parents[3]
HEAVY = {"airflow", "boto3", "matplotlib", "mlflow", "numpy", "pandas", "pandera", "scipy", "sklearn", "sqlalchemy"}


def commands(group: click.Group = homeprices, *words: str) -> Iterator[tuple[str, click.Command]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, *words, name)
        else:
            yield " ".join([*words, name]), command


COMMANDS = dict(commands())


def examples(text: str | None) -> list[str]:
    """The lines under `Example:` that are commands of the program."""
    return [line.strip() for line in (text or "").partition("Example:\n")[2].splitlines()]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_shows_examples_that_its_parser_accepts(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*name.split(), "--help"]) == 0
    shown = examples(capsys.readouterr().out)
    assert shown
    for line in shown:
        words = shlex.split(line)
        assert words[: len(name.split()) + 1] == ["homeprices", *name.split()]
        COMMANDS[name].make_context(name, words[len(name.split()) + 1 :])


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_explained(name: str) -> None:
    options = [option for option in COMMANDS[name].params if isinstance(option, click.Option)]
    assert [option.name for option in options if not option.help] == []


@pytest.mark.parametrize(
    ("module", "group"),
    [
        *((f"homeprices.{name}", name) for name in ("data", "training", "drift", "experiment", "release", "database")),
        ("homeprices.orchestration", "airflow"),
    ],
)
def test_the_earlier_name_of_a_group_runs_the_same_group(module: str, group: str) -> None:
    assert run(module, "--help") == run("homeprices", group, "--help")
    assert run(module, "--help")[1].startswith(f"Usage: homeprices {group} ")


def test_the_command_starts_without_heavy_packages() -> None:
    script = f"import homeprices.cli, sys; print(*sorted({{m.split('.')[0] for m in sys.modules}} & {HEAVY!r}))"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


@pytest.mark.parametrize(
    ("line", "completed"),
    [("homeprices rel", "release"), ("homeprices release sh", "share"), ("homeprices airflow trigger tr", "training"),
     ("homeprices data import --n", "--notify")],
)  # fmt: skip
def test_the_shell_completes_commands_options_and_dags(line: str, completed: str) -> None:
    variables = {"_HOMEPRICES_COMPLETE": "bash_complete", "COMP_WORDS": line, "COMP_CWORD": str(line.count(" "))}
    done = subprocess.run([sys.executable, "-m", "homeprices"], cwd=ROOT, env={**os.environ, **variables},
                          capture_output=True, text=True, check=False)  # fmt: skip
    assert f"plain,{completed}" in done.stdout.splitlines()


def test_a_command_uses_the_resources_that_it_is_called_with(capsys: pytest.CaptureFixture[str]) -> None:
    resources = Resources(Settings(), MemoryBucket())
    assert main(["release", "--actor", "ann", "stop"], resources) == 0
    assert capsys.readouterr().out == "No experiment is running.\n"


def test_an_error_is_one_line_after_the_name_of_its_group(capsys: pytest.CaptureFixture[str]) -> None:
    resources = Resources(Settings(), MemoryBucket())
    assert main(["release", "share", "-5"], resources) == 1
    printed = capsys.readouterr()
    assert (printed.out, printed.err.count("\n")) == ("", 1)
    assert printed.err.startswith("release: ")


def test_a_wrong_setting_is_an_error_of_the_command_and_not_of_its_help(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOMEPRICES_NONSENSE", "1")
    assert main(["release", "status"]) == 1
    assert "HOMEPRICES_NONSENSE" in capsys.readouterr().err
    assert main(["release", "status", "--help"]) == 0


@pytest.fixture
def no_stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, and an environment without a setting."""
    for name in variable_names() | {"STACK_DIR"}:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("words", "variable"),
    [
        *((f"release {words}", "MLFLOW_S3_BUCKET") for words in ("status", "share 30", "stop", "resume")),
        *(
            (f"release {words} --reason r", "MLFLOW_S3_BUCKET")
            for words in ("promote", "rollback", "hold", "revert --to BO1")
        ),
        ("experiment status", "MLFLOW_S3_BUCKET"),
        ("airflow trigger training", "HOMEPRICES_AIRFLOW_URL"),
        ("database current", "POSTGRES_HOST"),
        ("database upgrade", "POSTGRES_HOST"),
    ],
)
@pytest.mark.usefixtures("no_stack")
def test_without_a_stack_a_command_says_so_and_asks_nobody(
    words: str, variable: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words.split()) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"{words.split()[0]}: not running: make up (for a stack elsewhere, set {variable}")
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize("module", ["locust -f {root}/tests/load/locustfile.py --headless", "tests.e2e.screenshots"])
def test_without_a_stack_visitors_and_pictures_say_so(no_stack: Path, module: str) -> None:
    command = [sys.executable, "-m", *module.format(root=ROOT).split()]
    done = subprocess.run(
        command, cwd=no_stack, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1
    assert ": not running: make up (for a stack elsewhere, set " in done.stderr


def test_a_bucket_on_aws_is_opened_when_a_setting_names_it() -> None:
    assert open_bucket(load_settings({"MLFLOW_S3_BUCKET": "homes"}, ())).name == "homes"


def test_a_page_that_cannot_take_the_table_is_refused_before_anything_is_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def trained(*_: object) -> None:
        raise AssertionError("estimators were trained for a page that cannot take their table")

    monkeypatch.setattr("homeprices.training.evaluate_files.compare_estimators", trained)
    assert main(["training", "compare", "--page", str(tmp_path / "missing.md")]) == 1
    assert "missing.md" in capsys.readouterr().err
    page = tmp_path / "page.md"
    page.write_text("no marks")
    assert main(["training", "compare", "--page", str(page)]) == 1
    assert "does not hold the marks <!-- synthetic listings -->" in capsys.readouterr().err
