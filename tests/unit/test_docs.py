"""The documentation: the generated table of keys, links that lead somewhere, and Python that parses.

After a change of the configuration: RAYMODE_WRITE_DOCS=1 pytest tests/unit/test_docs.py
"""

import ast
import dataclasses
import os
import re
import textwrap
from pathlib import Path
from typing import Any

import pytest

from raymode.config import Config
from raymode.config_load import parse

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
TABLE = ROOT / "docs" / "configuration.md"
LAPTOP = ROOT / "raymode" / "configs" / "laptop.yaml"
INTRODUCTION = """\
# Configuration

Every job takes `key=value` arguments and `config=NAME` or `config=FILE.yaml`. Arguments win over the
YAML, the YAML over the defaults of the code. Without `config=` the YAML is the shipped `laptop`; a file
given with `config=` stands in its place, so keys it lacks have the code's default. A run directory's own
`config.yaml` is such a file.

```
python jobs/train.py config=mine.yaml run_dir=runs/mine train.steps=300 "sweep.responses=[1,2,3]"
```

- A list needs `[...]`, and quotes in most shells. `true` and `false` are the truth values; `key=` is the empty text.
- An unknown key, a wrong type or an impossible combination is an error of one line, before Ray starts.
- `python jobs/train.py --help` prints the same table.

*Default* is the code's; *laptop* is what `config=laptop` sets where that differs. This page is generated
by `RAYMODE_WRITE_DOCS=1 pytest tests/unit/test_docs.py`.
"""


def rendered() -> str:
    """Return docs/configuration.md as the configuration says it."""
    laptop, plain = parse(LAPTOP.read_text(), "laptop"), Config()
    nested = [item.name for item in dataclasses.fields(Config) if _is_group(plain, item.name)]
    parts = [INTRODUCTION, _section("The run", "", plain, laptop)]
    for name in nested:
        values = getattr(plain, name)
        title = f"{name}: {_first_line(type(values).__doc__).rstrip('.')}"
        parts.append(_section(title, f"{name}.", values, getattr(laptop, name)))
    return "\n".join(parts)


def _is_group(values: Any, name: str) -> bool:
    return dataclasses.is_dataclass(getattr(values, name))


def _section(title: str, prefix: str, values: Any, laptop: Any) -> str:
    lines = [f"## {title}", "", "| key | default | laptop | meaning |", "|---|---|---|---|"]
    for item in dataclasses.fields(values):
        if _is_group(values, item.name):
            continue
        default, own = getattr(values, item.name), getattr(laptop, item.name)
        shown = "" if own == default else _code(own)
        meaning = _escaped(item.metadata["help"])
        lines.append(f"| `{prefix}{item.name}` | {_code(default)} | {shown} | {meaning} |")
    return "\n".join([*lines, ""])


def _code(value: Any) -> str:
    """Return a value as it is typed on the command line."""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, tuple):
        return f"`[{','.join(map(str, value))}]`"
    return f"`{value}`" if value != "" else "(empty)"


def _escaped(text: str) -> str:
    return re.sub(r"([|*_<])", r"\\\1", text)


def _first_line(text: str | None) -> str:
    return (text or "").splitlines()[0]


def links_of(text: str) -> list[str]:
    """Return the targets of Markdown links outside code that name a file, without their anchors."""
    prose = re.sub(r"^```.*?^```|`[^`\n]*`", "", text, flags=re.DOTALL | re.MULTILINE)
    targets = re.findall(r"\]\(([^)\s]+)[^)]*\)", prose)
    return [t.partition("#")[0] for t in targets if not re.match(r"[a-z]+:|#", t)]


def python_blocks(text: str) -> list[str]:
    """Return the contents of the blocks marked as Python, also of those inside lists."""
    blocks = re.findall(r"^ *```python\n(.*?)^ *```", text, flags=re.DOTALL | re.MULTILINE)
    return [textwrap.dedent(block) for block in blocks]


def test_the_table_of_keys_is_up_to_date() -> None:
    if os.environ.get("RAYMODE_WRITE_DOCS") == "1":
        TABLE.write_text(rendered())
    assert TABLE.read_text() == rendered(), (
        "run RAYMODE_WRITE_DOCS=1 pytest tests/unit/test_docs.py"
    )


def test_the_table_holds_every_key() -> None:
    text = TABLE.read_text()
    for group in dataclasses.fields(Config):
        values = getattr(Config(), group.name)
        if not dataclasses.is_dataclass(values):
            assert f"| `{group.name}` |" in text
            continue
        for item in dataclasses.fields(values):
            assert f"| `{group.name}.{item.name}` |" in text


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_leads_to_a_file(page: Path) -> None:
    missing = [link for link in links_of(page.read_text()) if not (page.parent / link).exists()]
    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_python_in_the_pages_parses(page: Path) -> None:
    for block in python_blocks(page.read_text()):
        ast.parse(block)


def test_the_tour_has_python_and_links_are_found() -> None:
    """Guards the two tests above against finding nothing to check."""
    assert len(python_blocks((ROOT / "docs" / "tour.md").read_text())) >= 2
    assert links_of("[a](b.md#c) [d](https://e) `[f](g)` ![h](i.png 't')\n```\n[j](k)\n```\n") == [
        "b.md",
        "i.png",
    ]
