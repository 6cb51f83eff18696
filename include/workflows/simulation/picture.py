"""A simulation as a picture: losses with the anchor's band, incidents, and costs against never retraining."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from include.domain.errors import Refusal
from include.domain.incident import Stage
from include.domain.simulation.outcome import PolicyKind, PolicyOutcome
from include.workflows.simulation.run import Simulation

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure

SMOOTHED_DAYS = 7
STAGES = {Stage.OPEN.value: "#cb181d", Stage.RECOVERING.value: "#fd8d3c"}
RECIPES = {"window": "o", "since_change": "^", "expanding": "s", "recent_weighted": "D", "former": "P", "pool": "X"}
"""The mark of a retrain by the recipe that won its race; any other, and none, is a short line."""


class CannotPlot(Refusal, OSError):
    """A picture that cannot be written where it was asked for."""


def check_plot(path: Path) -> None:
    """Before the work rather than after it.

    Raises:
        CannotPlot: when no picture can be written there.
    """
    from matplotlib.figure import Figure

    known = sorted(Figure().canvas.get_supported_filetypes())
    if path.suffix.lower().lstrip(".") not in known:
        raise CannotPlot(f"--plot {path} ends in {path.suffix or 'nothing'}; a picture is one of: {', '.join(known)}.")
    if not path.parent.is_dir():
        raise CannotPlot(f"--plot {path}: there is no folder {path.parent}. Make it first.")


def plot(found: Simulation, path: Path) -> None:
    """Write the picture.

    Raises:
        CannotPlot: when it cannot be written there.
    """
    try:
        drawn(found).savefig(path, dpi=110)
    except (OSError, ValueError) as error:
        raise CannotPlot(f"--plot {path} cannot be written: {error}") from None


def drawn(found: Simulation) -> Figure:
    """Above the loss of each policy over time, with the anchor's band while an incident lasts; then the incidents and
    retrains of each declared variant; below the cost so far against never retraining."""
    from matplotlib.figure import Figure

    declared = [(i, p) for i, p in enumerate(found.policies) if p.kind is PolicyKind.DECLARED]
    figure = Figure(figsize=(11, 7.5 + 0.25 * len(declared)), layout="constrained")
    heights = [4.0, 0.5 + 0.35 * len(declared), 3.5]
    above, strip, below = figure.subplots(3, 1, sharex=True, gridspec_kw={"height_ratios": heights})
    never = next((p for p in found.policies if p.kind is PolicyKind.NEVER), found.policies[0])
    _draw_losses(found, never, above, below)
    _draw_band(declared[0][1], found, above)
    _draw_incidents(declared, found, strip)
    figure.legend(loc="outside lower center", fontsize=8, ncols=3)
    return figure


def _draw_losses(found: Simulation, never: PolicyOutcome, above: Any, below: Any) -> None:
    import numpy as np

    base = _by_day(never, found, cumulative=True)
    days = np.arange(len(found.interval.days)) + _at(found.interval.start.date().isoformat())
    for i, policy in enumerate(found.policies):
        colour, style = _STYLE.get(policy.kind, (f"C{i}", "-"))
        width = 2.0 if policy.kind is PolicyKind.DECLARED else 1.1
        above.plot(days, _smoothed(policy, found), label=policy.name, color=colour, linestyle=style, linewidth=width)
        gained = _by_day(policy, found, cumulative=True) + _spent(policy, found) - base
        below.plot(days, gained, color=colour, linestyle=style, linewidth=width)
        for journey in policy.journeys:
            if journey.serves_from is not None:
                for axes in (above, below):
                    axes.axvline(_at(journey.serves_from), color=colour, alpha=0.35, linewidth=0.9)
    above.set_ylabel(f"{never.metric}, {SMOOTHED_DAYS}-day mean")
    above.set_title(f"{found.what}: realised loss (upright lines: promotions)", loc="left", fontsize=10)
    below.axhline(0, color="#999999", linewidth=0.8)
    below.set_ylabel(f"cost so far - {never.name}")
    below.set_title("below zero: cheaper than never retraining", loc="left", fontsize=10)


def _draw_band(policy: PolicyOutcome, found: Simulation, axes: Any) -> None:
    """The anchor and the top of its band, as long as the incident lasted."""
    end = found.interval.end.date().isoformat()
    for i, incident in enumerate(policy.incidents):
        days = [_at(incident.changed_on), _at(incident.closed_on or end)]
        named = {"label": f"anchor's band ({policy.name})"} if i == 0 else {}
        axes.fill_between(days, incident.anchor, incident.band, color="#74c476", alpha=0.45, linewidth=0, **named)
        axes.plot(days, [incident.anchor] * 2, color="#238b45", linewidth=0.9)


def _draw_incidents(declared: list[tuple[int, PolicyOutcome]], found: Simulation, axes: Any) -> None:
    """A line for each variant: when its incidents were open and recovering, and what each of its retrains learned
    from; filled where it was promoted."""
    end, named = found.interval.end.date().isoformat(), set[str]()
    for line, (i, policy) in enumerate(declared):
        for incident in policy.incidents:
            for stage, begin, until in incident.spans(end):
                width = max(_at(until) - _at(begin), _at("1970-01-02") - _at("1970-01-01"))
                label = {"label": f"incident {stage}"} if stage not in named else {}
                named.add(stage)
                axes.barh(line, width, left=_at(begin), height=0.5, color=STAGES[stage], alpha=0.6, **label)
        for journey in policy.journeys:
            mark, recipe = RECIPES.get(journey.recipe or "", "|"), journey.recipe or "no race"
            label = {"label": f"retrain: {recipe}"} if recipe not in named else {}
            named.add(recipe)
            filled = f"C{i}" if journey.serves_from is not None or mark == "|" else "white"
            edges = {} if mark == "|" else {"edgecolors": f"C{i}"}
            axes.scatter([_at(journey.as_of)], [line], marker=mark, s=42, c=filled, zorder=3, **edges, **label)
    axes.set_ylim(len(declared) - 0.5, -0.5)
    axes.set_yticks(range(len(declared)), [_short(policy.name) for _, policy in declared], fontsize=7)
    axes.set_title("incidents, and retrains by the recipe that won (filled: promoted)", loc="left", fontsize=10)


def _short(name: str) -> str:
    return name if len(name) <= 28 else f"{name[:27]}…"


def _at(day: str) -> Any:
    import numpy as np

    return np.datetime64(day)


_STYLE = {
    PolicyKind.NEVER: ("#555555", "-"),
    PolicyKind.EVERY: ("#8c6bb1", "--"),
    PolicyKind.EVERY_SHADOWED: ("#8c6bb1", ":"),
    PolicyKind.ALWAYS: ("#41ab5d", "--"),
    PolicyKind.HINDSIGHT: ("#d94801", ":"),
}


def _by_day(policy: PolicyOutcome, found: Simulation, *, cumulative: bool = False) -> np.ndarray[Any, Any]:
    import numpy as np

    losses = {d.day: d.loss for d in policy.days}
    values = np.array([losses.get(day, 0.0) for day in found.interval.days])
    return np.cumsum(values) if cumulative else values


def _smoothed(policy: PolicyOutcome, found: Simulation) -> np.ndarray[Any, Any]:
    """The mean loss of the last days' rows; NaN where there are none."""
    import numpy as np

    counts = {d.day: d.rows for d in policy.days}
    rows = np.array([counts.get(day, 0) for day in found.interval.days], dtype=float)
    window = np.ones(min(SMOOTHED_DAYS, len(rows)))
    losses = np.convolve(_by_day(policy, found), window)[: len(rows)]
    counted = np.convolve(rows, window)[: len(rows)]
    mean: np.ndarray[Any, Any] = np.full(len(rows), np.nan)
    np.divide(losses, counted, out=mean, where=counted > 0)
    if policy.metric == "rmse":
        np.sqrt(np.maximum(mean, 0.0), out=mean)
    return mean


def _spent(policy: PolicyOutcome, found: Simulation) -> np.ndarray[Any, Any]:
    """The price of the retrains so far, each paid on its as-of day."""
    import numpy as np

    days = found.interval.days
    return policy.price * np.array([sum(day >= paid for paid in policy.retrained_on) for day in days], dtype=float)
