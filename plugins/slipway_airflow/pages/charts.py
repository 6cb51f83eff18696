"""The pictures of the pages, each from the values it shows; how they are drawn is in ``drawing``.

Every text that comes from data passes ``escape``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from markupsafe import Markup, escape

from include.domain.wording import bounds_in_words
from include.workflows.pages.lanes import DayLane
from slipway_airflow.pages.drawing import Frame, polyline, short, svg, ticks

WHO = {"champion": "champion", "candidate": "candidate", "baseline": "baseline"}


# --- candidate against champion --------------------------------------------------------------------------------------


def overlaid(curves: Mapping[str, Any], title: str, *, diagonal: bool = False) -> Markup | None:
    """One line for each model; None where there is no curve."""
    drawn = {who: c for who, c in curves.items() if c}
    if not drawn:
        return None
    frame, one = Frame((0, 1), (0, 1)), next(iter(drawn.values()))
    body = frame.axes(one["x_label"], one["y_label"])
    if diagonal:
        body += polyline(frame, (0, 1), (0, 1), "reference")
    for who in ("champion", "candidate"):
        if who in drawn:
            body += polyline(frame, drawn[who]["x"], drawn[who]["y"], WHO[who])
    return svg(frame.width, frame.height, title, body)


def calibration(found: Mapping[str, Any]) -> Markup | None:
    """Observed share over mean score, and the diagonal a calibrated model lies on; zoomed to where the scores are."""
    drawn = {who: c for who, c in found.items() if c}
    if not drawn:
        return None
    top = min(max(max(*c["mean_score"], *c["share_positive"]) for c in drawn.values()) * 1.05, 1.0)
    frame = Frame((0, top), (0, top))
    body = frame.axes("mean score", "observed share") + polyline(frame, (0, top), (0, top), "reference")
    for who in ("champion", "candidate"):
        if who in drawn:
            xs, ys = drawn[who]["mean_score"], drawn[who]["share_positive"]
            body += polyline(frame, xs, ys, WHO[who])
            dots = (
                f'<circle class="{WHO[who]} dot" cx="{frame.px(x)}" cy="{frame.py(y)}" r="2.6"/>'
                for x, y in zip(xs, ys, strict=True)
            )
            body += Markup("".join(dots))
    return svg(frame.width, frame.height, "Calibration: observed share over mean score", body)


def histograms(found: Mapping[str, Any], x_label: str, title: str) -> Markup | None:
    """Shares of rows by value, one outline for each model."""
    drawn = {who: c for who, c in found.items() if c and sum(c["rows"])}
    if not drawn:
        return None
    shares = {who: [n / sum(c["rows"]) for n in c["rows"]] for who, c in drawn.items()}
    low, high = (f(f(c["edges"]) for c in drawn.values()) for f in (min, max))
    frame = Frame((low, high), (0, max(max(s) for s in shares.values()) * 1.08))
    body = frame.axes(x_label, "share of rows")
    for who in ("champion", "candidate"):
        if who in drawn:
            body += _steps(frame, drawn[who]["edges"], shares[who], WHO[who])
    return svg(frame.width, frame.height, title, body)


def scatter(points: Sequence[Sequence[float]]) -> Markup | None:
    """The challenger's score over the champion's on the same requests, and the line of agreement."""
    if not points:
        return None
    values = [v for p in points for v in p]
    low, high = min(values), max(values)
    frame = Frame((low, high), (low, high))
    body = frame.axes("champion's score", "challenger's score") + polyline(frame, (low, high), (low, high), "reference")
    dots = (f'<circle class="candidate point" cx="{frame.px(x)}" cy="{frame.py(y)}" r="2"/>' for x, y in points)
    body += Markup("".join(dots))
    return svg(frame.width, frame.height, "Challenger's score over champion's on the same requests", body)


def _steps(frame: Frame, edges: Sequence[float], heights: Sequence[float], css: str) -> Markup:
    xs = [edges[0], *(e for edge in edges[1:-1] for e in (edge, edge)), edges[-1]]
    ys = [h for height in heights for h in (height, height)]
    return polyline(frame, xs, ys, css)


# --- intervals -------------------------------------------------------------------------------------------------------


def interval(c: Mapping[str, Any], width: int = 190, height: int = 30) -> Markup | None:
    """The interval of a difference against its bound: right of the bound is too much. None without one."""
    low, high, bound = c.get("low"), c.get("high"), c.get("bound")
    if low is None or high is None or bound is None:
        return None
    ends = [low, high, bound, 0.0]
    room = (max(ends) - min(ends)) * 0.12 or 1.0
    frame = Frame((min(ends) - room, max(ends) + room), (0, 1), width, height, 4, 0, 0, 4)
    body = _whisker(frame, c, bound, height / 2, height / 2)
    # A bound below zero asks for a gain; "worse by up to -0.01" would say the same in a riddle.
    asked = f"worse by up to {bound:.4g} is allowed" if bound >= 0 else f"better by more than {-bound:.4g} is asked for"
    name = f"{bounds_in_words(low, high)}; {asked}"
    return svg(width, height, name, body, "interval")


def forest(criteria: Sequence[Mapping[str, Any]], width: int = 760) -> Markup | None:
    """A line for each slice: how much worse the candidate may be there, with its margin drawn. None without slices."""
    rows = [c for c in criteria if c.get("low") is not None and c.get("high") is not None]
    if not rows:
        return None
    bounds = [c["bound"] for c in rows if c.get("bound") is not None]
    ends = [v for c in rows for v in (c["low"], c["high"])] + bounds + [0.0]
    room = (max(ends) - min(ends)) * 0.05 or 1.0
    each, top = 24, 20
    height = top + each * len(rows) + 32
    frame = Frame((min(ends) - room, max(ends) + room), (0, 1), width, height, 210, 32, top, 90)
    parts = [Markup("")]
    base = height - 32
    for value in ticks(*frame.x, 6):
        x = frame.px(value)
        parts.append(Markup(f'<line class="grid" x1="{x}" x2="{x}" y1="{top}" y2="{base}"/>'))
        parts.append(Markup(f'<text class="tick" x="{x}" y="{base + 14}" text-anchor="middle">{short(value)}</text>'))
    for i, c in enumerate(rows):
        y = top + each * i + each / 2
        name = str(c["criterion"])
        shown = name if len(name) <= 32 else name[:31] + "…"
        parts.append(
            Markup('<text class="name" x="200" y="{}" text-anchor="end">{}</text>').format(round(y + 4, 1), shown)
        )
        bound = c["bound"] if c.get("bound") is not None else 0.0
        parts.append(_whisker(frame, c, bound, y, each / 2 - 3))
        parts.append(
            Markup('<text class="tick" x="{}" y="{}">{} rows</text>').format(
                width - 84, round(y + 4, 1), f"{c['rows']:,}"
            )
        )
    zero = frame.px(0.0)
    parts.append(Markup(f'<line class="zero" x1="{zero}" x2="{zero}" y1="{top}" y2="{base}"/>'))
    parts.append(Markup('<text class="label" x="{}" y="{}" text-anchor="end">better</text>').format(zero - 6, 12))
    parts.append(Markup('<text class="label" x="{}" y="{}">worse</text>').format(zero + 6, 12))
    parts.append(
        Markup(
            '<text class="label" x="{}" y="{}" text-anchor="middle">candidate less champion, or baseline</text>'
        ).format((frame.left + width - frame.right) / 2, height - 4)
    )
    return svg(
        width, height, "Slices: how much worse the candidate is, and what is allowed", Markup("").join(parts), "forest"
    )


def _whisker(frame: Frame, c: Mapping[str, Any], bound: float, y: float, reach: float) -> Markup:
    """A criterion's interval at the height ``y``, and its bound as far as ``reach`` above and below."""
    low, high = c["low"], c["high"]
    css = {"PASS": "pass", "FAIL": "fail"}.get(str(c.get("verdict", "")), "inconclusive")
    a, b, m, limit = frame.px(low), frame.px(high), frame.px((low + high) / 2), frame.px(bound)
    return Markup(
        f'<line class="{css} whisker" x1="{a}" x2="{b}" y1="{y}" y2="{y}"/>'
        f'<circle class="{css} centre" cx="{m}" cy="{y}" r="3.5"/>'
        f'<line class="bound" x1="{limit}" x2="{limit}" y1="{y - reach}" y2="{y + reach}"/>'
    )


