"""A model as one of its candidates learned it: the versions of its views, and the features it takes from them.

A declaration moves on while a champion that was made under an earlier one still serves. It gets the features it learned
from, for as long as they are kept (docs/adr/0018). So a new version of a view, or another list of features, comes into
use like any other change, by a candidate that is compared with the champion on the same requests.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from include.adapters import estimators
from include.adapters.ledger import Ledger, Scoring, ViewRead
from include.config import ModelDeclaration, declarations
from include.config.types import FeatureView, ViewUse
from include.domain.errors import Refusal
from include.domain.intervals import Interval
from include.domain.wording import count_of
from include.workflows.lineage import recording
from include.workflows.scoring import fitted_models, point_in_time_rows
from include.workflows.scoring.request_ids import request_ids

if TYPE_CHECKING:
    import pandas as pd


class NotAskable(Refusal):
    """The features that a candidate learned from are not available."""


def as_learned(
    ledger: Ledger, model: ModelDeclaration, candidate_id: str, inputs: Sequence[str] | None
) -> ModelDeclaration:
    """The model as the candidate learned it; ``model`` itself where nothing has changed since, or nothing is recorded.

    ``inputs`` are the features it takes; None for the declared ones.

    Raises:
        NotAskable: when a version of a view that it learned from is not declared any more, or lacks one of its inputs.
    """
    parts = ledger.lineage.training_sets(candidate_id)
    sources = next((made.sources for made in parts if made.part == recording.TRAIN), ())
    return _as_read(model, sources, inputs or model.features, f"{candidate_id} learned from")


def as_scored(model: ModelDeclaration, scored: Scoring, inputs: Sequence[str]) -> ModelDeclaration:
    """The model as it was read for a day's answers; ``inputs`` are the features that were kept.

    Raises:
        NotAskable: as ``as_learned``.
    """
    return _as_read(model, scored.sources, inputs, f"{scored.day} was scored from")


def reads_the_same(one: ModelDeclaration, other: ModelDeclaration) -> bool:
    """Whether both read the same features from the same versions of the same views."""
    return one.entity.view == other.entity.view and set(map(_shape, one.views)) == set(map(_shape, other.views))


def features_of_requests(
    model: ModelDeclaration, rows: pd.DataFrame, interval: Interval, as_of: datetime, versions: dict[str, int]
) -> pd.DataFrame:
    """The features of the requests in ``rows`` (their keys), row by row, as ``model`` reads them.

    Raises:
        NotAskable: when the views have no row for some of the requests.
    """
    given = point_in_time_rows.features_for(model, interval, as_of, versions).to_pandas()
    return in_input_order(model, given, request_ids(model, rows))


def in_input_order(model: ModelDeclaration, given: pd.DataFrame, requests: Sequence[str]) -> pd.DataFrame:
    """The model's inputs of each request, in the order of the requests; ``given`` may have any order.

    Raises:
        NotAskable: when ``given`` has none for some of them.
    """
    features = estimators.as_input(given, fitted_models.kinds_of(model)).set_axis(request_ids(model, given), axis=0)
    unknown = [each for each in requests if each not in features.index]
    if unknown:
        raise NotAskable(
            f"{count_of(len(unknown), 'request')} of {len(requests):,} have no row in {model.entity.view}, for example "
            f"{unknown[0]}. Materialize its days."
        )
    return features.loc[list(requests)].reset_index(drop=True)


def _as_read(
    model: ModelDeclaration, sources: Iterable[ViewRead], inputs: Sequence[str], what: str
) -> ModelDeclaration:
    views = {read.view: _declared(model, read, what) for read in sources}
    if not views:
        return model
    uses, entity = [], views.get(model.entity.view.partition("@")[0])
    for name, view in views.items():
        features = [each for each in inputs if _source_of(model, views, each, what) == name]
        if features or view is entity:
            uses.append(ViewUse.model_construct(view=view.ref, version=view.version, features=features))
    if entity is None:
        raise NotAskable(
            f"{model.name}: {what} requests of {', '.join(views)}, and entity.view is {model.entity.view} now: they "
            "are not the same requests. Start a retrain: its candidate learns from what is declared now."
        )
    read = model.model_copy(update={"views": uses, "entity": model.entity.model_copy(update={"view": entity.ref})})
    return model if reads_the_same(read, model) else read


def _declared(model: ModelDeclaration, read: ViewRead, what: str) -> FeatureView:
    view = declarations().version(read.view, read.view_version)
    if view is None:
        raise NotAskable(
            f"{model.name}: {what} {read.view} version {read.view_version}, which is not declared any more. Put it "
            f"back as features/{read.view}/v{read.view_version}/ for as long as it is asked about (docs/adr/0018), or "
            "start a retrain: its candidate learns from what is declared now."
        )
    return view


def _source_of(model: ModelDeclaration, views: dict[str, FeatureView], feature: str, what: str) -> str:
    """The view that the feature is taken from: the declared one where it has it."""
    declared = [use.name for use in model.views if feature in use.features]
    having = [name for name, view in views.items() if feature in view.features]
    if not having:
        known = ", ".join(view.ref for view in views.values())
        raise NotAskable(f"{model.name}: {what} a feature {feature!r}, which none of {known} has now.")
    return next((name for name in declared if name in having), having[0])


def _shape(use: ViewUse) -> tuple[str, int, frozenset[str]]:
    return use.view, use.version, frozenset(use.features)
