"""The page about a job that failed, small and self-contained."""

from collections.abc import Mapping
from html import escape
from typing import Any

from raymode.report.page import Table, folded, page_html, table_html


def failure_html(record: Mapping[str, Any]) -> str:
    """Return the page about a post-mortem as `postmortem.leave` records it, every text escaped."""
    stage = f"The stage {record['stage']} ended before its time." if record["stage"] else ""
    place = f"Raised at {record['where']}." if record["where"] else ""
    parts = [
        f"<h1>{escape(record['job'])} failed</h1>",
        f'<p class="says">{escape(record["what"])}</p>',
        f'<p class="note">{escape(" ".join(filter(None, (record["run_dir"] + ".", stage, place, record["time"]))))}</p>',
        "<h2>To go on</h2>",
        f"<pre>{escape(record['go_on'])}</pre>",
        "<p>What is finished or safe is not done again.</p>",
        table_html(Table("What stands", record["stages"], ("stage", "status", "safe"))),
    ]
    if record["cells"]:
        parts.append(_cells(record["cells"]))
    if record["traceback"]:
        parts.append(folded("Traceback", f"<pre>{escape(''.join(record['traceback']))}</pre>"))
    return page_html(f"{record['job']} failed", "\n".join(parts))


def _cells(cells: Mapping[str, Any]) -> str:
    ended = ", ".join(f"{count} {status}" for status, count in cells["ended"].items())
    note = f"{cells['begun']} cells begun; of those that ended: {ended}."
    return table_html(Table("Cells that failed", cells["failed"], ("run_dir", "error"), note))
