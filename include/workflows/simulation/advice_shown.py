"""Advice as a person reads it: what was tried, what the rest of the past says, and the lines to paste."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any

from include.config import yaml_text
from include.domain.intervals import Interval
from include.domain.simulation.advice import AdviceAnswer, GainOverDays
from include.workflows.simulation.advise import NEVER, Advice
from include.workflows.tables.reading import finite

WIDTH = 120


def as_lines(found: Advice) -> list[str]:
    from rich.console import Console
    from rich.table import Table

    title = f"{found.what}, tried on {_days(found.chosen_on)}, price {found.price.amount:.4g} a retrain"
    table = Table(title=title, title_justify="left")
    table.add_column("policy", overflow="fold", max_width=60)
    for name in ("loss", "retrains", "cost"):
        table.add_column(name, justify="right")
    for trial in found.trials:
        name = trial.name + (" (cheapest)" if trial is found.chosen else "")
        table.add_row(name, f"{trial.loss:,.1f}", str(trial.retrains), f"{trial.cost:,.1f}")
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        console = Console(width=WIDTH, record=True, file=nowhere)
        console.print(table)
        lines = console.export_text().splitlines()
    return [line.rstrip() for line in lines] + list(_sentences(found))


def _sentences(found: Advice) -> Iterator[str]:
    yield f"The price of one retrain is {found.price.amount:.4g} of summed loss: {found.price.source}."
    yield (
        f"{len(found.trials)} policies were tried and {found.fits} candidates fitted. The days of "
        f"{_days(found.confirmed_on)} were not looked at for the choice."
    )
    yield "There " + ", ".join(f"{name} cost {cost:,.1f}" for name, cost in found.rest.items()) + "."
    if found.answer is AdviceAnswer.KEEP:
        yield "Advice: keep what is declared. Nothing that was tried would have cost less."
        return
    told = f"{found.chosen.name} gained {_interval(found.gain)} there" if found.gain is not None else ""
    if found.answer is AdviceAnswer.NOT_SHOWN:
        yield f"Advice: keep what is declared. {told}: it is not shown to be cheaper."
        return
    if found.chosen.name == NEVER:
        yield (
            f"Advice: do not retrain by itself. {told}. The nearest that a declaration can say, with training.schedule "
            "left out, is at most one journey a year:"
        )
    else:
        yield f"Advice: change the declaration. {told}. Paste:"
    yield from pasted(found.settings)


def _interval(gain: GainOverDays) -> str:
    if gain.why_unknown is not None:
        return f"{gain.total:,.1f} (no interval: {gain.why_unknown})"
    return f"{gain.total:,.1f} (95 % interval {gain.low:,.1f} to {gain.high:,.1f}, {gain.days} days)"


def _days(interval: Interval) -> str:
    return f"{interval.start:%Y-%m-%d} to {interval.end:%Y-%m-%d}"


def _from_to(interval: Interval) -> dict[str, str]:
    return {"from": f"{interval.start:%Y-%m-%d}", "to": f"{interval.end:%Y-%m-%d}"}


def pasted(settings: Sequence[str]) -> list[str]:
    """The lines of a declaration that say the same as ``path=value`` settings.

    >>> pasted(["training.window_days=30", "training.schedule=0 6 1 * *", "drift.estimated.acts=false"])
    ['training:', '  window_days: 30', '  schedule: 0 6 1 * *', 'drift:', '  estimated:', '    acts: false']
    """
    import yaml

    nested: dict[str, Any] = {}
    for setting in settings:
        path, _, value = setting.partition("=")
        *blocks, name = path.split(".")
        here = nested
        for block in blocks:
            here = here.setdefault(block, {})
        here[name] = yaml_text.parsed(value)
    text: str = yaml.safe_dump(nested, sort_keys=False, default_flow_style=False)
    return text.splitlines()


def as_json(found: Advice) -> dict[str, Any]:
    data: dict[str, Any] = finite(
        {
            "what": found.what,
            "metric": found.metric,
            "chosen_on": _from_to(found.chosen_on),
            "confirmed_on": _from_to(found.confirmed_on),
            "price": found.price.amount,
            "price_source": found.price.source,
            "trials": [trial.as_json() for trial in found.trials],
            "chosen": found.chosen.name,
            "rest": dict(found.rest),
            "gain": found.gain.as_json() if found.gain is not None else None,
            "answer": found.answer.value,
            "settings": list(found.settings),
            "fits": found.fits,
        }
    )
    return data
