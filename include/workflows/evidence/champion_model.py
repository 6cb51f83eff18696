"""The champion as the opponent of a candidate: the same rows, each asked about what it learned from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from include.adapters import estimators, model_files
from include.adapters.offline_store import TableMissing
from include.adapters.registry import VersionMissing
from include.config import ModelDeclaration
from include.domain.intervals import Interval, instant
from include.domain.promotion import Epoch
from include.workflows import stores
from include.workflows.evidence.logged import serves_refitted
from include.workflows.journey.facts import TrainingSet, TrainingSets
from include.workflows.journey.step import Journey
from include.workflows.lineage import recording
from include.workflows.scoring import as_trained, fitted_models, training_sets

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

UNABLE = (model_files.ModelFileRefused, VersionMissing, as_trained.NotAskable, TableMissing, ValueError, KeyError)
"""What is raised when the champion cannot be compared with. The gate is then INCONCLUSIVE, never a first deployment."""


@dataclass(frozen=True, slots=True)
class Opponent:
    """A champion, loaded by the digest that its gates saw."""

    pipeline: Any
    model: ModelDeclaration
    """The model as the champion learned it."""
    tables: dict[str, int] | None
    """The table version of each view it is read from; None when it reads what the candidate reads."""

    def features(self, journey: Journey, made: TrainingSet, features: pd.DataFrame) -> pd.DataFrame:
        """The rows of a set of the journey as the champion reads them. ``features`` are the
        same rows as the candidate does.

        Raises:
            NotAskable: when the views it learned from have no row for some of them.
        """
        if self.tables is None:
            return features
        rows = training_sets.read(made).to_pandas()
        interval = Interval(instant(made.start), instant(made.end))
        return as_trained.features_of_requests(self.model, rows, interval, journey.as_of, self.tables)

    def scores(
        self, journey: Journey, made: TrainingSet, features: pd.DataFrame
    ) -> np.ndarray[Any, np.dtype[np.float64]]:
        """Its answers to the rows, as ``estimators.predict`` gives them. Raises what ``features`` and the model do."""
        asked = self.features(journey, made, features)
        return estimators.predict(self.pipeline, asked, classes=self.model.class_count)


def load(
    journey: Journey, candidate_id: str, version: int, digest: str, tables: dict[str, int] | None = None
) -> Opponent:
    """The champion ``candidate_id``. ``tables`` are the table versions it was read from before; by default those of the
    candidate, and the newest version of each view that only the champion reads.

    Raises:
        ModelFileRefused, VersionMissing: when its artifact is not what its gates judged.
        NotAskable, TableMissing: when what it learned from is not there.
    """
    return _opponent(
        journey, candidate_id, fitted_models.load(stores.registry(), journey.model.name, version, digest), tables
    )


def load_unseeing(journey: Journey, head: Epoch, tables: dict[str, int] | None = None) -> Opponent:
    """The champion by a file that has not learned from the journey's held-out rows: the one that serves, or its twin
    where that one has seen them. Raises what ``load`` does."""
    champion = journey.ledger.candidates.get(head.to_candidate)
    ends = [made.end for made in journey.ledger.lineage.training_sets(head.to_candidate)]
    begins = instant(journey.kept(TrainingSets).holdout.start)
    if not serves_refitted(champion) or (ends and max(ends) <= begins):
        return load(journey, head.to_candidate, int(str(head.model_version)), head.digest, tables)
    run, registry = str(champion.facts.mlflow_run_id), stores.registry()
    twin = registry.logged_model(run)
    if twin is None:
        raise VersionMissing(f"MLflow run {run} of champion {head.to_candidate} has lost the twin that was judged.")
    print(f"Champion {head.to_candidate} has learned from held-out rows, so its judged twin is compared with.")
    pipeline = fitted_models.load_logged(registry, twin, str(champion.facts.artifact_digest))
    return _opponent(journey, head.to_candidate, pipeline, tables)


def _opponent(journey: Journey, candidate_id: str, pipeline: Any, tables: dict[str, int] | None) -> Opponent:
    model = journey.model
    asked = as_trained.as_learned(journey.ledger, model, candidate_id, estimators.inputs_of(pipeline))
    if as_trained.reads_the_same(asked, model):
        return Opponent(pipeline, model, None)
    declared = {use.view for use in model.views}
    others = [f"{use.name} version {use.version}" for use in asked.views if use.view not in declared]
    print(f"Champion {candidate_id} learned from {', '.join(others) or 'other features'}, and is asked about that.")
    if tables is None:
        shared = journey.kept(TrainingSets).train.table_versions
        tables = {view: shared.get(view, newest) for view, newest in recording.pinned_now(asked).items()}
    return Opponent(pipeline, asked, tables)
