"""The pictures on an MLflow run page: candidate and champion overlaid."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from include.domain.curves import Confusion, Curve, Reliability, Residuals

COLOURS = {"candidate": "#0b6e99", "champion": "#c2571a"}


def overlaid(curves: Mapping[str, Curve | None]) -> Any:
    """One line for each model, with the curve's own axes; a curve that could not be drawn is left out."""
    figure, axes = _new()
    for who, curve in curves.items():
        if curve is not None:
            axes.plot(curve.x, curve.y, label=who, color=COLOURS.get(who))
            axes.set_xlabel(curve.x_label)
            axes.set_ylabel(curve.y_label)
    return _with_legend(figure, axes)


def calibration(found: Mapping[str, Reliability | None]) -> Any:
    """Observed share over mean score in equal-mass bins, and the diagonal a calibrated model lies on."""
    figure, axes = _new()
    axes.plot([0, 1], [0, 1], color="#999999", linewidth=1, label="calibrated")
    for who, curve in found.items():
        if curve is not None:
            axes.plot(curve.mean_score, curve.share_positive, marker="o", label=who, color=COLOURS.get(who))
    axes.set_xlabel("mean score")
    axes.set_ylabel("observed share")
    return _with_legend(figure, axes)


def residual_histogram(found: Mapping[str, Residuals | None], unit: str) -> Any:
    """The errors of the predictions, as a histogram for each model."""
    figure, axes = _new()
    for who, shown in found.items():
        if shown is not None:
            axes.stairs(shown.histogram.rows, shown.histogram.edges, label=who, color=COLOURS.get(who))
    axes.set_xlabel(f"{unit}: actual - predicted")
    axes.set_ylabel("rows")
    return _with_legend(figure, axes)


def confusions(found: Mapping[str, Confusion | None]) -> Any:
    """For each model the share of each class's rows (down) that were answered by each class (across), with the rows."""
    drawn = {who: each for who, each in found.items() if each is not None}
    figure, _ = _new(0)
    for number, (who, each) in enumerate(drawn.items(), 1):
        axes = figure.add_subplot(1, len(drawn), number)
        shares = [[n / max(sum(row), 1) for n in row] for row in each.rows]
        axes.imshow(shares, vmin=0, vmax=1, cmap="Blues")
        for i, row in enumerate(each.rows):
            for j, n in enumerate(row):
                colour = "white" if shares[i][j] > 0.5 else "black"
                axes.text(j, i, f"{n:,}", ha="center", va="center", color=colour, fontsize=8)
        places = range(len(each.classes))
        axes.set_xticks(places, each.classes, rotation=45)
        axes.set_yticks(places, each.classes)
        axes.set_xlabel("answered")
        axes.set_ylabel("was")
        axes.set_title(who)
    return figure


def _with_legend(figure: Any, axes: Any) -> Any:
    """A legend, where there is anything to name."""
    if axes.get_legend_handles_labels()[0]:
        axes.legend()
    return figure


def _new(axes: int = 1) -> tuple[Any, Any]:
    """A figure with one pair of axes, or with none yet."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4.5) if axes else (9, 4.5), layout="constrained")
    return figure, figure.subplots() if axes else None
