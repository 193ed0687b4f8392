"""Render RESULTS.md and its plot from the results."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.measure import spread

OURS, SIMPLE, FSYNC, BARE = "this project", "this project, simple model", "this project, fsync", "bare Flask"
KEYED = "this project, with an API key"
CLASSIC, MLFLOW = "classic design", "mlflow models serve"
ROUGH_SHARE = 0.10  # share of other load above which figures are marked as imprecise
PLOT = "throughput.png"
SPEED_HEAD = (
    "server",
    "requests/s",
    "of bare Flask",
    "CPU µs a request",
    "p50 ms",
    "ready after s",
    "memory MiB",
    "versions",
)

Results = dict[str, Any]


def markdown(results: Results) -> str:
    """Return the page."""
    return "\n".join(
        [
            "# Results of `make bench`",
            "",
            _conditions(results),
            "",
            "## What was promised",
            "",
            *_table(("promise", "measured", "kept"), _promises(results)),
            "",
            "## Requests a second, one core",
            "",
            f"One worker on one core, {results['connections']} kept-alive connections from another core, each asking "
            "for the same home. Median of the rounds, least and most in brackets; a ratio is the median of the rounds' "
            "own ratios.",
            "",
            f"![requests a second]({PLOT})",
            "",
            *_table(SPEED_HEAD, _speed(results)),
            "",
            "## Latency at half of this project's load",
            "",
            f"At {results['half_per_second']:,.0f} requests/s, due at a constant rate; a latency counts from when it "
            "was due.",
            "",
            *_table(("server", "p99 ms"), _latency(results)),
            "",
            "## Batches of 10,000 homes",
            "",
            "Homes a second of a request on one connection, from the first byte sent to the last received, every home "
            "recorded, while the drain to PostgreSQL runs in the same worker.",
            "",
            *_table(
                ("form", "fields a home", "homes/s", "homes a second of CPU", "without an id", "worker's memory MiB"),
                _batches(results),
            ),
            "",
            "## Everything else away",
            "",
            "`GET /api/health` of an instance whose bucket and database take connections and never answer: "
            f"median {results['health']['median_ms']:.1f} ms, 99th percentile {results['health']['p99_ms']:.1f} ms, "
            f"of {results['health']['count']} requests.",
            "",
        ]
    )


def plot(results: Results, path: Path) -> None:
    """Plot the requests per second of every server, with minimum and maximum."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    rows = sorted(results["servers"], key=lambda row: spread(row["per_second"])[0])
    middles = [spread(row["per_second"]) for row in rows]
    figure, axes = pyplot.subplots(figsize=(8, 0.5 * len(rows) + 1.2), layout="constrained")
    colours = ["#0b5cad" if row["name"].startswith(OURS) else "#9aa7b5" for row in rows]
    errors = [[m - low for m, low, _ in middles], [high - m for m, _, high in middles]]
    axes.barh([row["name"] for row in rows], [m for m, _, _ in middles], xerr=errors, color=colours, ecolor="#444")
    for at, (middle, _, high) in enumerate(middles):
        axes.text(max(middle, high), at, f"  {middle:,.0f}", va="center")
    axes.set_xlabel("requests a second, one worker on one core, 8 connections")
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(x=0.12)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def ratio(results: Results, name: str, other: str) -> float:
    """Return the median of the ratios within rounds, so that load on the machine during a round cancels out."""
    mine, theirs = server(results, name)["per_second"], server(results, other)["per_second"]
    return spread([a / b for a, b in zip(mine, theirs, strict=True)])[0]


def server(results: Results, name: str) -> dict[str, Any]:
    """The measurements of one server."""
    found: dict[str, Any] = next(row for row in results["servers"] if row["name"] == name)
    return found