# --- time and drift --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Anchored:
    """The days of one incident, and the level and the band that it keeps."""

    since: str
    until: str | None
    """None while it is open."""
    anchor: float
    band: float


def performance(
    days: Sequence[Any],
    marks: Sequence[tuple[str, str, str]],
    metric: str,
    incidents: Sequence[Anchored] = (),
    reports: str = "",
) -> Markup | None:
    """The loss by day, realised on matured labels and estimated before them, with the reference and its band, and the
    anchor and its band where an incident is open.

    ``marks`` are (day, kind, text); one between two judged days is drawn at the later. ``reports`` is the address of
    a report without its id: with it each day says its numbers under the pointer, and leads to its report. None with too
    few days to draw.
    """
    realised = _known(d.realised.get("recent_risk") for d in days)
    estimated = _known(None if d.estimated.get("void") else d.estimated.get("risk") for d in days)
    if max(len(realised), len(estimated)) < 2:
        return None
    reference = _known(d.realised.get("reference_risk") for d in days)
    band = [(i, r + (days[i].realised.get("tolerance") or 0.0)) for i, r in reference]
    anchored = [line for each in incidents for line in _anchored(days, each)]
    values = [v for line in (realised, estimated, reference, band, *(line for line, _ in anchored)) for _, v in line]
    room = (max(values) - min(values)) * 0.12 or 0.1
    frame = Frame((0, max(len(days) - 1, 1)), (min(values) - room, max(values) + room), 900, 240, 52, 40, 16, 12)
    parts = [frame.axes("", metric, x_ticks=0)]
    every = max(1, math.ceil(len(days) / 8))
    base = frame.height - frame.bottom
    for i in range(0, len(days), every):
        parts.append(
            Markup('<text class="tick" x="{}" y="{}" text-anchor="middle">{}</text>').format(
                frame.px(i), base + 16, days[i].day[5:]
            )
        )
    parts += [_dated(frame, reference, "reference"), _dated(frame, band, "limit")]
    parts += [_dated(frame, line, css) for line, css in anchored]
    parts += _marks(frame, days, marks)
    parts += [_dated(frame, estimated, "estimated"), _dated(frame, realised, "candidate")]
    for i, value in realised:
        if days[i].flags.get("realised") is True:
            parts.append(Markup('<circle class="alarm" cx="{}" cy="{}" r="3.5"/>').format(frame.px(i), frame.py(value)))
    if reports:
        parts += [_day(frame, i, each, metric, reports) for i, each in enumerate(days)]
    title = f"{metric} by day, realised and estimated"
    return svg(frame.width, frame.height, title, Markup("").join(parts), "wide", "group" if reports else "img")


