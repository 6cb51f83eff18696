"""Drift as pictures, for the page of an MLflow run and for ``slipway drift --plot``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from include.domain.drift.input_drift import FeatureDrift

REFERENCE, CURRENT = "#7a8a99", "#c2571a"
LINES = ("#0b6e99", "#c2571a", "#6a4c93")
MOST_SHOWN = 12
MOST_TICKS = 12
NAME_LENGTH = 14


@dataclass(frozen=True, slots=True)
class Line:
    """Values over the names of a timeline, None where there is none, and a level to compare them with."""

    label: str
    values: tuple[float | None, ...]
    level: float | None = None
    level_label: str = ""


def both_windows(histograms: Mapping[str, Any], features: Sequence[FeatureDrift], title: str) -> Any:
    """The histograms of both windows side by side: drifted features first, then those not judged, then the
    largest effects, at most twelve."""
    from matplotlib.figure import Figure

    shown = sorted(features, key=lambda f: (f.drifted is not True, f.drifted is not None, -f.effect))[:MOST_SHOWN]
    columns = min(3, max(1, len(shown)))
    rows = max(1, -(-len(shown) // columns))
    figure = Figure(figsize=(4.2 * columns, 2.8 * rows + 0.4), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat[len(shown) :]:
        axes.set_visible(False)
    for feature, axes in zip(shown, grid.flat, strict=False):
        _bars(axes, histograms[feature.name])
        drifted = {True: "drifted", False: "quiet", None: "not judged"}[feature.drifted]
        axes.set_title(f"{_plain(feature.name)}: {drifted}, effect {feature.effect:.3f}", fontsize=9)
    if shown:
        grid.flat[0].legend(fontsize=8)
    figure.suptitle(title, fontsize=10)
    return figure


def over_time(names: Sequence[str], panels: Sequence[Sequence[Line]], title: str, marks: Mapping[str, str]) -> Any:
    """Lines over time, a panel for each group of them.

    Args:
        names: What the places along the axis are called, in order.
        panels: The lines of each panel; every line has a value for each name.
        title: What is shown.
        marks: What happened at which name (a promotion); drawn as a line through all panels.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 2.6 * max(len(panels), 1) + 0.4), layout="constrained")
    grid = figure.subplots(max(len(panels), 1), 1, squeeze=False, sharex=True)
    places = range(len(names))
    for lines, axes in zip(panels, grid[:, 0], strict=False):
        for line, colour in zip(lines, LINES, strict=False):
            values = [float("nan") if v is None else v for v in line.values]
            axes.plot(places, values, marker=".", color=colour, label=line.label)
            if line.level is not None:
                axes.axhline(line.level, color=colour, linestyle="--", linewidth=1, label=line.level_label or None)
        for name, what in marks.items():
            if name in names:
                axes.axvline(list(names).index(name), color="#2e7d32", linewidth=1)
                axes.annotate(
                    _plain(what), (list(names).index(name), 1), xycoords=("data", "axes fraction"), fontsize=7
                )
        axes.legend(fontsize=8, loc="best")
    step = max(1, -(-len(names) // MOST_TICKS))
    grid[-1, 0].set_xticks(list(places)[::step], [_plain(n) for n in list(names)[::step]], rotation=30, fontsize=8)
    figure.suptitle(title, fontsize=10)
    return figure


def _bars(axes: Any, plot: Mapping[str, Any]) -> None:
    import numpy as np

    names, pairs = _bins(plot)
    places = np.arange(len(names))
    for counts, offset, label, colour in zip(
        pairs, (-0.2, 0.2), ("reference", "current"), (REFERENCE, CURRENT), strict=True
    ):
        total = sum(counts)
        axes.bar(places + offset, [c / total if total else 0.0 for c in counts], 0.4, label=label, color=colour)
    step = max(1, -(-len(names) // MOST_TICKS))
    axes.set_xticks(places[::step], names[::step], rotation=40, fontsize=7)
    axes.set_ylabel("share", fontsize=8)


def _bins(plot: Mapping[str, Any]) -> tuple[list[str], tuple[list[float], list[float]]]:
    """What each bin is called, and both windows' rows in it."""
    a, b = list(plot["reference"]), list(plot["current"])
    if "edges" in plot:
        edges = plot["edges"]
        names = [f"< {edges[0]:.3g}", *(f"{e:.3g}" for e in edges)] if edges else ["any"]
        names[-1] = f">= {edges[-1]:.3g}" if edges else "any"
    else:
        names = [_plain(str(c)) for c in plot["categories"]]
        for word in ("others", "unseen"):
            names, a, b = [*names, word], [*a, plot[word][0]], [*b, plot[word][1]]
    if any(plot.get("infinite", ())):
        names, a, b = [*names, "infinite"], [*a, plot["infinite"][0]], [*b, plot["infinite"][1]]
    return [*names, "missing"], ([*a, plot["missing"][0]], [*b, plot["missing"][1]])


def _plain(text: str) -> str:
    """Short, and with nothing that matplotlib reads as a formula."""
    cut = text if len(text) <= NAME_LENGTH * 3 else f"{text[: NAME_LENGTH * 3]}..."
    return cut.replace("$", r"\$")