def _promises(results: Results) -> list[tuple[str, ...]]:
    ours = server(results, OURS)
    extra = 1000 * (spread(ours["p99_at_half"])[0] - spread(server(results, BARE)["p99_at_half"])[0])
    homes = min(spread(row["per_second"])[0] for row in results["batches"])
    ready, memory = spread(ours["ready_seconds"])[0], max(ours["memory_mib"]) * 2**20 / 1e6
    return [
        _at_least("requests/s of bare Flask's", ratio(results, OURS, BARE), 0.70),
        _at_least("the same, every record synced to the disk", ratio(results, FSYNC, BARE), 0.50),
        _at_least("times mlflow models serve", ratio(results, OURS, MLFLOW), 10),
        _at_least("times the classic design", ratio(results, OURS, CLASSIC), 3.5),
        _at_most("ms of p99 at half of the load over bare Flask's", extra, 5),
        _at_most("s from start to the first answer", ready, 2),
        _at_most("MB a worker", memory, 150),
        _at_least("homes/s in batches, the slowest form", homes, 20_000),
        _at_most("ms for /api/health while all else is away (p99)", results["health"]["p99_ms"], 50),
    ]


def _at_least(what: str, found: float, least: float) -> tuple[str, ...]:
    return (f"at least {least:,g} {what}", _shown(found), "yes" if found >= least else "**no**")


def _at_most(what: str, found: float, most: float) -> tuple[str, ...]:
    return (f"at most {most:,g} {what}", _shown(found), "yes" if found <= most else "**no**")


def _shown(figure: float) -> str:
    return f"{figure:,.0f}" if figure >= 1000 else f"{figure:.4g}"


def _conditions(results: Results) -> str:
    machine, busy = results["machine"], results["busy_share"]
    said = (
        f"Measured {results['measured_at']} at revision `{results['revision']}` on {machine['processor']}, "
        f"{machine['cores']} cores, {machine['memory']}, {machine['system']}, Python {machine['Python']}. "
        f"{results['rounds']} rounds of {results['seconds']:g} s a server, taken in turn; the server on core "
        f"{results['cores'][0]}, load, PostgreSQL and bucket on core {results['cores'][1]}. "
        f"The models: `{results['models']['best']}` (what the pipeline publishes of all estimators) and "
        f"`{results['models']['simple']}` (of the simple ones)."
    )
    if busy <= ROUGH_SHARE:
        return said
    return f"{said}\n\n**Rough: {busy:.0%} of the machine was at work on other things when this was measured.**"


def _speed(results: Results) -> list[tuple[str, ...]]:
    rows = sorted(results["servers"], key=lambda row: -spread(row["per_second"])[0])
    return [
        (
            row["name"],
            "{:,.0f} ({:,.0f} to {:,.0f})".format(*spread(row["per_second"])),
            f"{ratio(results, row['name'], BARE):.2f}",
            f"{1e6 * spread(row['processor_seconds'])[0]:,.0f}",
            f"{1000 * spread(row['median_seconds'])[0]:.1f}",
            f"{spread(row['ready_seconds'])[0]:.1f}",
            f"{max(row['memory_mib']):.0f}",
            ", ".join(f"{name} {version}" for name, version in row["versions"].items()),
        )
        for row in rows
    ]


def _latency(results: Results) -> list[tuple[str, ...]]:
    rows = (row for row in results["servers"] if row["p99_at_half"])
    figures = ((row["name"], spread([1000 * value for value in row["p99_at_half"]])) for row in rows)
    return [(name, f"{middle:.1f} ({low:.1f} to {high:.1f})") for name, (middle, low, high) in figures]


def _batches(results: Results) -> list[tuple[str, ...]]:
    return [
        (
            row["form"],
            str(row["fields"]),
            "{:,.0f} ({:,.0f} to {:,.0f})".format(*spread(row["per_second"])),
            f"{spread(row['per_processor_second'])[0]:,.0f}",
            f"{row['unlogged']:,}",
            f"{row['memory_mib']:.0f}",
        )
        for row in results["batches"]
    ]


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> list[str]:
    if any(len(row) != len(head) for row in rows):
        raise ValueError(f"a row has not the {len(head)} cells of {head}")
    return [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}", *(f"| {' | '.join(row)} |" for row in rows)]
