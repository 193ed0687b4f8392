"""YAML as people write it: long queries as blocks, nothing as an alias of something else."""

from __future__ import annotations

from typing import Any

import yaml


class _Dumper(yaml.SafeDumper):  # type: ignore[misc]
    """`yaml.SafeDumper` without aliases, with literal blocks for texts of several lines."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - as PyYAML calls it
        return True


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_Dumper.add_representer(str, _text)


def dump(document: Any) -> str:
    """The document in YAML, in the order it was made in."""
    return str(yaml.dump(document, Dumper=_Dumper, sort_keys=False, width=140, allow_unicode=True))
