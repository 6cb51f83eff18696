"""The challenger that answers beside online traffic now, by the ledger, and its process for as long as it does."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from include.adapters import estimators
from include.adapters.journal import Journal
from include.adapters.journal.segments import instance_name
from include.adapters.ledger import Ledger
from include.adapters.registry import ModelRegistry
from include.adapters.scorer_process import Scorer
from include.config import ModelDeclaration
from include.config.settings import settings
from include.domain.lifecycle import State
from include.workflows import stores
from include.workflows.scoring import fitted_models, packed_files
from include.workflows.scoring.shadow_tail import OnlineChallenger, ShadowTail, TailCounts, TailLimits

MEMORY_MB = {"packed": 1_000, "pipeline": 4_000}
"""The address space of a challenger's process, by its form: with scikit-learn loaded it is 1,600 before it answers."""
LOOKS_EVERY = 100
"""After so many steps the ledger is asked who the challenger is."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A challenger, and what its process is started with."""

    challenger: OnlineChallenger
    config: Mapping[str, Any]


def own_folder(candidate: str) -> Path:
    """Where a challenger's answers are written: segments of a journal of its own."""
    return settings().home / "journal-shadow" / candidate


def of_now(ledger: Ledger, registry: ModelRegistry, model: ModelDeclaration) -> Prepared | None:
    """The model's candidate in its shadow window, in the packed form where its gate found that equal; else by its
    pipeline. None where no candidate is in shadow.

    Raises:
        ModelFileRefused, VersionMissing: when its file is not what its gates judged.
    """
    candidate = ledger.candidates.live(model.name)
    if candidate is None or candidate.state is not State.SHADOWING:
        return None
    facts, digest = candidate.facts, str(candidate.facts.serving_digest)
    kinds = fitted_models.kinds_of(model)
    served = packed_files.served_form(ledger, candidate)
    if served.digest is not None:
        file, form = packed_files.file_of(served.digest, registry, str(facts.mlflow_run_id)), "packed"
        features = packed_files.opened(file.read_bytes()).features
    else:
        pipeline = fitted_models.load(registry, model.name, int(str(facts.model_version)), digest)
        file, form = fitted_models.copy_of(digest), "pipeline"
        features = estimators.inputs_of(pipeline) or list(kinds)
    config = {
        "file": str(file),
        "digest": served.digest or digest,
        "form": form,
        "kinds": {feature: kinds[feature] for feature in features if feature in kinds},
        "classes": model.class_count,
        "memory_mb": MEMORY_MB[form],
    }
    window = ledger.shadow.window(candidate.candidate_id)
    since = None if window is None else window.opened_from
    return Prepared(OnlineChallenger(model.name, candidate.candidate_id, digest, form, tuple(features), since), config)


@dataclass(frozen=True, slots=True)
class Followed:
    """What one challenger did while it was followed; ``candidate`` is None where none is in shadow."""

    candidate: str | None
    counts: TailCounts


def follow(
    model: ModelDeclaration,
    journal: Path,
    now: Callable[[], datetime],
    wait: Callable[[], bool] | None = None,
    limits: TailLimits | None = None,
) -> Followed:
    """Let the challenger of now answer what the journal holds, until it is no longer in shadow.

    Args:
        journal: the folder that the service writes.
        now: the clock of the data.
        wait: called when there is nothing new; waits a moment, and says whether to go on. None ends there.
        limits: of the tail; left out, the usual ones.
    """
    with stores.open_ledger() as ledger:
        prepared = of_now(ledger, stores.registry(), model)
        if prepared is None:
            return Followed(None, TailCounts())
        who, started = prepared.challenger, now()
        name = instance_name(f"shadow-{socket.gethostname()}-{os.getpid()}")
        own, scorer = Journal(own_folder(who.candidate), name, started, now), Scorer(prepared.config)
        try:
            tail, steps = ShadowTail(who, journal, own, scorer, now, limits), 0
            while True:
                steps += 1
                if not tail.step() and (wait is None or not wait()):
                    return Followed(who.candidate, tail.counts)
                if steps % LOOKS_EVERY == 0 and not is_in_shadow(ledger, model.name, who.candidate):
                    return Followed(who.candidate, tail.counts)
        finally:
            scorer.end()
            own.close()


def is_in_shadow(ledger: Ledger, model: str, candidate: str) -> bool:
    """Whether the candidate is in its shadow window now."""
    live = ledger.candidates.live(model)
    return live is not None and live.candidate_id == candidate and live.state is State.SHADOWING
