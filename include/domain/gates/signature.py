"""``signature_gate``: can the champion's callers go on sending and reading what they do now?

Callers send named columns in any order, and columns that a model does not know are ignored. So the candidate may not
miss, rename or retype what they send, nor require what they do not send, nor answer in another shape or order of
classes: another order changes no type and no length, but reverses every answer.
"""

from __future__ import annotations

import difflib
from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

from include.domain.verdicts import CriterionResult, Direction, GateResult, Mode, Verdict

WIDENS = {("integer", "long"), ("integer", "double"), ("float", "double")}
"""(sent, taken): the changes of type that lose nothing, those that MLflow makes by itself. Whole numbers of 64 bits are
not among them: beyond 2^53 a double rounds."""


@dataclass(frozen=True, slots=True)
class InputColumn:
    """One column of a model's input: name, type (MLflow's word for it), and whether it must be sent."""

    name: str
    type: str
    required: bool = True


@dataclass(frozen=True, slots=True)
class Signature:
    """What a model takes and gives.

    ``output`` is the type of its answers; ``classes`` names a classifier's outputs in their order, None for regression.
    """

    inputs: tuple[InputColumn, ...]
    output: str
    classes: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class SignatureRules:
    """``may_drop``: columns the candidate may do without, each named knowingly."""

    may_drop: tuple[str, ...] = ()


def signature_gate(
    rules: SignatureRules, callers: Signature | None, candidate: Signature | None, *, mode: Mode
) -> GateResult:
    """Compare what callers send and read with what the candidate takes and gives.

    Args:
        rules: what was declared.
        callers: the champion's signature; for a first deployment the declaration's own. None or without any column:
            INCONCLUSIVE.
        candidate: the registered candidate's; None or without any column: INCONCLUSIVE.
        mode: blocking or advisory.
    """
    if callers is None or not callers.inputs:
        return GateResult("signature_gate", mode, (_unknown("the callers"),))
    if candidate is None or not candidate.inputs:
        return GateResult("signature_gate", mode, (_unknown("the candidate"),))
    sent, taken = {c.name: c for c in callers.inputs}, {c.name: c for c in candidate.inputs}
    allowed = set(rules.may_drop)
    missing = [name for name in sent if name not in taken]
    gone = [name for name in missing if name not in allowed]
    new = [name for name in taken if name not in sent]
    renamed = _renamed([sent[name] for name in gone], [taken[name] for name in new])
    dropped = [name for name in gone if name not in renamed]
    kept = [(sent[name], taken[name]) for name in sent if name in taken]
    criteria = (
        _none("columns named twice", [f"{n} ({times} times)" for n, times in _twice(candidate)], "sent by name"),
        _none("columns dropped", dropped, "callers send them; may_drop allows it by name"),
        _none("columns renamed", [f"{old} to {fresh}" for old, fresh in renamed.items()], "callers send the old names"),
        _none("columns retyped", _retyped(kept), "callers send the old types"),
        _none("columns newly required", _newly_required(kept, taken, new, renamed), "callers need not send them"),
        _outputs(callers, candidate),
        _class_order(callers.classes, candidate.classes),
    )
    notes: dict[str, Any] = {"columns": len(sent), "dropped knowingly": [name for name in missing if name in allowed]}
    notes["new and optional"] = [name for name in new if not taken[name].required]
    return GateResult("signature_gate", mode, criteria, notes)


def _renamed(gone: list[InputColumn], new: list[InputColumn]) -> dict[str, str]:
    """Pairs a lost column with the new one whose name is closest, each new one once."""
    found: dict[str, str] = {}
    free = [c.name for c in new]
    for column in gone:
        folded = {name.casefold(): name for name in free}
        for closest in difflib.get_close_matches(column.name.casefold(), list(folded), n=1, cutoff=0.6):
            found[column.name] = folded[closest]
            free.remove(folded[closest])
    return found


def _twice(signature: Signature) -> list[tuple[str, int]]:
    counts = Counter(c.name for c in signature.inputs)
    return [(name, times) for name, times in counts.items() if times > 1]


def _retyped(kept: list[tuple[InputColumn, InputColumn]]) -> list[str]:
    return [
        f"{old.name} from {old.type} to {new.type}"
        for old, new in kept
        if old.type != new.type and (old.type, new.type) not in WIDENS
    ]


def _newly_required(
    kept: list[tuple[InputColumn, InputColumn]], taken: dict[str, InputColumn], new: list[str], renamed: dict[str, str]
) -> list[str]:
    found = [after.name for before, after in kept if after.required and not before.required]
    return found + [name for name in new if taken[name].required and name not in renamed.values()]


def _outputs(callers: Signature, candidate: Signature) -> CriterionResult:
    before, after = callers.classes, candidate.classes
    changes = []
    if callers.output != candidate.output:
        changes.append(f"type from {callers.output} to {candidate.output}")
    if before is None or after is None:
        if before is not after:
            changes.append("from a value to classes" if before is None else "from classes to a value")
    else:
        changes += [f"class {name} is gone" for name in before if name not in after]
        changes += [f"class {name} is new" for name in after if name not in before]
    return _none("output changes", changes, "callers read the old output")


def _class_order(before: tuple[str, ...] | None, after: tuple[str, ...] | None) -> CriterionResult:
    changes = []
    if before is not None and after is not None and sorted(before) == sorted(after) and before != after:
        moved = next(i for i, (old, new) in enumerate(zip(before, after, strict=True)) if old != new)
        changes.append(f"from [{', '.join(before)}] to [{', '.join(after)}]")
        why = f"callers read output {moved} as {before[moved]}, and it would be {after[moved]}"
    else:
        why = "callers read outputs by position"
    result = _none("class order changes", changes, why)
    if before is None and after is None:
        return replace(result, reason="There is no class order: the model gives a value.")
    return result


def _none(criterion: str, found: list[str], why: str) -> CriterionResult:
    return CriterionResult(
        criterion=criterion,
        verdict=Verdict.FAIL if found else Verdict.PASS,
        measured=float(len(found)),
        allowed="none",
        rows=0,
        reason=f"{criterion[0].upper()}{criterion[1:]}: {'; '.join(found)}. {why[0].upper()}{why[1:]}."
        if found
        else f"There are no {criterion}.",
        direction=Direction.AT_MOST,
        bound=0.0,
    )


def _unknown(who: str) -> CriterionResult:
    return CriterionResult(
        criterion="signature",
        verdict=Verdict.INCONCLUSIVE,
        measured=None,
        allowed="known on both sides",
        rows=0,
        reason=f"The signature of {who} is not known or has no columns, so nothing was compared; that is no evidence.",
    )
