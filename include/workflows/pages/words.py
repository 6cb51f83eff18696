"""The sentences of the pages that are no data."""

from __future__ import annotations

RUNBOOK = "docs/runbook/{gate}.md"
"""A gate's page in the runbook."""

ASKS = {
    "data_quality_gate": "May these rows be learned from?",
    "leakage_gate": "Does any feature know the answer?",
    "threshold_gate": "Is the candidate good enough in absolute terms?",
    "champion_gate": "Is it no worse than the champion on the same rows, and better than looking at nothing?",
    "slice_gate": "Is it no worse for any group of rows?",
    "latency_gate": "Does it answer quickly enough?",
    "signature_gate": "Does it take the same inputs and give the same output as the champion?",
    "smoke_gate": "Does the registered file load and answer in a fresh process?",
    "shadow_gate": "Did it answer real traffic, and differently enough from the champion but not too much?",
    "approval": "Does a person agree?",
}

PHASES = (
    ("Data", "build_training_set", ("data_quality_gate", "leakage_gate")),
    ("Train", "train", ()),
    ("Judge", "evaluate", ("threshold_gate", "champion_gate", "slice_gate", "latency_gate", "signature_gate")),
    ("Register", "register_challenger", ("smoke_gate",)),
    ("Shadow", "shadow_window", ("shadow_gate",)),
    ("Approve", "approval", ("approval",)),
    ("Promote", "promote", ()),
)
"""The stations of a candidate's way: its name, the task that does the work, and the gates that follow it."""

TRIGGERS = {
    "drift": "drift",
    "schedule": "the declared schedule",
    "api": "a request",
    "manual": "a person",
    "bootstrap": "the first deployment",
}


def gate_title(gate: str) -> str:
    """
    >>> gate_title("champion_gate"), gate_title("data_quality_gate"), gate_title("approval")
    ('Champion gate', 'Data quality gate', 'Approval')
    """
    return gate.replace("_", " ").capitalize()