def _day(frame: Frame, i: int, day: Any, metric: str, reports: str) -> Markup:
    """The strip of one day: its numbers under the pointer, and the way to its report."""
    half = (frame.px(1) - frame.px(0)) / 2
    left, right = max(frame.px(i) - half, frame.left), min(frame.px(i) + half, frame.width - frame.right)
    lane = DayLane("realised", day.flags.get("realised"), "")
    risk, reference = day.realised.get("recent_risk"), day.realised.get("reference_risk")
    tolerance, expected = day.realised.get("tolerance") or 0.0, day.estimated.get("risk")
    shown = f"{day.day}: {f'{metric} {short(risk)}, ' if risk is not None else ''}{lane.word}"
    if reference is not None:
        shown += f"; allowed up to {short(reference + tolerance)}"
    if expected is not None and not day.estimated.get("void"):
        shown += f"; estimated {short(expected)}"
    return Markup(
        '<a class="day" href="{}{}" aria-label="{}"><title>{}</title>'
        '<rect class="day" x="{}" y="{}" width="{}" height="{}"/></a>'
    ).format(
        reports,
        quote(day.report_id),
        shown,
        shown,
        round(left, 1),
        frame.top,
        round(right - left, 1),
        frame.height - frame.bottom - frame.top,
    )


def _anchored(days: Sequence[Any], incident: Anchored) -> list[tuple[list[tuple[int, float]], str]]:
    """The two lines of an incident, each with its class, over its judged days; none where there are fewer than two."""
    during = [i for i, d in enumerate(days) if incident.since <= d.day and d.day <= (incident.until or d.day)]
    if len(during) < 2:
        return []
    return [([(i, incident.anchor) for i in during], "anchor"), ([(i, incident.band) for i in during], "anchor-band")]


def _known(values: Iterable[float | None]) -> list[tuple[int, float]]:
    return [(i, v) for i, v in enumerate(values) if v is not None and math.isfinite(v)]


def _dated(frame: Frame, line: Sequence[tuple[int, float]], css: str) -> Markup:
    return polyline(frame, [i for i, _ in line], [v for _, v in line], css) if line else Markup("")


def _marks(frame: Frame, days: Sequence[Any], marks: Sequence[tuple[str, str, str]]) -> Iterator[Markup]:
    """A line for each change of champion; texts of neighbours are put at different heights."""
    base = frame.height - frame.bottom
    for n, (day, kind, text) in enumerate(marks):
        at = next((i for i, d in enumerate(days) if d.day >= day), None)
        if at is None or (at == 0 and days[0].day > day):
            continue
        x = frame.px(at)
        at_the_end = x > frame.width - frame.right - 40
        yield Markup(
            '<g class="{}"><title>{}</title><line x1="{}" x2="{}" y1="{}" y2="{}"/>'
            '<text x="{}" y="{}" text-anchor="{}">{}</text></g>'
        ).format(
            "mark bad" if kind == "rollback" else "mark",
            f"{kind} of {text} on {day}",
            x,
            x,
            frame.top,
            base,
            x - 4 if at_the_end else x + 4,
            frame.top + 26 + 13 * (n % 2),
            "end" if at_the_end else "start",
            text,
        )


