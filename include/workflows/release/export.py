"""A champion's file for somewhere else: packed arrays for a device with numpy, or ONNX with a report on what it costs.

The packed file is equal to the champion or is not written. ONNX rounds its inputs to float32, so it is another model
near each threshold; it is written with how far it is off on real rows and on rows at the model's own thresholds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from include.adapters import estimators, files, model_files, onnx_export
from include.adapters.ledger import Candidate, Ledger
from include.adapters.packing.files import as_columns
from include.config import ModelDeclaration, declarations
from include.config.gates import PackedGate
from include.domain.errors import Refusal
from include.domain.packed.hard_rows import hard_rows
from include.domain.packed.names import HARD, HELD_OUT
from include.workflows import stores
from include.workflows.evidence import packed_form, probes
from include.workflows.journey.facts import TrainingSets
from include.workflows.journey.kept_facts import KeptFacts
from include.workflows.scoring import fitted_models, packed_files, training_sets

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

READER = "include/domain/packed/reader.py"
OFF = 1e-3
"""An answer that differs by more is counted as another answer."""


class NotExportable(Refusal):
    """A model that is not there, or that has no file of the asked form."""


@dataclass(frozen=True, slots=True)
class OnnxOff:
    """How far ONNX is off on one kind of rows.

    Attributes:
        rows: how many the pipeline answers, and were compared.
        off: how many differ by more than ``OFF``, or are answered by no number.
        largest: the largest absolute difference of the others and these; infinite where one is no number.
    """

    rows: int
    off: int
    largest: float


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written: the digest is the sha256 of the file's bytes."""

    model: str
    candidate_id: str
    format: str
    file: str
    bytes: int
    digest: str
    sentence: str
    off: Mapping[str, OnnxOff]

    def lines(self) -> list[str]:
        found = [f"{self.file}: {self.model}, {self.candidate_id}, {self.bytes:,} bytes, sha256 {self.digest[:12]}"]
        found += [
            f"{name}: {off.off:,} of {off.rows:,} differ by more than {OFF:g}, by up to {off.largest:.3g}"
            for name, off in self.off.items()
        ]
        return [*found, self.sentence]


def export(model_name: str, to: Path, form: str) -> Exported:
    """Write the champion's file in the asked form.

    Raises:
        NotExportable: when the model has no champion, or the form cannot be made.
        EnvironmentMissing, ConversionFailed: as ``onnx_export.converted``.
    """
    model = declarations().model(model_name)
    with stores.open_ledger() as ledger:
        head = ledger.deployments.champion(model.name)
        if head is None:
            raise NotExportable(
                f"{model.name} has no champion yet, so there is nothing to export; run its retrain Dag."
            )
        candidate = ledger.candidates.get(head.to_candidate)
        python = onnx_export.python_of() if form == "onnx" else None
        if python is None:
            content, sentence, off = *_packed(ledger, model, candidate), dict[str, OnnxOff]()
        else:
            content, sentence, off = _as_onnx(model, candidate, python)
    to.parent.mkdir(parents=True, exist_ok=True)
    with files.whole(to) as unfinished:
        unfinished.write_bytes(content)
    digest = packed_files.digest_of(content)
    return Exported(model.name, candidate.candidate_id, form, str(to), len(content), digest, sentence, off)


def _packed(ledger: Ledger, model: ModelDeclaration, candidate: Candidate) -> tuple[bytes, str]:
    """The file that the gate kept, else one that is made and held against the pipeline now."""
    registry, kept = stores.registry(), packed_files.served_form(ledger, candidate)
    copy = f"It needs numpy and {READER}, which is one file."
    if kept.digest is not None:
        file = packed_files.file_of(kept.digest, registry, str(candidate.facts.mlflow_run_id))
        return file.read_bytes(), f"Its journey's packed_gate found it equal to its pipeline in every bit. {copy}"
    pipeline, held_out = _pipeline(model, candidate), _held_out(model, candidate)
    made = packed_form.packing_of(model, pipeline, held_out, candidate.facts.serving_digest)
    found = packed_form.held(model, PackedGate(), pipeline, made, held_out)
    if found.why_not is not None:
        raise NotExportable(f"{model.name} has no packed form: {found.why_not}. Export it with --format onnx.")
    if not found.equal:
        wrong = ", ".join(f"{h.differing:,} of {h.rows:,} {name}" for name, h in found.held.items() if h.differing)
        raise NotExportable(
            f"The packed form of {model.name} answers {wrong} otherwise than its pipeline, so it was not written. "
            "Report it; it is a bug of Slipway."
        )
    asked = " and ".join(f"{h.rows:,} {name}" for name, h in found.held.items() if name in (HELD_OUT, HARD))
    return made.content, f"It was packed now, and {asked} are answered as by its pipeline in every bit. {copy}"


