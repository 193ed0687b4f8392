"""Draws the dashboards' queries into pictures for readers without Grafana: `python -m monitoring.pictures`.

Asks any Prometheus and the homeprices database of the settings. Names the queries that answered nothing.
"""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, datetime
from pathlib import Path

import httpx

from homeprices.errors import HomePricesError
from monitoring.grafana.answers import Answer, Asker, Window
from monitoring.grafana.ask import unanswered, window_of
from monitoring.grafana.pages import DASHBOARDS
from monitoring.grafana.panels import GRID, Dashboard, Panel
from monitoring.panel_pictures import draw_panel

FOLDER = Path("documentations/pictures")
COLUMN_INCHES, ROW_INCHES = 0.6, 0.3  # of Grafana's grid
HEAD_INCHES = 0.4
LEFT_INCHES, RIGHT_INCHES, TOP_INCHES, BOTTOM_INCHES = 0.6, 0.15, 0.3, 0.3  # around a panel, for its labels
COLORS = ("#3274d9", "#e0752d", "#56a64b", "#8f3bb8", "#e02f44", "#0d8a9b", "#b8860b", "#7d7d7d", "#d44a8e", "#4e6b1f")


def draw(page: Dashboard, answers: dict[Panel, list[Answer]], marks: Answer, window: Window, file: Path) -> None:
    """Write the page as a picture: panels in Grafana's order and proportions, `marks` as lines over lines."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    rows = _layout(page)
    width, height = GRID * COLUMN_INCHES, HEAD_INCHES + sum(tall for tall, _ in rows) * ROW_INCHES
    with pyplot.rc_context({"font.size": 8, "axes.prop_cycle": pyplot.cycler(color=COLORS), "axes.titlesize": 9}):
        figure = pyplot.figure(figsize=(width, height))
        figure.text(LEFT_INCHES / width, 1 - 0.25 / height, f"{page.title}: {page.description}", fontsize=12)
        top = HEAD_INCHES
        for tall, panels in rows:
            left = 0.0
            for panel in panels:
                wide, high = panel.width * COLUMN_INCHES, tall * ROW_INCHES
                inner = (wide - LEFT_INCHES - RIGHT_INCHES, high - TOP_INCHES - BOTTOM_INCHES)
                corner = (left + LEFT_INCHES, height - top - high + BOTTOM_INCHES)
                place = (corner[0] / width, corner[1] / height, inner[0] / width, inner[1] / height)
                draw_panel(figure.add_axes(place), panel, answers[panel], marks, window)
                left += wide
            top += tall * ROW_INCHES
        file.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(file, dpi=100, metadata={"Software": None})
        pyplot.close(figure)


def _layout(page: Dashboard) -> list[tuple[int, list[Panel]]]:
    """Lines of panels that fill the grid's width, with the height of the highest."""
    lines: list[list[Panel]] = []
    for row in page.rows:
        width = GRID
        for panel in row.panels:
            if width + panel.width > GRID:
                lines.append([])
                width = 0
            lines[-1].append(panel)
            width += panel.width
    return [(max(panel.height for panel in line), line) for line in lines]


def ask_and_draw(asker: Asker, window: Window, folder: Path) -> list[str]:
    """Draw every page into `folder`, and name what answered nothing: "page: panel: query"."""
    missing = []
    for page in DASHBOARDS:
        answers = {panel: asker.ask(panel, window) for panel in page.panels}
        marks = [asker.annotations(annotation, window) for annotation in page.annotations]
        draw(page, answers, marks[0] if marks else Answer(), window, folder / f"dashboard-{page.title.lower()}.png")
        for panel, answered in answers.items():
            missing += unanswered(page, panel, answered)
    return missing


def main(arguments: list[str] | None = None) -> int:
    """The command line. 1 when something cannot be asked."""
    from homeprices.adapters.database import open_engine
    from homeprices.settings import load_settings

    parser = argparse.ArgumentParser(prog="python -m monitoring.pictures", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--prometheus", default="http://127.0.0.1:9090", help="its address (%(default)s)")
    parser.add_argument("--minutes", type=float, default=60, help="how far back (%(default)s)")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the pictures go (%(default)s)")
    chosen = parser.parse_args(arguments)
    try:
        engine = open_engine(load_settings())
        asker = Asker(chosen.prometheus, engine)
        missing = ask_and_draw(asker, window_of(chosen.minutes, datetime.now(UTC)), chosen.folder)
    except (HomePricesError, httpx.HTTPError) as error:
        print(f"pictures: {error}", file=sys.stderr)
        return 1
    asker.close()
    engine.dispose()
    for one in missing:
        print(f"no data: {one}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