def sparkline(values: Sequence[float | None], highest: float, width: int = 150, height: int = 34) -> Markup:
    """A feature's effect over the days; all features share one scale."""
    frame = Frame((0, max(len(values) - 1, 1)), (0, highest or 1.0), width, height, 2, 3, 3, 2)
    known = [(i, min(v, highest)) for i, v in enumerate(values) if v is not None]
    base = height - 3
    body = Markup(f'<line class="axis" x1="2" x2="{width - 2}" y1="{base}" y2="{base}"/>')
    if known:
        body += polyline(frame, [i for i, _ in known], [v for _, v in known], "candidate")
    return svg(width, height, "Effect by day", body, "spark")


def recent(values: Sequence[float | None], reference: float | None, limit: float | None, name: str) -> Markup | None:
    """A loss over the last reports, with its reference and what is tolerated. None with too few days to draw."""
    known = _known(values)
    if len(known) < 2:
        return None
    levels = [v for v in (reference, limit) if v is not None]
    low, high = min([v for _, v in known] + levels), max([v for _, v in known] + levels)
    room = (high - low) * 0.1 or 0.1
    width, height = 96, 30
    frame = Frame((0, max(len(values) - 1, 1)), (low - room, high + room), width, height, 2, 3, 3, 3)
    body = Markup("").join(
        polyline(frame, (0, max(len(values) - 1, 1)), (v, v), css)
        for v, css in ((reference, "reference"), (limit, "limit"))
        if v is not None
    )
    return svg(width, height, name, body + _dated(frame, known, "candidate"), "recent")


def two_windows(plot: Mapping[str, Any] | None, width: int = 250, height: int = 92) -> Markup | None:
    """A feature's reference (outline) and current (filled) shares, bin by bin. None without a histogram."""
    if not plot:
        return None
    past, now = list(plot["reference"]), list(plot["current"])
    names = [str(c) for c in plot.get("categories", [])] or [""] * len(past)
    if "others" in plot and any(plot["others"]):
        past, now, names = [*past, plot["others"][0]], [*now, plot["others"][1]], [*names, "others"]
    if "unseen" in plot and any(plot["unseen"]):
        past, now, names = [*past, plot["unseen"][0]], [*now, plot["unseen"][1]], [*names, "never seen"]
    if any(plot.get("infinite", ())):
        past, now = [*past, plot["infinite"][0]], [*now, plot["infinite"][1]]
        names = [*names, "infinite"]
    past, now, names = [*past, plot["missing"][0]], [*now, plot["missing"][1]], [*names, "missing"]
    if not sum(past) or not sum(now):
        return None
    before, after = ([n / sum(found) for n in found] for found in (past, now))
    top, each = max(*before, *after), width / len(past)
    base, scale = height - 16, (height - 22) / max(*before, *after)
    parts = []
    for i, (b, a) in enumerate(zip(before, after, strict=True)):
        x, w = i * each + 1, max(each - 2, 1)
        title = escape(f"{names[i] or _bin(plot, i)}: {b:.1%} before, {a:.1%} now")
        parts.append(
            f"<g><title>{title}</title>"
            f'<rect class="now" x="{x:.1f}" y="{base - a * scale:.1f}" width="{w:.1f}" height="{a * scale:.1f}"/>'
            f'<rect class="before" x="{x:.1f}" y="{base - b * scale:.1f}" width="{w:.1f}" height="{b * scale:.1f}"/>'
            "</g>"
        )
    edges = plot.get("edges")
    if edges:
        last, end = short(edges[-1]), len(plot["reference"]) * each - 2
        parts.append(f'<text class="tick" x="1" y="{height - 3}">{short(edges[0])}</text>')
        parts.append(f'<text class="tick" x="{end:.1f}" y="{height - 3}" text-anchor="end">{last}</text>')
    parts.append(f'<text class="tick" x="{width - 1}" y="{height - 3}" text-anchor="end">∅</text>')
    return svg(width, height, f"Before and now; the highest bar is {top:.0%}", "".join(parts), "windows")


def _bin(plot: Mapping[str, Any], i: int) -> str:
    edges = plot.get("edges") or []
    if i == 0:
        return f"below {short(edges[0])}" if edges else "below"
    if i >= len(edges):
        return f"above {short(edges[-1])}" if edges else "above"
    return f"{short(edges[i - 1])} to {short(edges[i])}"
