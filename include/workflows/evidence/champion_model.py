"""The champion as the opponent of a candidate: the same rows, each asked about what it learned from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from include.adapters import estimators, model_files
from include.adapters.offline_store import TableMissing
from include.adapters.registry import VersionMissing
from include.config import ModelDeclaration
from include.domain.intervals import Interval, instant
from include.workflows import stores
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
    model = journey.model
    pipeline = fitted_models.load(stores.registry(), model.name, version, digest)
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
