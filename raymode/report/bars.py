"""A histogram as inline SVG: small, drawn in the page's own colours, so it follows light and dark."""

from collections.abc import Sequence
from html import escape

from raymode.sets.census import Bin

WIDTH, HEIGHT = 360, 190
LEFT, RIGHT, TOP, BOTTOM = 44, 8, 12, 40
LABELS = 8  # below the axis at most
CHARACTER = 6.2  # width of a label's character
BARS_STYLE = """
svg { width: 100%; height: auto; font: 11px system-ui, sans-serif; }
svg text { fill: currentColor; } svg .axis { stroke: currentColor; stroke-opacity: .5; }
svg .line { stroke: currentColor; stroke-opacity: .15; }
svg .bar { fill: #0072b2; } @media (prefers-color-scheme: dark) { svg .bar { fill: #56b4e9; } }
"""


def bars_svg(bins: Sequence[Bin], description: str, axis: str, counted: str) -> str:
    """Return the bars of `bins`, one per bin whatever its width, with the count on the left axis.

    description: said by a screen reader; axis: what the values are, with the unit; counted: what is
    counted, in the plural. Every bar tells its bin and count when pointed at.
    """
    highest = max((each.count for each in bins), default=0)
    top = _round_up(highest)
    parts = [_level(top, level) for level in (0, top // 2, top)] if top > 1 else [_level(1, 0)]
    parts += [_bar(place, bins, top, counted) for place in range(len(bins))]
    parts += [_label(place, bins) for place in _labelled(bins)]
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(
        f'<text x="{middle:g}" y="{HEIGHT - 4}" text-anchor="middle">{escape(axis)}</text>'
    )
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(description)}">'
        f"{''.join(parts)}</svg>"
    )


def bin_name(each: Bin) -> str:
    """Return a bin in words: one number, or from-to."""
    return f"{each.low:,}" if each.low == each.high else f"{each.low:,}–{each.high:,}"


def _round_up(count: int) -> int:
    """Return the least even 1, 2, 4, 6, 8 or 10 times a power of ten that is at least `count`."""
    if count <= 2:
        return max(count, 1)
    unit = int(10 ** (len(str(count)) - 1))
    steps = [step * unit for step in (1, 2, 4, 6, 8, 10)]
    return next(step for step in steps if step >= count and step % 2 == 0)


def _x(place: float, bins: Sequence[Bin]) -> float:
    return LEFT + place * (WIDTH - LEFT - RIGHT) / len(bins)


def _y(count: float, top: int) -> float:
    return TOP + (1 - count / top) * (HEIGHT - TOP - BOTTOM)


def _level(top: int, level: int) -> str:
    y, kind = _y(level, top), "line" if level else "axis"
    return (
        f'<line class="{kind}" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        f'<text x="{LEFT - 5}" y="{y + 4:.1f}" text-anchor="end">{level:,}</text>'
    )


def _bar(place: int, bins: Sequence[Bin], top: int, counted: str) -> str:
    each, x, y = bins[place], _x(place, bins), _y(bins[place].count, top)
    width = min(_x(1, bins) - _x(0, bins) - 1, 40)
    x += (_x(1, bins) - _x(0, bins) - width) / 2
    return (
        f'<rect class="bar" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{_y(0, top) - y:.1f}">'
        f"<title>{bin_name(each)}: {each.count:,} {escape(counted)}</title></rect>"
    )


def _labelled(bins: Sequence[Bin]) -> range:
    """Return the places that get a label: so few that labels do not touch."""
    widest = max((len(f"{each.low:,}") for each in bins), default=1) * CHARACTER + 6
    room = (WIDTH - LEFT - RIGHT) / max(1, len(bins))
    step = max(1, -(-int(widest) // max(1, int(room))), -(-len(bins) // LABELS))
    return range(0, len(bins), step)


def _label(place: int, bins: Sequence[Bin]) -> str:
    """Return a bin's label: a single number below its bar, the lower end below the bar's left side."""
    each = bins[place]
    single = all(one.low == one.high for one in bins)
    x = _x(place + (0.5 if single else 0), bins)
    return f'<text x="{x:.1f}" y="{HEIGHT - 22}" text-anchor="middle">{each.low:,}</text>'
