"""What the ledger has to know of gates by their names: the former ones, and which of them judge the file that serves.

Records under a former name are not changed, and are read under the present name.
"""

from __future__ import annotations

FORMER = {"data_quality_gate": "training_data_gate"}
"""The name that each former name of a journey's gate has now."""
FORMER_TASKS = {"training_data_gate": ("data_quality_gate",), "audit_gate": ("data_quality_gate",)}
"""The ids that a gate's task had before, of a journey or of a feature view."""

CANARY_GATE = "canary_gate"
"""The gate without whose PASS no rollout's share grows."""
FILE_GATES = frozenset(
    {
        "leakage_gate",
        "latency_gate",
        "signature_gate",
        "smoke_gate",
        "packed_gate",
        "shadow_gate",
        "approval",
        CANARY_GATE,
    }
)
"""The gates that judge the file that is to serve; all others judge the recipe, by its twin or by its training set."""
ASKED_ONLINE = ("packed_gate",)
"""What a model that is asked online is judged by, unless its declaration takes it away."""


def name_now(gate: str) -> str:
    """The name that a journey's gate has now.

    >>> name_now("data_quality_gate"), name_now("champion_gate")
    ('training_data_gate', 'champion_gate')
    """
    return FORMER.get(gate, gate)


def names_of(gate: str) -> tuple[str, ...]:
    """Every name under which verdicts on a gate may have been written, the present one first.

    >>> names_of("training_data_gate"), names_of("champion_gate")
    (('training_data_gate', 'data_quality_gate'), ('champion_gate',))
    """
    return (name_now(gate), *(old for old, now in FORMER.items() if now == name_now(gate)))
