"""From a champion in the ledger to what a worker serves: its file, packed and held against its pipeline."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from include.adapters import estimators, files, packing
from include.adapters.ledger import Ledger, RouteRecord
from include.adapters.packing.files import as_columns
from include.config import ModelDeclaration, declarations
from include.domain.errors import Unavailable
from include.domain.gates.packed import NAME as PACKED_GATE
from include.domain.packed.compared import difference
from include.domain.packed.hard_rows import hard_rows
from include.domain.packed.reader import NotAnswerable, Packed
from include.domain.promotion import Epoch
from include.domain.serving.route import ServedFeature, ServedModel, ServedView
from include.serving.declared_terms import declared_terms
from include.serving.models import PackedRefused, checked
from include.workflows import stores
from include.workflows.scoring import as_trained, fitted_models, packed_files

HARD_ROWS = 400


class PackedDiffers(Exception):
    """A packed form that answers otherwise than its pipeline."""


@dataclass(frozen=True, slots=True)
class _Form:
    """The file that answers, and its inputs; ``why`` says why it is not the packed one."""

    file: Path
    inputs: list[str] | None
    why: str = ""


def prepared(ledger: Ledger, route: RouteRecord, head: Epoch, folder: Path) -> ServedModel:
    """The champion of the model and the file that answers for it: the packed file that its gate kept, else one that is
    made here, in ``folder``; its pipeline where it has no packed form or that answers otherwise.

    Raises:
        ModelFileRefused, VersionMissing, Unavailable: when its file cannot be had.
    """
    name = head.model
    declared = declarations().model(name)
    form = _form(ledger, declared, head, folder)
    learned = as_trained.as_learned(ledger, declared, head.to_candidate, form.inputs)
    all_kinds = fitted_models.kinds_of(learned)
    kinds = {feature: all_kinds[feature] for feature in form.inputs or list(all_kinds)}
    packed = not form.why
    return ServedModel(
        model=name,
        task=declared.task,
        classes=[str(each) for each in declared.label.classes or []],
        features=[ServedFeature(feature, kind) for feature, kind in kinds.items()],
        views=_views(declared, learned),
        candidate=head.to_candidate,
        digest=head.digest,
        revision=head.revision,
        route_revision=route.route_revision,
        version=int(str(head.model_version)),
        packed=str(form.file) if packed else "",
        packed_sha256=hashlib.sha256(form.file.read_bytes()).hexdigest() if packed else "",
        **declared_terms(declared, list(kinds)),
        by="packed" if packed else "pipeline",
        pipeline="" if packed else str(form.file),
        why_pipeline=form.why,
    )


def _form(ledger: Ledger, declared: ModelDeclaration, head: Epoch, folder: Path) -> _Form:
    candidate = ledger.candidates.get(head.to_candidate)
    form = packed_files.served_form(ledger, candidate)
    judged = ledger.gates.latest(candidate.candidate_id).get(PACKED_GATE)
    if form.digest is None and judged is not None and judged.digest == head.digest:
        return _by_pipeline(declared, head, str(form.why_not))
    try:
        file = _kept(form.digest, str(candidate.facts.mlflow_run_id)) or _made_here(ledger, declared, head, folder)
        return _Form(file, checked(file, hashlib.sha256(file.read_bytes()).hexdigest()).features)
    except packing.NotPackable as error:
        return _by_pipeline(declared, head, f"It has no packed form: {error}.")
    except PackedDiffers as error:
        return _by_pipeline(declared, head, f"{error}.")
    except PackedRefused as error:
        return _by_pipeline(declared, head, f"Its packed form is not used: {error}.")


def _by_pipeline(declared: ModelDeclaration, head: Epoch, why: str) -> _Form:
    pipeline = fitted_models.load(stores.registry(), declared.name, int(str(head.model_version)), head.digest)
    return _Form(fitted_models.copy_of(head.digest), estimators.inputs_of(pipeline), why)


def _kept(digest: str | None, run_id: str) -> Path | None:
    """The packed file that the gate found equal; None where no gate judged this file, or what it kept cannot be had."""
    try:
        return None if digest is None else packed_files.file_of(digest, stores.registry(), run_id)
    except (packed_files.PackedFileRefused, Unavailable):
        return None


def _made_here(ledger: Ledger, declared: ModelDeclaration, head: Epoch, folder: Path) -> Path:
    file = folder / f"{head.digest}.npz"
    if not file.is_file():
        version = int(str(head.model_version))
        pipeline = fitted_models.load(stores.registry(), declared.name, version, head.digest)
        inputs = estimators.inputs_of(pipeline)
        learned = as_trained.as_learned(ledger, declared, head.to_candidate, inputs)
        all_kinds = fitted_models.kinds_of(learned)
        kinds = {feature: all_kinds[feature] for feature in inputs or list(all_kinds)}
        with files.whole(file) as unfinished:
            unfinished.write_bytes(_packed(declared, pipeline, kinds, head))
    return file


def _views(declared: ModelDeclaration, learned: ModelDeclaration) -> list[ServedView]:
    entity = learned.entity.view
    known = declarations()
    served = [
        ServedView(
            name=use.view,
            version=known.view(use.view).version,
            keys=list(known.view(use.view).keys),
            features=list(use.features),
            ttl_s=known.view(use.view).ttl.total_seconds(),
            is_entity=use.view == entity,
            missing=declared.serving.policy(use.name, declared.entity.view),
        )
        for use in learned.views
    ]
    return sorted(served, key=lambda view: not view.is_entity)


def _packed(declared: ModelDeclaration, pipeline: Any, kinds: dict[str, str], head: Epoch) -> bytes:
    classes = declared.class_count
    arrays = packing.packed_arrays(
        pipeline,
        kinds,
        learned=None if classes is None else estimators.learned_classes(pipeline, classes),
        classes=classes,
        example=_example(kinds),
        about={"name": declared.name, "digest": head.digest},
    )
    packed = Packed(arrays)
    rows = hard_rows(packed, as_columns(_example(kinds)), HARD_ROWS, seed=1)
    answered = [i for i in range(HARD_ROWS) if _answers(packed, {n: v[i] for n, v in rows.items()})]
    columns = {name: [values[i] for i in answered] for name, values in rows.items()}
    frame = estimators.as_input(pd.DataFrame(columns, columns=list(kinds)), kinds)
    expected = _pipeline_answers(pipeline, frame, classes)
    found = difference(expected, packed.many(columns))
    if found.differing:
        raise PackedDiffers(
            f"Its packed form differs from its pipeline on {found.differing} of {len(answered)} rows that were made "
            "to show a difference"
        )
    return packing.written(arrays)


def _pipeline_answers(pipeline: Any, frame: pd.DataFrame, classes: int | None) -> np.ndarray[Any, Any]:
    if classes is None:
        return np.asarray(pipeline.predict(frame), dtype=np.float64)
    answered = np.asarray(pipeline.predict_proba(frame), dtype=np.float64)
    if classes == 2:
        return np.ascontiguousarray(answered[:, -1])
    whole = np.zeros((len(frame), classes))
    whole[:, estimators.learned_classes(pipeline, classes)] = answered
    return whole


def _answers(packed: Packed, row: dict[str, Any]) -> bool:
    try:
        packed.one(row)
        return True
    except NotAnswerable:
        return False


def _example(kinds: dict[str, str]) -> pd.DataFrame:
    """Some rows without a gap, of whatever values."""
    texts, numbers = ["a", "b", "c", "d"], [0.0, 1.0, -1.0, 10.0]
    rows = {name: texts if kind == "categorical" else numbers for name, kind in kinds.items()}
    return estimators.as_input(pd.DataFrame(rows), kinds)
