"""`make env`: generated and kept values, and the file's permissions."""

from __future__ import annotations

import base64
import stat
from pathlib import Path

import pytest
from dotenv import dotenv_values

from compose.make_env import SECRETS, completed, main
from homeprices.settings import load_settings


def write(folder: Path, example: str = "", env: str | None = None) -> list[str]:
    (folder / ".env.example").write_text(example)
    if env is not None:
        (folder / ".env").write_text(env)
    return ["--file", str(folder / ".env"), "--example", str(folder / ".env.example")]


def test_every_secret_is_generated_and_none_twice(tmp_path: Path) -> None:
    assert main(write(tmp_path)) == 0
    values = dotenv_values(tmp_path / ".env")
    assert set(values) == {*SECRETS, "HOMEPRICES_AIRFLOW_PASSWORD"}
    generated = [values[name] for name in SECRETS]
    assert len(set(generated)) == len(generated) and all(len(value or "") >= 32 for value in generated)
    assert len(base64.urlsafe_b64decode(values["AIRFLOW_FERNET_KEY"] or "")) == 32


def test_only_its_owner_can_read_it_also_when_it_was_open_before(tmp_path: Path) -> None:
    arguments = write(tmp_path, env="POSTGRES_PASSWORD=mine\n")
    (tmp_path / ".env").chmod(0o644)
    main(arguments)
    assert stat.S_IMODE((tmp_path / ".env").stat().st_mode) == 0o600


def test_what_is_set_is_kept_with_its_comments_and_a_second_run_changes_nothing(tmp_path: Path) -> None:
    arguments = write(tmp_path, env="# mine\nPOSTGRES_PASSWORD=mine  # since May\nROUTER_PORT=7777\n")
    main(arguments)
    first = (tmp_path / ".env").read_text()
    assert first.startswith("# mine\nPOSTGRES_PASSWORD=mine  # since May\nROUTER_PORT=7777\n")
    main(arguments)
    assert (tmp_path / ".env").read_text() == first


@pytest.mark.parametrize("placeholder", ["", "change-me", "CHANGEME", "<secret>", '""', "  # at least 16 characters"])
def test_a_placeholder_of_the_example_is_replaced_in_its_place(placeholder: str) -> None:
    text, names = completed(f"# Key\nHOMEPRICES_VISITOR_KEY={placeholder}\nROUTER_PORT=7000\n")
    lines = text.splitlines()
    assert "HOMEPRICES_VISITOR_KEY" in names
    assert lines[0] == "# Key" and lines[2] == "ROUTER_PORT=7000"
    assert len(lines[1]) == len("HOMEPRICES_VISITOR_KEY=") + 32


def test_a_line_that_was_commented_out_becomes_active() -> None:
    text, _ = completed("# POSTGRES_PASSWORD=\n")
    assert text.count("POSTGRES_PASSWORD=") == 1 and text.startswith("POSTGRES_PASSWORD=")


@pytest.mark.parametrize(
    ("bind", "known"), [("", True), ("127.0.0.1", True), ("0.0.0.0", False), ("192.168.1.5", False)]
)
def test_airflow_has_the_known_password_only_while_no_other_machine_can_reach_it(bind: str, known: bool) -> None:
    text, _ = completed(f"BIND_ADDRESS={bind}\nHOMEPRICES_AIRFLOW_PASSWORD=airflow\n")
    assert ("HOMEPRICES_AIRFLOW_PASSWORD=airflow\n" in text) is known


def test_the_settings_of_this_project_accept_the_file(tmp_path: Path) -> None:
    main(write(tmp_path))
    values = {name: value for name, value in dotenv_values(tmp_path / ".env").items() if value is not None}
    assert load_settings(values, ()).visitor_key.get_secret_value()


def test_compose_in_the_monitoring_folder_reads_the_same_file(tmp_path: Path) -> None:
    (tmp_path / "monitoring").mkdir()
    main(write(tmp_path))
    assert (tmp_path / "monitoring" / ".env").read_text() == (tmp_path / ".env").read_text()
