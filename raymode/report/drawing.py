"""A figure of a page with its words and rows, and its files under `figures/`: SVG, PNG and CSV."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from matplotlib.figure import Figure as Canvas

from raymode.report.page import Figure, rows_csv
from raymode.report.plots import figure_png, figure_svg
from raymode.store import Store

FIGURES = "figures"


class Drawing(NamedTuple):
    """A figure with its words, the rows it shows and the name of its files."""

    name: str
    title: str
    description: str
    figure: Canvas
    rows: Sequence[Mapping[str, Any]]


def write_drawing(store: Store, drawing: Drawing) -> Figure:
    """Write the files of a drawing, and return it for the page."""
    svg, place = figure_svg(drawing.figure), f"{FIGURES}/{drawing.name}"
    # A lone surrogate in a name has no UTF-8.
    store.write_bytes(f"{place}.svg", svg.encode(errors="replace"))
    store.write_bytes(f"{place}.png", figure_png(drawing.figure))
    write_csv(store, drawing.name, drawing.rows)
    return Figure(drawing.title, svg, drawing.description, drawing.rows, drawing.name)


def write_csv(store: Store, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows beside the figures."""
    store.write_bytes(f"{FIGURES}/{name}.csv", rows_csv(rows).encode(errors="replace"))
