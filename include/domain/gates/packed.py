"""``packed_gate``: the packed form of the file that is to serve answers what its pipeline answers, to the last bit.

Three outcomes: it is equal, it differs, or there is no packed form. Where it is not equal the pipeline answers, which
is slower and the same model; so a difference stops a candidate only where the declaration demands the packed form.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from include.domain.verdicts import CriterionResult, Direction, GateResult, Mode, Verdict, against_bound

NAME = "packed_gate"


@dataclass(frozen=True, slots=True)
class RowsHeld:
    """Rows that both forms were asked.

    Attributes:
        rows: how many.
        differing: how many of them in another bit, or refused by one of the two only.
        largest: the largest absolute difference; infinite where one is no number or no answer.
        refused: how many both refuse.
    """

    rows: int
    differing: int
    largest: float
    refused: int = 0


@dataclass(frozen=True, slots=True)
class PackedEvidence:
    """What came of packing one model.

    Attributes:
        why_not: the part that has no packed form, for a sentence; None where it was packed.
        held: by what kind of rows they are, what was asked of both forms.
        file: what identifies the packed file, kept with the verdict where it is equal: ``digest`` and ``bytes``.
    """

    why_not: str | None = None
    held: Mapping[str, RowsHeld] = field(default_factory=dict)
    file: Mapping[str, Any] = field(default_factory=dict)

    @property
    def equal(self) -> bool:
        """Whether rows were asked, and none was answered otherwise."""
        return bool(self.held) and all(h.rows > 0 and h.differing == 0 for h in self.held.values())


@dataclass(frozen=True, slots=True)
class PackedRules:
    """``min_rows``: by kind of rows, how many must have been asked at least."""

    min_rows: Mapping[str, int]


def packed_gate(rules: PackedRules, evidence: PackedEvidence | None, *, mode: Mode) -> GateResult:
    """Equal is PASS, a difference FAIL. Without a packed form, or without enough rows, it is INCONCLUSIVE: nothing is
    known against the candidate, and its pipeline answers.

    Only the verdict of an equal form names the file (``notes``), so that no service can load another.

    >>> packed_gate(PackedRules({}), PackedEvidence(why_not="it is a KNN"), mode=Mode.ADVISORY).verdict
    <Verdict.INCONCLUSIVE: 'INCONCLUSIVE'>
    """
    if evidence is None or evidence.why_not is not None:
        why = "nothing was packed" if evidence is None else evidence.why_not
        reason = f"It has no packed form: {why}. That is no fault of the model: its pipeline answers, more slowly."
        lacking = CriterionResult("packed form", Verdict.INCONCLUSIVE, None, "made", 0, reason)
        return GateResult(NAME, mode, (lacking,))
    made = CriterionResult("packed form", Verdict.PASS, None, "made", 0, "It has a packed form.")
    names = dict.fromkeys((*rules.min_rows, *evidence.held))
    criteria = tuple(_held(name, evidence.held.get(name), rules.min_rows.get(name, 1), mode) for name in names)
    found = GateResult(NAME, mode, (made, *criteria))
    return replace(found, notes=dict(evidence.file)) if found.verdict is Verdict.PASS else found


def _held(name: str, held: RowsHeld | None, min_rows: int, mode: Mode) -> CriterionResult:
    criterion = f"{name}, answered otherwise"
    asked, differing = (0, None) if held is None else (held.rows, float(held.differing))
    result = against_bound(criterion, differing, Direction.AT_MOST, 0, rows=asked, min_rows=min_rows)
    if held is None or result.verdict is Verdict.INCONCLUSIVE:
        return result
    if result.verdict is Verdict.PASS:
        both = f"; both refuse {held.refused:,} of them" if held.refused else ""
        return replace(result, reason=f"All {asked:,} {name} are answered to the last bit as by the pipeline{both}.")
    after = (
        "The declaration demands the packed form."
        if mode is Mode.BLOCKING
        else "It is not kept: the pipeline answers, more slowly."
    )
    by = f"by up to {held.largest:.3g}" if held.largest < float("inf") else "some of them by a number against none"
    reason = (
        f"The packed form answers {held.differing:,} of {asked:,} {name} otherwise than the pipeline, {by}. {after}"
    )
    return replace(result, reason=reason)
