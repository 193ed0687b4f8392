"""Asks every query of every page, as Grafana would, and names those that answer nothing: `python -m monitoring.grafana.ask`.

It needs no Grafana and no picture, so it runs where the exporter runs, with the exporter's right to read the database.
"""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, datetime, timedelta

import httpx

from homeprices.errors import HomePricesError
from monitoring.grafana.answers import Answer, Asker, Window
from monitoring.grafana.pages import DASHBOARDS
from monitoring.grafana.panels import Dashboard, Panel

POINTS = 240  # across a page


def window_of(minutes: float, end: datetime) -> Window:
    """The last so many minutes before `end`."""
    length = timedelta(minutes=minutes)
    return Window(end - length, end, max(1, round(length.total_seconds() / POINTS)))


def unanswered(page: Dashboard, panel: Panel, answers: list[Answer]) -> list[str]:
    """The queries of a panel that a reader would find empty: "page: panel: query", with the server's reason if it gave one."""
    return [
        f"{page.title}: {panel.title}: {' '.join(str(query).split())}" + (f" ({answer.error})" if answer.error else "")
        for query, answer in zip(panel.queries, answers, strict=True)
        if answer.empty
    ]


def ask(asker: Asker, window: Window) -> tuple[int, list[str]]:
    """How many queries were asked, and those that answered nothing. Raises httpx.HTTPError, DatabaseUnavailable."""
    asked, silent = 0, []
    for page in DASHBOARDS:
        for panel in page.panels:
            answers = asker.ask(panel, window)
            asked += len(answers)
            silent += unanswered(page, panel, answers)
        for annotation in page.annotations:
            asker.annotations(annotation, window)
            asked += 1
    return asked, silent


def main(arguments: list[str] | None = None) -> int:
    """The command line. 1 when something cannot be asked, or with `--strict` when a query answers nothing."""
    from homeprices.adapters.database import open_engine
    from homeprices.settings import load_settings

    parser = argparse.ArgumentParser(
        prog="python -m monitoring.grafana.ask", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--prometheus", default="http://127.0.0.1:9090", help="its address (%(default)s)")
    parser.add_argument("--minutes", type=float, default=60, help="how far back (%(default)s)")
    parser.add_argument("--strict", action="store_true", help="exit with 1 when a query answers nothing")
    chosen = parser.parse_args(arguments)
    try:
        engine = open_engine(load_settings())
        asker = Asker(chosen.prometheus, engine)
        asked, silent = ask(asker, window_of(chosen.minutes, datetime.now(UTC)))
    except (HomePricesError, httpx.HTTPError) as error:
        print(f"ask: {error}", file=sys.stderr)
        return 1
    asker.close()
    engine.dispose()
    print("\n".join([*(f"no data: {one}" for one in silent), f"asked {asked} queries, {len(silent)} without data"]))
    return 1 if silent and chosen.strict else 0


if __name__ == "__main__":
    raise SystemExit(main())
