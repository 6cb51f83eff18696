"""Canaries of the past as a person reads them: a table, sentences, JSON."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from include.domain.gates.canary import Following
from include.domain.intervals import spoken
from include.domain.wording import count_of
from include.workflows.simulation.past_canary import PastCanary
from include.workflows.simulation.past_traffic import PastTraffic

WIDTH = 140
FOLLOWS = {
    Following.RAISE: "promoted",
    Following.END: "rejected",
    Following.ASK: "a person is asked",
    Following.WAIT: "not judged: the traffic was over",
}


def as_lines(model: str, traffic: PastTraffic, found: Sequence[PastCanary]) -> list[str]:
    from rich.console import Console
    from rich.table import Table

    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        console = Console(width=WIDTH, record=True, file=nowhere)
        table = Table(title=f"A canary of {model} on {_traffic(traffic)}", title_justify="left")
        table.add_column("candidate", overflow="fold", max_width=44)
        for name in ("step", "share", "asked", "its rows", "failed", "lasted"):
            table.add_column(name, justify="right")
        table.add_column("then")
        for each in found:
            for step in each.steps:
                ends = step is each.steps[-1]
                table.add_row(
                    each.name if step is each.steps[0] else "",
                    str(step.step + 1),
                    f"{step.share_ppm / 10_000:g} %",
                    f"{step.asked:,}",
                    f"{step.answered:,}",
                    f"{step.failed:,}",
                    spoken(step.lasted),
                    _then(each) if ends else "next share",
                )
        console.print(table)
        lines = console.export_text().splitlines()
    return [line.rstrip() for line in lines] + [_sentence(each) for each in found] + _left_out(traffic)


def as_json(model: str, traffic: PastTraffic, found: Sequence[PastCanary]) -> dict[str, Any]:
    return {
        "model": model,
        "rows": len(traffic.rows),
        "seconds": traffic.seconds,
        "without_unit": traffic.without_unit,
        "repeated": traffic.repeated,
        "candidates": [
            {
                "name": each.name,
                "then": each.then.value,
                "caught_by": each.caught_by,
                "rows": each.asked,
                "failed": each.failed,
                "seconds": each.lasted.total_seconds(),
                "steps": [
                    {
                        "step": step.step + 1,
                        "share_ppm": step.share_ppm,
                        "asked": step.asked,
                        "rows": step.answered,
                        "failed": step.failed,
                        "seconds": step.lasted.total_seconds(),
                        "then": step.then.value,
                        "verdict": step.result.verdict.value,
                        "reason": step.result.reason,
                    }
                    for step in each.steps
                ],
            }
            for each in found
        ],
    }


def _traffic(traffic: PastTraffic) -> str:
    first, last = traffic.rows[0].at, traffic.rows[-1].at
    return f"{count_of(len(traffic.rows), 'row')} from {first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M}"


def _then(each: PastCanary) -> str:
    by = f" by {each.caught_by}" if each.caught_by else ""
    return f"{FOLLOWS[each.then]}{by}"


def _sentence(each: PastCanary) -> str:
    share = f"asked for {count_of(each.asked, 'row')} in {spoken(each.lasted)}"
    failed = f", of which the champion answered {each.failed:,} that it failed on" if each.failed else ""
    why = f" {each.steps[-1].result.reason}" if each.then is not Following.RAISE and each.steps else ""
    return f"{each.name}: {share}{failed}; {_then(each)}.{why}"


def _left_out(traffic: PastTraffic) -> list[str]:
    said = []
    if traffic.without_unit:
        said.append(f"{count_of(traffic.without_unit, 'row')} name no unit: in a canary the champion answers them.")
    if traffic.repeated:
        said.append(f"{count_of(traffic.repeated, 'row')} were asked again and count once.")
    if any(row.features is None for row in traffic.rows):
        said.append("Not all features were kept (serving.omit), so no candidate with wrong values of one was tried.")
    return said