def _as_onnx(model: ModelDeclaration, candidate: Candidate, python: Path) -> tuple[bytes, str, dict[str, OnnxOff]]:
    pipeline, held_out = _pipeline(model, candidate), _held_out(model, candidate)
    kinds = fitted_models.kinds_of(model)
    chosen = probes.rows_to_ask(len(held_out), PackedGate().rows)
    rows = {HELD_OUT: as_columns(held_out.iloc[chosen].reset_index(drop=True))}
    packed = packed_form.packing_of(model, pipeline, held_out)
    if packed.why_not is None:
        count = PackedGate().hard_rows
        rows[HARD] = hard_rows(packed_files.opened(packed.content), rows[HELD_OUT], count, packed_form.SEED)
    file = fitted_models.copy_of(str(candidate.facts.serving_digest))
    made = onnx_export.converted(python, file, model_files.trusted_types(file), kinds, _plain(rows))
    off = {name: _off(model, pipeline, rows[name], answers) for name, answers in made.answers.items()}
    by = ", ".join(f"{name} {release}" for name, release in made.releases.items())
    near = (
        "It rounds its inputs to 32 bits, so rows near a threshold are answered as by another model."
        if packed.why_not is None
        else f"It was tried on no row at a threshold, because the model has no packed form: {packed.why_not}."
    )
    return made.content, f"{near} A missing category is the empty text. Made by {by}.", off


def _off(model: ModelDeclaration, pipeline: Any, rows: Mapping[str, Sequence[Any]], answers: Any) -> OnnxOff:
    """Only the rows that the pipeline answers are compared: what it refuses has no right answer."""
    import numpy as np

    frame = _frame(model, rows)
    expected, answered = _answered(model, pipeline, frame)
    found = np.asarray(answers, dtype=float).reshape(len(frame), -1)
    if model.class_count == 2:
        found = found[:, -1:]
    wide = expected.reshape(len(expected), -1)
    if wide.shape[1] != found.shape[1]:
        raise NotExportable(
            f"ONNX answers {found.shape[1]} columns and the pipeline {wide.shape[1]}: a class was never learned. "
            "Export it with --format npz."
        )
    with np.errstate(invalid="ignore"):
        by = np.abs(found[answered] - wide).max(axis=1) if len(wide) else np.zeros(0)
    by = np.where(np.isfinite(by), by, np.inf)
    return OnnxOff(len(by), int((by > OFF).sum()), float(by.max(initial=0.0)))


def _frame(model: ModelDeclaration, rows: Mapping[str, Sequence[Any]]) -> pd.DataFrame:
    import pandas as pd

    frame = pd.DataFrame({name: pd.Series(values, dtype=object) for name, values in rows.items()})
    return estimators.as_input(frame, fitted_models.kinds_of(model))


def _answered(
    model: ModelDeclaration, pipeline: Any, asked: pd.DataFrame
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """The answers of the rows that the pipeline answers, and their positions. Where it refuses some, such as those with
    an infinite value, halves are asked until only these are left."""
    import numpy as np

    found, positions = [], []
    infinite = asked.isin([np.inf, -np.inf]).any(axis=1).to_numpy()
    parts = [part for part in (np.flatnonzero(infinite), np.flatnonzero(~infinite)) if len(part)]
    while parts:
        part = parts.pop()
        try:
            with np.errstate(all="ignore"):
                answers = estimators.predict(pipeline, asked.iloc[part], classes=model.class_count)
        except ValueError:
            if len(part) > 1:
                parts += [part[len(part) // 2 :], part[: len(part) // 2]]
            continue
        found.append(answers)
        positions.append(part)
    if not found:
        return np.zeros(0), np.zeros(0, dtype=int)
    return np.concatenate(found), np.concatenate(positions)


def _plain(rows: Mapping[str, Mapping[str, Sequence[Any]]]) -> dict[str, dict[str, list[Any]]]:
    """Values that JSON has: numpy's own numbers are made Python's."""
    return {
        name: {feature: [v.item() if hasattr(v, "item") else v for v in values] for feature, values in of.items()}
        for name, of in rows.items()
    }


def _pipeline(model: ModelDeclaration, candidate: Candidate) -> Any:
    facts = candidate.facts
    return fitted_models.load(stores.registry(), model.name, int(str(facts.model_version)), str(facts.serving_digest))


def _held_out(model: ModelDeclaration, candidate: Candidate) -> pd.DataFrame:
    """The rows that the candidate was judged on.

    Raises:
        NotExportable: when they are not on this machine.
    """
    sets = KeptFacts(candidate.candidate_id).of(TrainingSets)
    try:
        if sets is None:
            raise training_sets.TrainingSetDamaged(f"of {candidate.candidate_id}", "it is not on this machine")
        rows = training_sets.read(sets.holdout).to_pandas()
    except training_sets.TrainingSetDamaged:
        raise NotExportable(
            f"The held-out rows of {candidate.candidate_id} are not on this machine, so nothing could be compared. "
            "Export where its journey ran, or declare packed_gate, which keeps the packed file."
        ) from None
    return estimators.as_input(rows, fitted_models.kinds_of(model))
