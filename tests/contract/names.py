"""The names by which people and programs use the project, as it has them now: settings, make, commands, headers."""

from __future__ import annotations

import contextlib
import io
import os
import re
import runpy
import subprocess
import sys
import warnings
from collections.abc import Iterator
from unittest.mock import patch

from pydantic import AliasChoices

from homeprices.settings import Settings
from tests.contract.golden import ROOT

SUBCOMMANDS = {
    "homeprices.data": ("import", "synthesize"),
    "homeprices.training": ("evaluate", "compare"),
    "homeprices.drift": ("check",),
    "homeprices.experiment": ("simulate", "replay", "status"),
    "homeprices.release": (
        "status",
        "share",
        "stop",
        "promote",
        "rollback",
        "hold",
        "resume",
        "skip",
        "repeat",
        "revert",
    ),
    "homeprices.orchestration": (),
    "homeprices.database": (),
    "local": ("up", "down", "status", "clean", "logs", "restart"),
}
_OPTION = re.compile(r"(?<![\w-])--?[a-z][a-z-]*")
_CHOICES = re.compile(r"[{\[]([a-z]+(?:[,|][a-z]+)+)[}\]]")  # as argparse writes them, and as Click does
_COMMANDS = re.compile(r"^Commands:\n((?:  +.*\n)+)", re.MULTILINE)  # as Click lists them


def environment() -> Iterator[str]:
    """A line for each environment variable of the settings: its name and the default, which a secret has as stars.

    Of several names for one setting each has a line.
    """
    for field in Settings.model_fields.values():
        alias = field.validation_alias
        for name in alias.choices if isinstance(alias, AliasChoices) else [alias]:
            yield f"{name}={'' if field.default is None else field.default}"


def make_targets() -> list[str]:
    """The targets that `make help` lists."""
    plain = {name: value for name, value in os.environ.items() if name != "MAKEFLAGS"}
    shown = subprocess.run(["make", "help"], cwd=ROOT, env=plain, capture_output=True, text=True, check=True).stdout
    return re.findall(r"^ {2}([a-z0-9-]+) ", shown, re.MULTILINE)


def commands() -> Iterator[str]:
    """A line for each option, and each value of a choice, of each command: `homeprices.release share --reason`."""
    for module, subcommands in SUBCOMMANDS.items():
        for command in ([], *([name] for name in subcommands)):
            code, text, _ = run(module, *command, "--help")
            assert code == 0, (module, command)
            choices = {word for found in _CHOICES.findall(text) for word in re.split("[,|]", found)}
            for listed in _COMMANDS.findall(text):
                choices |= {*re.findall(r"^  ([a-z]+)", listed, re.MULTILINE)}
            words = ({*_OPTION.findall(text)} | choices) - {"-m", "-h", "--help"}
            yield from (" ".join([module, *command, word]) for word in words)


def router_names() -> set[str]:
    """Headers, cookies and paths that the router's Nginx reads and writes, in its example configuration."""
    text = (ROOT / "router/nginx.example.conf").read_text(encoding="utf-8")
    found = re.findall(
        r"\b(?:X-[A-Z][A-Za-z-]+|http_x_[a-z_]+|cookie_visitor)\b|location (?:= )?/(?!-/)\S+|Set-Cookie", text
    )
    return set(found)


def run(module: str, *arguments: str) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of `python -m module ...`, run in this process to save seconds."""
    out, err = io.StringIO(), io.StringIO()
    before = os.umask(0)
    os.umask(before)
    with (
        patch.object(sys, "argv", [module, *arguments]),
        patch.dict(os.environ, {"COLUMNS": "200"}),
        warnings.catch_warnings(),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        warnings.filterwarnings("ignore", message=".*found in sys.modules", category=RuntimeWarning)
        try:
            runpy.run_module(module, run_name="__main__", alter_sys=True)
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
        finally:
            os.umask(before)  # a program may set its own
    return code, out.getvalue(), err.getvalue()
