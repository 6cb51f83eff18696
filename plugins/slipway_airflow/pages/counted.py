"""The pictures of what was counted: a cell for each pair of classes, a bar for each day.

Every text that comes from data passes ``Markup.format``, which escapes it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any

from markupsafe import Markup

from slipway_airflow.pages.drawing import Frame, short, svg


def confusion(found: Mapping[str, Any] | None) -> Markup | None:
    """A cell for each class that was (down) and that was answered (across): its rows, and the darker, the larger its
    share of the rows of its class. None where nothing was counted."""
    if not found or not found["classes"]:
        return None
    classes, count = list(found["classes"]), len(found["classes"])
    left, top, side = 84, 30, 236 / count
    height = round(top + count * side + 22)
    parts = [Markup('<text class="tick" x="{}" y="10">answered (across), was (down)</text>').format(left)]
    for i, row in enumerate(found["rows"]):
        middle = round(top + (i + 0.5) * side + 4, 1)
        column = round(left + (i + 0.5) * side, 1)
        label = Markup('<text class="tick" x="{}" y="{}" text-anchor="{}">{}</text>')
        parts.append(label.format(left - 6, middle, "end", _cut(classes[i], 12)))
        parts.append(label.format(column, top - 6, "middle", _cut(classes[i], max(int(side / 7), 3))))
        for j, rows in enumerate(row):
            share = rows / max(sum(row), 1)
            said = f"{rows:,} of {sum(row):,} rows of {classes[i]} were answered {classes[j]}: {share:.0%}"
            x, y = round(left + j * side, 1), round(top + i * side, 1)
            cell = '<g><title>{}</title><rect class="cell" x="{}" y="{}" width="{}" height="{}" fill-opacity="{}"/>'
            parts.append(Markup(cell).format(said, x, y, round(side - 1, 1), round(side - 1, 1), round(share * 0.6, 3)))
            text = short(rows) if side > 22 else ""
            middle_x = round(x + side / 2, 1)
            parts.append(Markup('<text class="count" x="{}" y="{}">{}</text></g>').format(middle_x, middle, text))
    return svg(330, height, "How often each class was answered by each", Markup("").join(parts))


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


def rows_by_day(days: Sequence[tuple[str, int]]) -> Markup | None:
    """A bar for each day from the first to the last, by its rows; a day that is missing has none. None with fewer than
    two days."""
    if len(days) < 2:
        return None
    first, last = (date.fromisoformat(days[i][0]) for i in (0, -1))
    known, count = dict(days), (last - first).days + 1
    frame = Frame((0, count), (0, max(max(known.values()), 1) * 1.15), 900, 160, 52, 26, 8, 12)
    parts, base = [frame.axes("", "rows", x_ticks=0)], frame.height - frame.bottom
    for n in range(count):
        day = (first + timedelta(days=n)).isoformat()
        x, end = frame.px(n), frame.px(n + 1)
        if n % max(1, math.ceil(count / 8)) == 0:
            parts.append(Markup('<text class="tick" x="{}" y="{}">{}</text>').format(x, base + 16, day[5:]))
        rows = known.get(day)
        top = frame.py(rows or 0)
        said = f"{day}: {rows:,} rows" if rows is not None else f"{day}: not published"
        bar = '<g><title>{}</title><rect class="{}" x="{}" y="{}" width="{}" height="{}"/></g>'
        css, top = ("bar-day", top) if rows else ("bar-none", base - 4)
        size = (round(max(end - x - 1.5, 1), 1), round(base - top, 1))
        parts.append(Markup(bar).format(said, css, x, top, *size))
    return svg(frame.width, frame.height, f"Rows by day, {days[0][0]} to {days[-1][0]}", Markup("").join(parts), "wide")
