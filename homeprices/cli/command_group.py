"""Shared by the command groups: errors in one line, examples in help, opened resources.

Command modules import the library inside their functions. So `homeprices --help` needs a fraction of a second, and an
image without scikit-learn and pandas runs the commands that do not use them.
"""

from __future__ import annotations

import getpass
from typing import IO, TYPE_CHECKING, Any

import click

from homeprices.errors import HomePricesError

if TYPE_CHECKING:
    from homeprices.resources import Resources


class Refusal(click.ClickException):
    """A failure with a message for people: printed as it is on standard error, exit code 1."""

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the message."""
        click.echo(self.message, file=file, err=file is None)


class CommandGroup(click.Group):
    """Commands whose HomePricesError or OSError ends the program with one line, which begins with `label`."""

    def __init__(self, *arguments: Any, label: str = "", **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.label = label

    def invoke(self, context: click.Context) -> Any:
        """Run the chosen command. Raises Refusal."""
        try:
            return super().invoke(context)
        except BrokenPipeError:  # the reader of standard output has ended; Click ends quietly
            raise
        except (HomePricesError, OSError) as error:
            raise Refusal(f"{self.label}{error}") from error


def example(*lines: str) -> str:
    """Return the lines as the examples under a command's help."""
    return "\n".join(["\b", "Example:", *(f"  {line}" for line in lines)])


def resources_of(context: click.Context) -> Resources:
    """Return the resources that `main` was called with, else those that the environment names. Raises SettingsError."""
    from homeprices.resources import Resources, open_resources

    return context.obj if isinstance(context.obj, Resources) else open_resources()


def user_name() -> str:
    """Return the name of the person who runs the command, for the record."""
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # a container's user may have no name
        return "unknown"
