"""A simulation as a person reads it: tables, JSON, and a picture."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from include.domain.errors import Refusal
from include.domain.simulation.hindsight import DWELL_DAYS
from include.domain.simulation.outcome import PolicyKind, PolicyOutcome
from include.domain.verdicts import Verdict
from include.workflows.simulation.run import Simulation
from include.workflows.tables.reading import finite

if TYPE_CHECKING:
    import numpy as np

WIDTH = 140
SMOOTHED_DAYS = 7
MAX_JOURNEYS = 30
"""Journeys of one variant that the table shows; the JSON has all."""


class CannotPlot(Refusal, OSError):
    """A picture that cannot be written where it was asked for."""


def as_lines(found: Simulation) -> list[str]:
    from rich.console import Console
    from rich.table import Table

    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        console = Console(width=WIDTH, record=True, file=nowhere)
        interval = found.interval
        days = f"{interval.start:%Y-%m-%d} to {interval.end:%Y-%m-%d}"
        title = f"{found.what}, {days}, price {found.price.amount:.4g} a retrain"
        policies = Table(title=title, title_justify="left")
        policies.add_column("policy", overflow="fold", max_width=44)
        metric = found.policies[0].metric
        for name in (f"{metric} per row", "loss", "retrains", "cost", "alarms", "promoted", "suppressed", "escalated"):
            policies.add_column(name, justify="right")
        cheapest = min((p.cost for p in found.policies if p.kind is not PolicyKind.HINDSIGHT), default=None)
        for policy in found.policies:
            policies.add_row(*_row(policy, policy.cost == cheapest))
        console.print(policies)
        for policy in found.policies:
            if policy.kind is PolicyKind.DECLARED and policy.journeys:
                console.print(_journeys(policy))
        lines = console.export_text().splitlines()
    return [line.rstrip() for line in lines] + list(_sentences(found))


def _row(policy: PolicyOutcome, cheapest: bool) -> list[str]:
    mean = "-" if policy.mean_loss is None else f"{policy.mean_loss:.4f}"
    row = [
        policy.name + (" (cheapest)" if cheapest else ""),
        mean,
        f"{policy.total_loss:,.1f}",
        str(policy.retrains),
        f"{policy.cost:,.1f}",
    ]
    if policy.kind is not PolicyKind.DECLARED:
        return [*row, "", "", "", ""]
    actions = policy.actions
    return [*row, str(policy.alarms), str(policy.promotions), str(actions["suppress"]), str(actions["escalate"])]


def _journeys(policy: PolicyOutcome) -> Any:
    from rich.table import Table

    table = Table("as of", "started by", "verdicts", "outcome", title=f"Journeys: {policy.name}", title_justify="left")
    for j in policy.journeys[:MAX_JOURNEYS]:
        verdicts = ", ".join(f"{gate.removesuffix('_gate')} {verdict}" for gate, verdict in j.verdicts.items())
        table.add_row(j.as_of, j.trigger, verdicts, j.outcome + (f": {j.stopped_by}" if j.stopped_by else ""))
    if len(policy.journeys) > MAX_JOURNEYS:
        table.add_row("...", "", f"{len(policy.journeys) - MAX_JOURNEYS} more; --json has all", "")
    return table


def _sentences(found: Simulation) -> Iterator[str]:
    rows = max(p.rows for p in found.policies)
    yield (
        f"{rows:,} labelled rows on {len(found.interval.days)} days, {found.fits} candidates fitted. Loss is summed "
        "over rows; cost is loss + price x retrains."
    )
    yield f"The price of one retrain is {found.price.amount:.4g} of summed loss: {found.price.source}."
    if any(p.kind is PolicyKind.HINDSIGHT for p in found.policies):
        yield (
            f"Hindsight stays at least {DWELL_DAYS} days with a model; its switches are chosen on every other row, and "
            "its loss is counted on the others."
        )
    yield (
        f"Every policy begins with its own champion as of {found.first_champion}"
        + ("." if not _objections(found) else f", although {_objections(found)}")
    )
    for policy in found.policies:
        yield from (f"{policy.name}: {note}" for note in policy.notes)
        if policy.kind is not PolicyKind.DECLARED:
            continue
        rules = dict[str, int]()
        for decision in policy.decisions:
            rules[decision.rule] = rules.get(decision.rule, 0) + 1
        told = ", ".join(f"{rule.partition(' ')[2]} {n}" for rule, n in sorted(rules.items(), key=lambda i: -i[1]))
        rejected = ", ".join(f"{gate} {n}" for gate, n in policy.rejections.items())
        yield f"{policy.name}: {told or 'nothing decided'}." + (f" Rejected by: {rejected}." if rejected else "")
    yield from found.remarks


def _objections(found: Simulation) -> str:
    """The gates' objections to the first champion, which serves nevertheless, because one model has to."""
    return " ".join(
        f"{g.gate} was {g.verdict.value}: {g.reason}" for g in found.first_gates if g.verdict is not Verdict.PASS
    )


def as_json(found: Simulation) -> dict[str, Any]:
    """Everything, day by day; NaN as null."""
    data: dict[str, Any] = finite(
        {
            "what": found.what,
            "from": found.interval.start.date().isoformat(),
            "to": found.interval.end.date().isoformat(),
            "price": found.price.amount,
            "price_source": found.price.source,
            "metric": found.policies[0].metric,
            "fits": found.fits,
            "first_champion": found.first_champion,
            "first_gates": [g.as_json() for g in found.first_gates],
            "policies": [p.as_json() for p in found.policies],
            "remarks": list(found.remarks),
        }
    )
    return data


# --- the picture -----------------------------------------------------------------------------------------------------


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
    """Above the loss of each policy over time, with the promotions; below the cost so far against never retraining."""
    import numpy as np
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 7), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True)
    never = next((p for p in found.policies if p.kind is PolicyKind.NEVER), found.policies[0])
    base = _by_day(never, found, cumulative=True)
    days = np.arange(len(found.interval.days)) + np.datetime64(found.interval.start.date().isoformat())
    for i, policy in enumerate(found.policies):
        colour, style = _STYLE.get(policy.kind, (f"C{i}", "-"))
        colour = f"C{i}" if policy.kind is PolicyKind.DECLARED else colour
        width = 2.0 if policy.kind is PolicyKind.DECLARED else 1.1
        above.plot(days, _smoothed(policy, found), label=policy.name, color=colour, linestyle=style, linewidth=width)
        gained = _by_day(policy, found, cumulative=True) + _spent(policy, found) - base
        below.plot(days, gained, color=colour, linestyle=style, linewidth=width)
        for journey in policy.journeys:
            if journey.serves_from is not None:
                for axes in (above, below):
                    axes.axvline(np.datetime64(journey.serves_from), color=colour, alpha=0.35, linewidth=0.9)
    above.set_ylabel(f"{never.metric}, {SMOOTHED_DAYS}-day mean")
    above.set_title(f"{found.what}: realised loss (upright lines: promotions)", loc="left", fontsize=10)
    figure.legend(loc="outside lower center", fontsize=8, ncols=3)
    below.axhline(0, color="#999999", linewidth=0.8)
    below.set_ylabel(f"cost so far - {never.name}")
    below.set_title("below zero: cheaper than never retraining", loc="left", fontsize=10)
    try:
        figure.savefig(path, dpi=110)
    except (OSError, ValueError) as error:
        raise CannotPlot(f"--plot {path} cannot be written: {error}") from None


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
