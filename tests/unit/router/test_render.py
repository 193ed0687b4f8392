"""The text of the configuration. tests/integration/router runs it under Nginx."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import pytest

from homeprices.errors import InvalidInput
from homeprices.release.experiment_record import ControlRecord
from router.render import TEMPLATE, example, fill_template, is_split, render, revision_of
from router.site_config import NO_ADDRESS, RouterKey, RouterSite

SITE = RouterSite("127.0.0.1:7000", ("127.0.0.1:6001",), ("127.0.0.1:6002",), ("127.0.0.0/8",), Path("/state/router"))
RUNNING = ControlRecord(
    state="running", experiment="BO1-CO1", production="BO1", candidate="CO1", salt="ab12", share=20, epoch=3
)


def test_the_committed_example_is_up_to_date() -> None:
    committed = TEMPLATE.with_name("nginx.example.conf").read_text(encoding="utf-8")
    assert committed == example(), "stale: python -m router.render > router/nginx.example.conf"


def test_equal_values_give_equal_text_and_others_another_revision() -> None:
    text = render(RUNNING, SITE)
    assert text == render(RUNNING.model_copy(update={"reason": "another", "updated_by": "x"}), SITE)
    changed = [
        render(RUNNING.model_copy(update={"share": 30.0}), SITE),
        render(RUNNING.model_copy(update={"epoch": 4}), SITE),
        render(RUNNING, replace(SITE, listen="127.0.0.1:7001")),
    ]
    assert len({revision_of(one) for one in [text, *changed]}) == 4


def test_the_revision_is_in_the_text_that_it_names() -> None:
    text = render(RUNNING, SITE)
    assert re.fullmatch(r"[0-9a-f]{12}", revision_of(text))
    assert "{{" not in text
    assert revision_of("events {}") == ""


def test_the_candidate_is_listed_first_with_two_decimals() -> None:
    text = render(RUNNING.model_copy(update={"share": 12.346}), SITE)
    block = re.search(r'split_clients "ab12:\$visitor" \$split_variant \{\n(.*?)\n    \}', text, re.DOTALL)
    assert block is not None
    assert [line.strip() for line in block[1].splitlines()] == ["12.35% candidate;", "* production;"]


@pytest.mark.parametrize(
    "record",
    [
        ControlRecord(),
        RUNNING.model_copy(update={"state": "stopped", "share": 0.0}),
        RUNNING.model_copy(update={"share": 0.004}),  # Nginx rejects a share of 0 %
    ],
    ids=["idle", "stopped", "smaller than Nginx can say"],
)
def test_without_a_share_there_is_no_split(record: ControlRecord) -> None:
    assert not is_split(record)
    assert "split_clients" not in render(record, SITE)


def test_the_smallest_share_that_nginx_can_say_is_a_split() -> None:
    record = RUNNING.model_copy(update={"share": 0.01})
    assert is_split(record)
    assert "0.01% candidate;" in render(record, SITE)


@pytest.mark.parametrize(
    ("record", "share"), [(RUNNING, 20.0), (ControlRecord(), 0), (RUNNING.model_copy(update={"share": 0.004}), 0)]
)
def test_the_version_page_tells_the_share_that_the_candidate_has(record: ControlRecord, share: float) -> None:
    assert f'"share": {share}, "epoch": {record.epoch}' in render(record, SITE)


def test_each_quota_of_a_key_has_a_limit_once() -> None:
    quotas = {"one": "20/s", "two": "20/s", "three": "3/m"}
    keys = tuple(RouterKey(name, (f"tag{name}",), quota) for name, quota in quotas.items())
    text = render(RUNNING, replace(SITE, keys=keys))
    for zone, requests, unit in (("key_20s", 20, "s"), ("key_3m", 3, "m")):
        assert text.count(f"limit_req_zone ${zone} zone={zone}:128k rate={requests}r/{unit};") == 1
        assert f"limit_req zone={zone} burst={requests} nodelay;" in text


def test_the_epoch_is_sent_only_while_an_experiment_runs() -> None:
    epochs = re.compile(r"map \$in_trial \$(?:experiment_epoch|epoch_or_null) \{\s+default (.*?);\s+1 (.*?);")
    assert epochs.findall(render(RUNNING, SITE)) == [('""', '"3"'), ("null", "3")]
    stopped = render(RUNNING.model_copy(update={"state": "stopped", "share": 0.0}), SITE)
    assert epochs.findall(stopped) == [('""', '""'), ("null", "null")]


def test_all_replicas_are_listed_and_one_without_an_address_is_never_used() -> None:
    text = render(RUNNING, replace(SITE, production=("10.0.0.1:6001", "10.0.0.2:6001"), candidate=(NO_ADDRESS,)))
    assert text.count("server 10.0.0.2:6001 max_fails=0;") == 2
    assert "server 127.0.0.1:1 down max_fails=0;" in text


@pytest.mark.parametrize(
    ("record", "site", "field"),
    [
        (RUNNING.model_copy(update={"salt": 'x"; }'}), SITE, "salt"),
        (RUNNING.model_copy(update={"experiment": "a b"}), SITE, "experiment"),
        (RUNNING.model_copy(update={"candidate": "CO1';"}), SITE, "candidate"),
        (RUNNING, replace(SITE, production=("a;b",)), "production"),
        (RUNNING, replace(SITE, trusted=("all; allow all",)), "trusted"),
        (RUNNING, replace(SITE, user="a b"), "user"),
        (RUNNING, replace(SITE, listen="localhost:7000"), "listen"),
        (RUNNING, replace(SITE, folder=Path("relative")), "folder"),
        (RUNNING, replace(SITE, folder=Path('/a"b')), "folder"),
    ],
)
def test_a_value_of_more_than_one_word_is_rejected_by_name(record: ControlRecord, site: RouterSite, field: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        render(record, site)
    assert list(refusal.value.fields) == [field]


@pytest.mark.parametrize(
    ("listen", "more"),
    [("127.0.0.1:7000", []), ("0.0.0.0:7000", []), ("[::1]:7000", []), ("10.0.0.5:7000", ["10.0.0.5 1;"])],
)
def test_the_agent_may_always_read_the_revision_back(listen: str, more: list[str]) -> None:
    block = re.search(r"geo \$own_machine \{\n(.*?)\n    \}", render(RUNNING, replace(SITE, listen=listen)), re.DOTALL)
    assert block is not None
    lines = [line.strip() for line in block[1].splitlines()]
    assert lines == ["default 0;", "127.0.0.0/8 1;", "::1/128 1;", *more]


def test_kept_connections_are_held_where_nginx_can() -> None:
    assert "keepalive_min_timeout" not in render(RUNNING, SITE)
    assert "keepalive_min_timeout 5s;" in render(RUNNING, replace(SITE, keepalive_min_timeout=True))


def test_workers_run_as_a_user_only_where_one_is_named() -> None:
    assert "\nuser " not in render(RUNNING, SITE)
    assert "\nuser root;\n" in render(RUNNING, replace(SITE, user="root"))


def test_a_template_and_values_that_do_not_match_are_rejected() -> None:
    with pytest.raises(InvalidInput, match="extra, missing"):
        fill_template("{{missing}} {{known}}", {"known": "1", "extra": "2"})


def test_a_trial_in_some_places_is_of_requests_that_state_one() -> None:
    text = render(RUNNING.model_copy(update={"places": ("electronic city", "ಬೆಂಗಳೂರು", "~tilde", "default")}), SITE)
    [block] = re.findall(r"map p:\$http_x_home_place \$in_trial \{\n(.*?)\n    \}", text, re.DOTALL)
    assert [line.strip() for line in block.splitlines()] == [
        'default "";',
        '"p:electronic%20city" 1;',
        f'"p:{quote("ಬೆಂಗಳೂರು")}" 1;',
        '"p:~tilde" 1;',
        '"p:default" 1;',
    ]
    assert revision_of(text) != revision_of(render(RUNNING, SITE))


def test_a_place_that_does_not_fit_into_the_table_is_refused() -> None:
    with pytest.raises(InvalidInput, match="places"):
        render(RUNNING.model_copy(update={"places": ("x" * 101,)}), SITE)
