"""What pictures are drawn with, as inline SVG: no script, no library; colours by CSS class, so that light and dark are
one drawing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from markupsafe import Markup, escape


@dataclass(frozen=True, slots=True)
class Frame:
    """A rectangle of data coordinates inside a picture, with room for its axes."""

    x: tuple[float, float]
    y: tuple[float, float]
    width: int = 320
    height: int = 220
    left: int = 42
    bottom: int = 34
    top: int = 8
    right: int = 10

    def px(self, value: float) -> float:
        low, high = self.x
        return round(self.left + (value - low) / ((high - low) or 1) * (self.width - self.left - self.right), 1)

    def py(self, value: float) -> float:
        low, high = self.y
        inner = self.height - self.top - self.bottom
        return round(self.height - self.bottom - (value - low) / ((high - low) or 1) * inner, 1)

    def points(self, xs: Iterable[float], ys: Iterable[float]) -> str:
        return " ".join(f"{self.px(x)},{self.py(y)}" for x, y in zip(xs, ys, strict=True))

    def axes(self, x_label: str, y_label: str, x_ticks: int = 4, y_ticks: int = 4) -> Markup:
        parts = []
        for value in ticks(*self.y, y_ticks):
            y = self.py(value)
            parts.append(f'<line class="grid" x1="{self.left}" x2="{self.width - self.right}" y1="{y}" y2="{y}"/>')
            parts.append(
                f'<text class="tick" x="{self.left - 6}" y="{y + 3.5}" text-anchor="end">{short(value)}</text>'
            )
        base = self.height - self.bottom
        for value in ticks(*self.x, x_ticks):
            x = self.px(value)
            parts.append(f'<text class="tick" x="{x}" y="{base + 14}" text-anchor="middle">{short(value)}</text>')
        parts.append(f'<line class="axis" x1="{self.left}" x2="{self.width - self.right}" y1="{base}" y2="{base}"/>')
        middle = (self.left + self.width - self.right) / 2
        parts.append(
            f'<text class="label" x="{middle}" y="{self.height - 4}" text-anchor="middle">{escape(x_label)}</text>'
        )
        parts.append(
            f'<text class="label" x="{self.left}" y="{self.top + 2}" text-anchor="start">{escape(y_label)}</text>'
        )
        return Markup("".join(parts))


def ticks(low: float, high: float, about: int = 4) -> list[float]:
    """Round numbers inside ``[low, high]``; none where none are wanted.

    >>> ticks(0, 1), ticks(0.13, 0.21, 4)
    ([0.0, 0.2, 0.4, 0.6, 0.8, 1.0], [0.14, 0.16, 0.18, 0.2])
    """
    if about == 0:
        return []
    if not math.isfinite(high - low) or high <= low:
        return [low]
    rough = (high - low) / about
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(size * m for m in (1, 2, 5, 10) if size * m >= rough * 0.8)
    first = math.ceil(low / step - 1e-9)
    found: list[float] = []
    while (first + len(found)) * step <= high + 1e-9 * step and len(found) < 20:
        found.append(round((first + len(found)) * step, 10))
    return found


def short(value: float) -> str:
    """
    >>> [short(v) for v in (0.0, 0.25, 1500, 2_000_000, -0.00012)]
    ['0', '0.25', '1.5k', '2M', '-0.00012']
    """
    if value == 0:
        return "0"
    for size, sign in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{sign}"
    return f"{value:.3g}"


def svg(width: int, height: int, title: str, body: str, css: str = "chart", role: str = "img") -> Markup:
    """``role`` is ``group`` for a picture with links in it, which one of role ``img`` may not have."""
    return Markup(
        f'<svg class="{css}" viewBox="0 0 {width} {height}" role="{role}" aria-label="{escape(title)}">'
        f"<title>{escape(title)}</title>{body}</svg>"
    )


def polyline(frame: Frame, xs: Iterable[float], ys: Iterable[float], css: str) -> Markup:
    return Markup(f'<polyline class="{css}" points="{frame.points(xs, ys)}"/>')
