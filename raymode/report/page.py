"""One self-contained HTML page about a sweep: no script, no other file, good on a phone.

Every text is escaped and figures are images, so nothing that a model or a user wrote can run.
"""

import base64
import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from numbers import Real

Row = Mapping[str, object]


@dataclass(frozen=True)
class Table:
    """Rows under a heading; `columns` names the keys to show in order, `note` explains them."""

    title: str
    rows: Sequence[Row]
    columns: Sequence[str]
    note: str = ""


@dataclass(frozen=True)
class Figure:
    """An image (SVG text or PNG bytes) with the words that describe it and the rows it shows."""

    title: str
    image: str | bytes
    description: str
    rows: Sequence[Row] = ()
    file_name: str = "figure"


def report_html(
    title: str,
    sentences: Sequence[str],
    tables: Sequence[Table],
    figures: Sequence[Figure],
    config: str = "",
    environment: Mapping[str, object] | None = None,
    failures: Sequence[Row] = (),
) -> str:
    """Return the page: what the sweep says, its figures, its tables, what failed, how it was made.

    `config` is the resolved configuration as text; `failures` are rows such as those of runs that
    did not finish, shown with all their columns. Every figure offers its rows as a CSV download.
    """
    parts = [f"<h1>{escape(title)}</h1>"]
    parts += [f'<p class="says">{escape(sentence)}</p>' for sentence in sentences]
    parts += [_figure(figure) for figure in figures]
    parts += [_table(table) for table in tables]
    parts.append(_failures(failures))
    if config:
        parts.append(_folded("Configuration", f"<pre>{escape(config)}</pre>"))
    if environment:
        rows = [{"what": key, "value": value} for key, value in environment.items()]
        parts.append(_folded("Environment", _grid(rows, ("what", "value"))))
    page = PAGE.format(title=escape(title), style=STYLE, body="\n".join(parts))
    # A model can write lone surrogates, which no file in UTF-8 can hold.
    return page.encode(errors="replace").decode()


def rows_csv(rows: Sequence[Row], columns: Sequence[str] = ()) -> str:
    """Return rows as CSV with a header; by default the columns are all keys as they appear."""
    names = list(columns) or list(dict.fromkeys(key for row in rows for key in row))
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, names, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()


def format_value(value: object) -> str:
    """Return a value for a table cell: four significant digits; n/a where there is none."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "n/a"
    if isinstance(value, float):
        return f"{value:.4g}".replace("inf", "∞")
    return str(value)


def _figure(figure: Figure) -> str:
    raw = figure.image.encode() if isinstance(figure.image, str) else figure.image
    kind = "svg+xml" if isinstance(figure.image, str) else "png"
    image = f'<img alt="{escape(figure.description)}" src="{_data_uri(f"image/{kind}", raw)}">'
    link = ""
    if figure.rows:
        uri = _data_uri("text/csv;charset=utf-8", rows_csv(figure.rows).encode(errors="replace"))
        name = escape(f"{figure.file_name}.csv")
        link = f' <a download="{name}" href="{uri}">Data of this figure (CSV)</a>'
    caption = f"<figcaption>{escape(figure.description)}{link}</figcaption>"
    return f"<h2>{escape(figure.title)}</h2>\n<figure>{image}{caption}</figure>"


def _table(table: Table) -> str:
    note = f'<p class="note">{escape(table.note)}</p>' if table.note else ""
    return f"<h2>{escape(table.title)}</h2>\n{note}{_grid(table.rows, table.columns)}"


def _grid(rows: Sequence[Row], columns: Sequence[str]) -> str:
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in columns)
    body = "\n".join(
        "<tr>" + "".join(_cell(row.get(name)) for name in columns) + "</tr>" for row in rows
    )
    table = f"<table><thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody></table>"
    return f'<div class="wide" tabindex="0">{table}</div>'


def _cell(value: object) -> str:
    kind = ' class="number"' if isinstance(value, Real) else ""
    return f"<td{kind}>{escape(format_value(value))}</td>"


def _failures(failures: Sequence[Row]) -> str:
    if not failures:
        return "<h2>Failures</h2>\n<p>None.</p>"
    columns = list(dict.fromkeys(key for row in failures for key in row))
    return f"<h2>Failures ({len(failures)})</h2>\n{_grid(failures, columns)}"


def _folded(title: str, inner: str) -> str:
    return f"<details><summary>{escape(title)}</summary>{inner}</details>"


def _data_uri(kind: str, raw: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(raw).decode()}"


STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 68rem; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
.says { font-size: 1.1rem; } .note, figcaption { opacity: .8; font-size: .9rem; }
figure { margin: 0; } img { width: 100%; height: auto; background: #fff; border-radius: 4px; }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-size: .85rem; }
th, td { padding: .3rem .6rem; text-align: left; border-bottom: 1px solid #8886; }
.number { text-align: right; font-variant-numeric: tabular-nums; }
details { margin-top: 1rem; } summary { cursor: pointer; font-weight: 600; }
pre { overflow-x: auto; font-size: .85rem; }
"""
# The policy forbids scripts and every request; only inline style and data: images remain.
PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
{body}
</body>
</html>
"""
