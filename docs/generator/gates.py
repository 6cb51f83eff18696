"""The gates, read from their registry, in the order in which a candidate meets them."""

from __future__ import annotations

from docs.generator.markdown import code, page, table
from include.workflows.gates import GATES
from include.workflows.gates.gate import STATIONS


def page_of() -> str:
    phases = {station.step: station.phase for station in STATIONS}
    rows = [
        [
            f"[{gate.name}](../runbook/{gate.name}.md)",
            phases[gate.after],
            code(gate.after),
            gate.asks,
            code(gate.field),
            "yes" if gate.replayable else "no",
            ", ".join(each.seed for each in gate.seeds) or "none",
        ]
        for gate in GATES
    ]
    head = ("gate", "phase", "after", "what it asks", "declared in", "in `simulate`", "bad candidates it must stop")
    return page(
        "# Gates",
        "Each gate is one file of `include/workflows/gates/`. A gate that a model does not declare is not run. The "
        "last column names the seeded candidates of the [selftest](../selftest.md).",
        table(head, rows),
    )
