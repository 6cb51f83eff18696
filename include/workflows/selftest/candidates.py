"""The parts of a candidate: its training rows, its answers, its file, its signature, its times. A journey's gates get
exactly these."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from include.adapters import estimators, model_files, registry
from include.config import ModelDeclaration
from include.domain.gates import Availability, Signature, Split, Timing
from include.domain.incident import Incident
from include.workflows.evidence import packed_form
from include.workflows.evidence.timings import Asked, time_in_turns
from include.workflows.selftest.world import World

Scores = NDArray[np.float64]
Change = Callable[[Scores, pd.DataFrame], Scores]
EXAMPLE_ROWS = 5


@dataclass(frozen=True, slots=True, eq=False)
class SeededCandidate:
    """One candidate as the gates get it. A part that is the honest twin's own object is unchanged.

    Attributes:
        features: its training rows.
        label: their labels.
        availability: when its features were known.
        split: how its training rows and the holdout lie.
        scorer: gives the answers, with the methods of a fitted pipeline.
        held_out: the holdout's features, as it gets them.
        timing: its times beside the champion's; None where no gate asks.
        signature: what it takes and gives; None where no gate asks.
        artifact: its file and the digest that was judged; None where it has no file that a fresh process could load.
        packed: its packed form; None where no gate asks.
        slices: columns that its held-out rows are sliced by instead of their own, by name; none for most.
        alarm: the incident that it is meant to cure; None of one that a schedule asked for.
        pace: how many times as long as the champion it takes for a live answer; None for as long.
        crept: what serves in the champion's place, and has been promoted over it; the champion is the anchor then. None
            where the champion serves.
    """

    features: pd.DataFrame
    label: np.ndarray[Any, Any]
    availability: Availability
    split: Split | None
    scorer: Any
    held_out: pd.DataFrame
    timing: Timing | None = None
    signature: Signature | None = None
    artifact: tuple[Path, str] | None = None
    packed: packed_form.Packing | None = None
    slices: Mapping[str, pd.Series[Any]] = field(default_factory=dict)
    alarm: Incident | None = None
    crept: Any = None
    pace: float | None = None


class Altered:
    """A fitted pipeline whose scores are changed on their way out: ``change(scores, rows)``, scores as ``predict``
    gives them."""

    def __init__(self, pipeline: Any, model: ModelDeclaration, change: Change) -> None:
        self._pipeline, self._classes, self._change = pipeline, model.class_count, change

    def _scores(self, rows: pd.DataFrame) -> Scores:
        found = estimators.predict(self._pipeline, rows, classes=self._classes)
        return self._change(found.copy(), rows)

    def predict(self, rows: pd.DataFrame) -> Scores:
        return self._scores(rows)

    def predict_proba(self, rows: pd.DataFrame) -> Scores:
        scores = self._scores(rows)
        return scores if scores.ndim == 2 else np.column_stack([1 - scores, scores])


class Slow:
    """A pipeline that takes longer, by a clock that is put forward instead of waiting: ``further_s`` seconds for so
    many rows."""

    def __init__(self, pipeline: Any, further_s: Callable[[int], float]) -> None:
        self._pipeline, self._further_s, self._owes = pipeline, further_s, 0.0
        self.classes_ = getattr(pipeline, "classes_", None)

    def clock(self) -> float:
        return time.perf_counter() + self._owes

    def predict(self, rows: pd.DataFrame) -> Any:
        self._owes += self._further_s(len(rows))
        return self._pipeline.predict(rows)

    def predict_proba(self, rows: pd.DataFrame) -> Any:
        self._owes += self._further_s(len(rows))
        return self._pipeline.predict_proba(rows)


# --- what an honest candidate is made of -----------------------------------------------------------------------------


def honest(world: World, folder: Path) -> SeededCandidate:
    """The twin: as good as the champion, and another model. Its file is written to ``folder``."""
    model, gates = world.model, world.model.gates
    twin = SeededCandidate(
        features=world.train.features,
        label=world.train.y,
        availability=world.availability,
        split=world.split,
        scorer=world.twin,
        held_out=world.holdout.features,
    )
    if gates.signature_gate is not None:
        twin = replace(twin, signature=signature_of(model, world.twin, world.train.features, model.label.classes))
    if gates.packed_gate is not None:
        twin = replace(twin, packed=packed_form.packing_of(model, world.twin, world.holdout.features))
    if gates.smoke_gate is not None or gates.latency_gate is not None:
        file = folder / "twin.skops"
        model_files.untrusted_free(world.twin, file)
        twin = replace(twin, artifact=(file, model_files.digest(file)))
    return twin


def timed(world: World, scorer: Any, file: Path, folder: Path, clock: Callable[[], float]) -> tuple[Timing, Timing]:
    """The candidate's and the champion's times, as the latency gate takes them."""
    champion = folder / "champion.skops"
    if not champion.is_file():
        model_files.untrusted_free(world.champion, champion)
    declared = world.model.gates.latency_gate
    found = time_in_turns(
        {
            who: Asked(each, world.holdout.features)
            for who, each in (("candidate", scorer), ("champion", world.champion))
        },
        declared.repeats if declared else 0,
        classes=world.model.class_count,
        clock=clock,
    )
    sizes = {"candidate": file.stat().st_size, "champion": champion.stat().st_size}
    sized = {who: replace(each, model_bytes=float(sizes[who])) for who, each in found.items()}
    return sized["candidate"], sized["champion"]


def signature_of(
    model: ModelDeclaration, pipeline: Any, features: pd.DataFrame, classes: list[str] | None
) -> Signature | None:
    """What MLflow would record of the model, as its gate reads it."""
    example = features.head(EXAMPLE_ROWS)
    output = pipeline.predict_proba(example) if model.is_classifier else pipeline.predict(example)
    return registry.read_signature(registry.model_signature(example, output), classes)
