"""The recorded metrics are exported with their labels: dashboards of others read them."""

from __future__ import annotations

import re

import pytest

from tests.contract import golden
from tests.unit.monitoring.named_metrics import series

# Of a metric that is renamed: the recorded line, and the lines that are exported in its place for one release. One of
# them keeps the old name and labels, perhaps beside a new label. With the release after that, the entry goes and
# `python -m tests.contract.golden --renew` records the new names.
_OTHER_NAME = {
    "homeprices_dependency_look_seconds{dependency}": "homeprices_dependency_check_duration_seconds{dependency}",
    "homeprices_dependency_seen_timestamp_seconds{dependency}":
        "homeprices_dependency_last_success_timestamp_seconds{dependency}",
    "homeprices_notices_undelivered{channel}": "homeprices_notifications_failed{channel}",
    **{
        f'model_refused_number{{fault="{fault}",variant="production"}}':
            f'model_rejected_version{{fault="{fault}",variant="production"}}'
        for fault in ("answers", "damaged", "inputs", "slow")
    },
}  # fmt: skip
_OTHER_VALUE = {
    f'{name}="{old}",variant="production"}}': f'{name}="{new}",variant="production"}}'
    for name, old, new in (
        ("prediction_errors_total{reason", "failed", "model_error"),
        ("spool_drained_total{outcome", "refused", "rejected"),
        ("spool_drained_total{outcome", "dropped", "orphaned"),
    )
}
_MORE_LABELS = {
    "homeprices_bundle_created_timestamp_seconds{kind}": "homeprices_bundle_created_timestamp_seconds{kind,variant}",
    "homeprices_bundle_metric{kind,metric}": "homeprices_bundle_metric{kind,metric,variant}",
    "homeprices_bundle_number{kind}": "homeprices_bundle_number{kind,variant}",
    "router_prediction_duration_seconds_bucket{le,variant}":
        "router_prediction_duration_seconds_bucket{assigned_variant,le,variant}",
    "router_prediction_duration_seconds_count{variant}":
        "router_prediction_duration_seconds_count{assigned_variant,variant}",
    "router_prediction_duration_seconds_sum{variant}":
        "router_prediction_duration_seconds_sum{assigned_variant,variant}",
    "router_requests_total{status,variant}": "router_requests_total{assigned_variant,status,variant}",
}  # fmt: skip
RENAMED: dict[str, tuple[str, ...]] = {
    **{old: (old, new) for old, new in (_OTHER_NAME | _OTHER_VALUE).items()},
    **{old: (new,) for old, new in _MORE_LABELS.items()},
}


def missing(recorded: list[str], exported: set[str], renamed: dict[str, tuple[str, ...]]) -> list[str]:
    """The lines that should be exported and are not."""
    wanted = {line for old in recorded for line in renamed.get(old, (old,))}
    return sorted(wanted - exported)


def keeps(old: str, new: str) -> bool:
    """Whether the new line has the old name and all its labels."""
    (name, labels), (new_name, new_labels) = _parts(old), _parts(new)
    return name == new_name and labels <= new_labels


def _parts(line: str) -> tuple[str, set[str]]:
    found = re.fullmatch(r"([a-z0-9_:]+)\{(.*)\}", line)
    assert found, line
    return found[1], set(found[2].split(",")) - {""}


def test_every_recorded_metric_is_exported() -> None:
    assert missing(golden.lines("metrics.txt"), series(), RENAMED) == []


def test_a_renamed_metric_keeps_its_old_name_for_one_release() -> None:
    assert RENAMED.keys() <= set(golden.lines("metrics.txt"))
    assert [old for old, lines in RENAMED.items() if not any(keeps(old, line) for line in lines)] == []


@pytest.mark.parametrize(
    ("exported", "renamed", "lost"),
    [
        ({"a{b}", "c{}"}, {}, []),
        ({"c{}"}, {}, ["a{b}"]),
        ({"a{d}", "c{}"}, {}, ["a{b}"]),
        ({"a{b}", "new{b}"}, {"c{}": ("c{}", "new{b}")}, ["c{}"]),
        ({"a{b,d}", "c{}"}, {"a{b}": ("a{b,d}",)}, []),
    ],
)
def test_what_is_not_exported_is_found(
    exported: set[str], renamed: dict[str, tuple[str, ...]], lost: list[str]
) -> None:
    assert missing(["a{b}", "c{}"], exported, renamed) == lost


@pytest.mark.parametrize(
    ("new", "kept"),
    [('a{b,c="d"}', True), ('a{b,c="d",e}', True), ("a{b}", False), ('z{b,c="d"}', False), ('a{b,c="e"}', False)],
)
def test_a_line_keeps_another_by_name_and_labels(new: str, kept: bool) -> None:
    assert keeps('a{b,c="d"}', new) is kept
