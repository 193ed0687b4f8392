"""The table of attacks in documentations/evidence.md, measured by `make simulate-attack`."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path

from homeprices.experiment.policies import AnyPolicy, load
from homeprices.experiment.policies.sequential import SequentialPolicy
from homeprices.reporting.markdown import check_section, replace_section
from homeprices.simulation.attacks import Attack, Crowd, Goal, decided

DOCUMENT = Path("documentations/evidence.md")
SECTION = "measured by make simulate-attack"
HONEST = (500, 2_000, 10_000)
ATTACKERS = ((1, 200), (3, 100), (10, 30), (500, 12))
"""Networks, and the voices a day of each: more than the limits allow, so that more would change nothing."""
GOALS: tuple[tuple[Goal, float], ...] = (("promote", -1.0), ("rollback", 1.0))
"""What the attackers want, and how many stars better the candidate is in truth."""
LIARS, LIARS_NETWORKS = 50, (1, 3, 10, 50)
RATERS, EFFECT = 1_400, 0.2
"""Of the honest experiment whose power is measured: 100 ratings a day for two weeks."""


def moved(policy: AnyPolicy, crowd: Crowd, attack: Attack, runs: int, seed: int) -> int:
    """Return the number of runs that end with the outcome of the attackers."""
    return sum(decided(policy, crowd, attack, seed + run)[0] == attack.goal for run in range(runs))


def attack_rows(runs: int, seed: int) -> list[list[str]]:
    """Return a row for each crowd and number of networks, with and without the defences."""
    rows = []
    for honest in HONEST:
        for networks, voices in ATTACKERS:
            row = [f"{honest:,}", f"{networks}"]
            for goal, effect in GOALS:
                for policy in (undefended(), load("sequential")):
                    count = moved(policy, Crowd(honest, effect), Attack(goal, networks, voices), runs, seed)
                    row.append(f"{count} of {runs}")
            rows.append(row)
            print(" | ".join(row), flush=True)
    return rows


def price_rows(runs: int, seed: int) -> list[list[str]]:
    """Return the visits of 50 visitors who report prices at which the candidate is 5 % off, all on the first day."""
    rows = []
    for networks in LIARS_NETWORKS:
        attack = Attack("rollback", networks, max(1, LIARS // networks), prices=True, days=1)
        counts = [
            moved(policy, Crowd(HONEST[0], 1.0), attack, runs, seed) for policy in (undefended(), load("sequential"))
        ]
        rows.append([f"{networks}", *(f"{count} of {runs}" for count in counts)])
        print(" | ".join(rows[-1]), flush=True)
    return rows


def honest_power(runs: int, seed: int) -> tuple[int, int]:
    """Return how many runs promote a better candidate, without and with the defences; same visitors."""
    crowd = Crowd(RATERS, EFFECT)
    without, with_them = (
        sum(decided(policy, crowd, None, seed + run)[0] == "promote" for run in range(runs))
        for policy in (undefended(), load("sequential"))
    )
    return without, with_them


def undefended() -> SequentialPolicy:
    """Return the rule without limits by network, as in schema version 1."""
    return SequentialPolicy(schema_version=1)


def text(attacks: list[list[str]], prices: list[list[str]], power: tuple[int, int], runs: int, honest: int) -> str:
    """Return the generated section of the document."""
    head = [
        "honest raters", "networks of attackers", "a star worse: promoted, before", "now",
        "a star better: rolled back, before", "now",
    ]  # fmt: skip
    before, now = (100 * count / honest for count in power)
    return "\n\n".join(
        [
            f"{runs} experiments a cell, seed 1, looks after 1, 6 and 24 hours and then daily for 14 days. Honest "
            "raters come in two weeks, spread over 10,000 networks by Zipf's law (exponent 0.8). Attackers vote for "
            "both variants from many browsers, more often than the limits allow. *Before* is the "
            "rule without defences.",
            _markdown(head, attacks),
            f"{LIARS} visitors report prices on the first day at which production is right and the candidate 5% off; "
            f"no other visitor reports a price, and {HONEST[0]} honest raters find it a star better:",
            _markdown(["networks of the 50", "rolled back, before", "now"], prices),
            f"Cost of the defences: a candidate {EFFECT:g} stars better is promoted in {before:.1f}% of {honest:,} "
            f"honest experiments without them, and in {now:.1f}% with them ({RATERS:,} raters).",
        ]
    )


def _markdown(head: list[str], rows: Iterable[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main(arguments: list[str] | None = None) -> int:
    """Measure, and replace the generated section of the document."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.attacks", description=__doc__)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--honest-runs", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--document", type=Path, default=DOCUMENT)
    chosen = parser.parse_args(arguments)
    check_section(chosen.document, SECTION)
    body = text(
        attack_rows(chosen.runs, chosen.seed),
        price_rows(chosen.runs, chosen.seed),
        honest_power(chosen.honest_runs, chosen.seed),
        chosen.runs,
        chosen.honest_runs,
    )
    replace_section(chosen.document, SECTION, f"\n{body}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
