"""Fitted models by digest: exactly the file that the gates judged is loaded, or none."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from include.adapters import estimators, files, model_files
from include.adapters.registry import ModelRegistry
from include.config import ModelDeclaration, declarations, importing, loader
from include.config.settings import settings
from include.domain.faults import crashpoint


def kinds_of(model: ModelDeclaration) -> dict[str, str]:
    """The kind of each feature the model reads, in order."""
    known = {use.view: {c.name: c.kind for c in declarations().view(use.view).columns} for use in model.views}
    return {feature: known[use.view][feature] for use in model.views for feature in use.features}


def spec_of(model: ModelDeclaration, kinds: Mapping[str, str] | None = None) -> estimators.EstimatorSpec:
    """What the model declares of its estimator and its columns; ``kinds`` where no view says them."""
    declared = model.estimator
    return estimators.EstimatorSpec(
        path=declared.path,
        params=declared.params,
        encode=declared.encode,
        impute=declared.impute,
        kinds=kinds_of(model) if kinds is None else kinds,
        seed=model.training.seed,
        groups=tuple(
            estimators.ColumnGroup(
                where=f"preprocess.{number}",
                columns=group.columns if isinstance(group.columns, str) else tuple(group.columns),
                steps=tuple((step.path, step.params) for step in group.steps),
                encode=group.encode,
                impute=group.impute,
            )
            for number, group in enumerate(model.preprocess)
        ),
    )


def cannot_be_built(model: ModelDeclaration, kinds: Mapping[str, str]) -> tuple[str, str] | None:
    """The declared field and what is wrong, where the estimator or a step of ``preprocess`` cannot be made, could not
    be loaded again, or a group has no column; None when all is well. Imports what they name."""
    spec = spec_of(model, kinds)
    for group in spec.groups:
        if not spec.of_group(group):
            where = f"{group.where}.columns"
            return where, f"{where} is {group.columns!r}, and no feature is of this kind that no other group names."
    try:
        pipeline = estimators.build(spec)
    except estimators.EstimatorUnusable as error:
        return str(error).split()[0].rstrip(":"), str(error)
    unfit = estimators.unfit_for(pipeline, model.task)
    if unfit is not None:
        return "estimator.path", f"estimator.path is {model.estimator.path!r}: {unfit}."
    race = model.training.race
    if race is not None and "recent_weighted" in race.recipes and not estimators.takes_weights(pipeline):
        where = "training.race.recipes"
        return where, f"{where} names recent_weighted, and {model.estimator.path} takes no sample_weight; leave it out."
    if model.weight is not None and not estimators.takes_weights(pipeline):
        return "weight", (
            f"weight is {model.weight!r}, and {model.estimator.path} takes no sample_weight; name an estimator whose "
            "fit takes it, or leave weight out."
        )
    with tempfile.TemporaryDirectory() as folder:
        try:
            model_files.untrusted_free(pipeline, Path(folder) / "model.skops", model.file.parents[1])
        except model_files.ModelFileRefused as error:
            where, way = _step_of(spec, error.types), _review(error.types, model.file.parents[1])
            return where, f"{where}: a fitted model could not be loaded again: {error}{way}"
    return None


def _step_of(spec: estimators.EstimatorSpec, types: Sequence[str]) -> str:
    """The field that uses one of the types; the estimator when no step does."""
    for group in spec.groups:
        for number, (path, _) in enumerate(group.steps):
            step = importing.found(path, group.where, importing.ENCODER)
            if f"{step.__module__}.{step.__qualname__}" in types:
                return f"{group.where}.steps.{number}"
    return "estimator"


def _review(types: Sequence[str], models: Path) -> str:
    if not types:
        return ""
    each = "each of them" if len(types) > 1 else "it"
    return f" Have {each} reviewed, and add {each} to {loader.trusted_file(models)} with the reason."


def load(registry: ModelRegistry, model: str, version: int, digest: str) -> Any:
    """The registered version, from this machine's copy when that still has the digest, else from the registry.

    Raises:
        ModelFileRefused: when what the registry holds is not what the gates judged.
        VersionMissing: when the registry has no such version.
    """
    copy = _copy(digest)
    if not copy.is_file() or model_files.digest(copy) != digest:
        with registry.fetched(model, version) as file:
            keep(file, digest)
    return model_files.load(copy, digest)


def copy_of(digest: str) -> Path:
    """This machine's copy of a model file, which loading it has made."""
    return _copy(digest)


def load_logged(registry: ModelRegistry, uri: str, digest: str) -> Any:
    """The logged model at ``uri``, registered or not, and a copy of it kept on this machine.

    Raises:
        ModelFileRefused: when what the registry holds has another digest.
        VersionMissing: when its file is gone.
    """
    with registry.model_file(uri) as file:
        return model_files.load(keep(file, digest), digest)


def size_of(digest: str) -> int:
    """The bytes of this machine's copy of a model file, which loading it has made."""
    return _copy(digest).stat().st_size


def keep(file: Path, digest: str) -> Path:
    """Keep a model file under its digest, so that scoring needs no registry on its way."""
    found = model_files.digest(file)
    if found != digest:
        raise model_files.ModelFileRefused(
            f"The registry gave a model file with the digest {found[:12]}, but the gates judged {digest[:12]}: "
            "the artifact was replaced."
        )
    copy = _copy(digest)
    with files.whole(copy) as unfinished:
        shutil.copyfile(file, unfinished)
        crashpoint("models.copied")
    return copy


def _copy(digest: str) -> Path:
    return settings().artifacts / "models" / f"{digest}.skops"
