"""Which metrics a PromQL expression names, as far as the expressions of this project go."""

from __future__ import annotations

import re

_TEXT = re.compile(r'"[^"]*"')
_MATCHERS_AND_RANGES = re.compile(r"\{[^{}]*\}|\[[^\]]*\]")
_LABELS = re.compile(r"\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)")
_NAME = re.compile(r"(?<![\w:])[a-zA-Z_:][\w:]*(?![\w:])(?!\s*\()")
_WORDS = {"and", "or", "unless", "offset", "bool"}


def metric_names(expr: str) -> set[str]:
    """The metrics, without functions, labels and keywords: {"up"} for `sum by (job) (up{job="a"}) > bool 0`."""
    bare = _LABELS.sub(" ", _MATCHERS_AND_RANGES.sub("", _TEXT.sub('""', expr)))
    return set(_NAME.findall(bare)) - _WORDS
