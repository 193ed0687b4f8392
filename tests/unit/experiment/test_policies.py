"""Policies as documents: checked when they are read, and the same after a journey through JSON."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from homeprices.errors import InvalidInput, NotFound
from homeprices.experiment import policies
from homeprices.experiment.policies.base import NOT_ROBUST, UNLIMITED, VoiceRule
from homeprices.experiment.policies.composite import CompositePolicy
from homeprices.experiment.policies.ramp import RampStep
from homeprices.experiment.policies.segments import SegmentRule
from homeprices.experiment.policies.sequential import SequentialPolicy
from homeprices.experiment.policies.year import YearRule

RAMP = (RampStep(share=5), RampStep(share=20))


def test_the_documents_say_what_the_rules_default_to() -> None:
    assert policies.names() == ["composite", "demo", "sequential"]
    assert policies.load("composite") == CompositePolicy()
    assert policies.load("sequential") == SequentialPolicy(segments=SegmentRule(), year=YearRule(), ramp=RAMP)


def test_a_file_is_a_policy_with_its_own_numbers(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("rule: sequential\nname: mine\nversion: 3\nlongest: P21D\nerror_rates: {promote: 0.01}\n")
    policy = policies.load(str(file))
    assert isinstance(policy, SequentialPolicy)
    assert (policy.name, policy.version, policy.longest.days, policy.error_rates.promote) == ("mine", 3, 21, 0.01)
    assert policy.error_rates.harm == SequentialPolicy().error_rates.harm


@pytest.mark.parametrize(
    "policy", [CompositePolicy(), SequentialPolicy(name="mine", drift="wait"), policies.load("sequential")]
)
def test_a_document_in_a_record_is_the_policy_again(policy: policies.AnyPolicy) -> None:
    assert policies.from_document(json.loads(json.dumps(policies.document_of(policy)))) == policy


def test_the_demo_is_the_default_without_a_least_duration_and_bursts() -> None:
    demo = policies.load("demo")
    assert demo == SequentialPolicy(name="demo", least_duration=timedelta(0), burst=None)


@pytest.mark.parametrize("rule", ["sequential", "composite"])
def test_a_document_of_the_first_schema_limits_no_network_and_a_new_one_does(rule: str) -> None:
    old = policies.from_document({"schema_version": 1, "rule": rule})
    assert (old.voices, policies.from_document(policies.document_of(old))) == (UNLIMITED, old)
    assert old.robustness == NOT_ROBUST
    assert policies.from_document({"rule": rule}).voices == VoiceRule()


def test_policies_that_differ_anywhere_have_different_digests() -> None:
    shipped = SequentialPolicy(segments=SegmentRule(), year=YearRule(), ramp=RAMP)
    assert policies.digest(shipped) == policies.digest(policies.load("sequential"))
    assert policies.digest(SequentialPolicy()) != policies.digest(SequentialPolicy(expected_visitors=501))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("rule: lucky", "rule: Input tag 'lucky' found .* 'sequential', 'composite'"),
        ("name: mine", "rule: "),
        ("rule: sequential\nminimum: {exposures: 0}", r"minimum.exposures: .* greater than or equal to 1 \(not 0\)"),
        ("rule: sequential\nmargin: 0.1", "margin: Extra inputs are not permitted"),
        ("rule: composite\npromote_above: .nan", "promote_above"),
        ("rule: sequential\nlongest: P0D", "longest"),
        ("rule: sequential\nleast_duration: PT36H", "must be whole days"),
        ("rule: sequential\nleast_duration: P3D\nlongest: P2D", "least_duration 3 days.* must be at most longest"),
        ("rule: sequential\nvoices: {network_share: 0}", r"voices.network_share: .* greater than 0 \(not 0\)"),
        ("rule: composite\nvoices: {voices_a_day: 0}", "voices.voices_a_day: .* greater than or equal to 1"),
        ("rule: composite\nschema_version: 3", "schema_version: Input should be 1 or 2"),
        ("rule: composite\nsegments: {}", "segments: Extra inputs are not permitted"),
        (
            "rule: sequential\nsegments: {regions: [mars]}",
            r"segments.regions.0: Input should be 'centre', .* \(not 'mars'",
        ),
        ("rule: sequential\nsegments: {regions: [east, east]}", "segments.regions: .* must name each region once"),
        ("rule: sequential\nsegments: {bedrooms: [3, 2]}", r"segments.bedrooms: .* ascending order.* \(not \[3, 2\]"),
        ("rule: sequential\nsegments: {price_lakh: [0]}", "segments.price_lakh: .* must be numbers above 0"),
        ("rule: sequential\nsegments: {bedrooms: [1, 2, 3, 4, 5, 6]}", "segments.bedrooms: .* at most 5 items"),
        (
            "rule: sequential\nsegments: {regions: [], bedrooms: [], price_lakh: [], known_place: false}",
            "segments: .* must divide the visitors by something",
        ),
        ("- rule", "must be a mapping of fields, not list"),
        ("rule: [", "is not YAML"),
        ("rule: !!python/object/apply:os.getcwd []", "is not YAML"),
        ("", "must be a mapping of fields, not NoneType"),
    ],
)
def test_a_wrong_document_is_refused_by_field(text: str, says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        policies.parse(text)


BOTH = ("composite", "sequential")
LIMITS = [
    (BOTH, "version", ["1"], ["0"]),
    (BOTH, "schema_version", ["1", "2"], ["0", "3"]),
    (BOTH, "most_visits_a_day", ["1"], ["0"]),
    (BOTH, "longest", ["PT1S", "P365D"], ["PT0S", "P365DT1S"]),
    (("composite",), "least_recent_requests", ["1"], ["0"]),
    (("composite",), "least_ratings", ["1"], ["0"]),
    (("composite",), "rating_weight", ["0", "1"], ["-0.01", "1.01"]),
    (("composite",), "speed_weight", ["0", "1"], ["-0.01", "1.01"]),
    (("composite",), "slowest_ms", ["0.01"], ["0", ".inf"]),
    (("composite",), "promote_above", ["1"], ["0.99"]),
    (("composite",), "roll_back_below", ["0", "1"], ["-0.01", "1.01"]),
    (("sequential",), "primary.rating_weight", ["0.01", "1"], ["0", "1.01"]),
    (("sequential",), "primary.speed_weight", ["0", "1"], ["-0.01", "1.01"]),
    (("sequential",), "primary.slowest_ms", ["0.01"], ["0", ".inf"]),
    (("sequential",), "minimum.exposures", ["1"], ["0"]),
    (("sequential",), "minimum.ratings", ["1"], ["0"]),
    (("sequential",), "minimum.rated_visitors", ["2"], ["1"]),
    (("sequential",), "margins.promote", ["-1", "1"], ["-1.01", "1.01"]),
    (("sequential",), "margins.harm", ["-1", "1"], ["-1.01", "1.01"]),
    (("sequential",), "expected_visitors", ["0.01", "1e9"], ["0", "1000000001"]),
    (("sequential",), "segments.error_rate", ["0.01"], ["0", "0.5"]),
    (("sequential",), "segments.margin", ["0", "-4"], ["0.01", "-4.01"]),
    (("sequential",), "segments.rated_visitors", ["2"], ["1"]),
    (("sequential",), "segments.expected_visitors", ["0.01", "1e9"], ["0", "1000000001"]),
    (("sequential",), "missing_after", ["PT24H"], ["PT23H59M"]),
    (("sequential",), "least_duration", ["P0D", "P14D"], ["-P1D", "P15D"]),
]


@pytest.mark.parametrize(("rules", "path", "allowed", "refused"), LIMITS, ids=[limit[1] for limit in LIMITS])
def test_each_number_of_a_document_has_its_limits(
    rules: tuple[str, ...], path: str, allowed: list[str], refused: list[str]
) -> None:
    *outer, field = path.split(".")
    for rule in rules:
        # A trial of a second has no whole day in which ratings could not promote.
        rest = f"rule: {rule}\n" + ("least_duration: P0D\n" if path == "longest" and rule == "sequential" else "")
        for value in allowed:
            inner = f"{field}: {value}"
            policies.parse(rest + (f"{outer[0]}: {{{inner}}}" if outer else inner))
        for value in refused:
            inner = f"{field}: {value}"
            with pytest.raises(InvalidInput, match=f"{path}|{field}"):
                policies.parse(rest + (f"{outer[0]}: {{{inner}}}" if outer else inner))


def test_the_defaults_are_those_that_the_documents_state() -> None:
    composite, sequential = CompositePolicy(), SequentialPolicy()
    assert (composite.schema_version, composite.version, composite.most_visits_a_day) == (2, 1, 200)
    assert (sequential.schema_version, sequential.version, sequential.most_visits_a_day) == (2, 1, 200)
    assert (sequential.expected_visitors, sequential.missing_after) == (500, timedelta(hours=24))
    assert (sequential.longest, sequential.least_duration) == (timedelta(days=14), timedelta(days=1))


def test_what_is_no_policy_is_said_to_be_none(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"no policy 'lucky'.*composite, demo, sequential"):
        policies.load("lucky")
    large = tmp_path / "large.yaml"
    large.write_bytes(b"#" * (policies.LARGEST_FILE_BYTES + 1))
    with pytest.raises(InvalidInput, match="at most 65536 bytes"):
        policies.load(str(large))
    large.write_bytes(b"name: \xff")
    with pytest.raises(InvalidInput, match="not UTF-8"):
        policies.load(str(large))
