"""The facts that one step of a journey leaves for later steps, the drift sensor and the pages: each is a value, and the
journey's folder keeps it as a file of its own (:mod:`include.workflows.journey.fact_files`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypedDict

from include.domain.timing import Timing
from include.workflows.journey.fact_files import Fact


class JourneyReference(TypedDict):
    """Which journey a task belongs to, as it travels between tasks."""

    model: str
    candidate_id: str
    run_id: str
    as_of: str


class ReportReference(TypedDict):
    """Which drift report a decision is about, as it travels between tasks."""

    model: str
    day: str
    report_id: str
    flags: dict[str, Any]
    """The findings of the report, by lane, for readers of the XCom."""


Metrics = Mapping[str, Mapping[str, float]]
"""By whom (``candidate``, ``champion``, ``baseline``), then by metric; a metric that could not be computed is left
out."""


@dataclass(frozen=True, slots=True)
class JoinAvailability:
    """How late values were known, as the join of a training set measured it.

    Attributes:
        rows: rows that were joined.
        late: by feature, how many values were available only after their row's prediction time.
        by_most_s: by feature, by how many seconds at most.
        key_remarks: sentences about join keys whose types differ.
    """

    rows: int
    late: Mapping[str, int]
    by_most_s: Mapping[str, float]
    key_remarks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TrainingSet:
    """A built training set: where it is, what it was made from, and what was counted.

    ``never_labelled`` are rows whose window closed without a label (a cancelled flight); ``not_matured`` those whose
    window was still open at ``as_of``. Neither is in the file. ``label_counts`` is per class, in the declared order;
    empty for regression. ``first_event`` and ``last_event`` are None without rows. Times are ISO 8601 in UTC.
    """

    model: str
    path: str
    rows: int
    content_hash: str
    label_hash: str
    start: str
    end: str
    as_of: str
    table_versions: dict[str, int]
    features: list[str]
    label_counts: dict[str, int]
    never_labelled: int
    not_matured: int
    first_event: str | None
    last_event: str | None
    availability: JoinAvailability | None = None
    """None in sets that were built before this was measured."""
    lacking_by_age: tuple[tuple[int, int], ...] = ()
    """For each age in days since the label window closed: rows as old, and those without a label then; empty in sets
    that were built before this was measured."""

    @property
    def key_remarks(self) -> tuple[str, ...]:
        return self.availability.key_remarks if self.availability else ()


@dataclass(frozen=True, slots=True)
class TrainingSets:
    """What ``build_training_set`` leaves."""

    FILE: ClassVar[str] = "training_set.json"
    VERSION: ClassVar[int] = 1

    train: TrainingSet
    holdout: TrainingSet

    def part(self, which: str) -> TrainingSet:
        """``train`` or ``holdout``."""
        return {"train": self.train, "holdout": self.holdout}[which]


@dataclass(frozen=True, slots=True)
class Replayed:
    """What ``evaluate`` did with the days before both training windows.

    Attributes:
        start, end: the window; None where it could not be placed.
        missing: why there are no scores of it; None where there are.
        learned: the training window of ``candidate`` and ``champion``, in words.
    """

    champion_id: str
    start: str | None = None
    end: str | None = None
    missing: str | None = None
    learned: Mapping[str, str] = field(default_factory=dict)
    rows: int | None = None
    metrics: Metrics = field(default_factory=dict)

    @property
    def window(self) -> tuple[str, str | None, str | None]:
        """Equal for two journeys that compared with the same champion on the same days."""
        return self.champion_id, self.start, self.end


@dataclass(frozen=True, slots=True)
class Evaluated:
    """What ``evaluate`` leaves beside the scores themselves.

    Attributes:
        champion_revision: the revision of the deployment that the candidate was compared with; 0 without a champion.
        champion_missing: why the champion has no scores; None where it has.
        champion_tables: the table version of each view the champion was read from; None where it reads what the
            candidate reads.
        holdout: when the held-out days begin.
        replay: None where no replay window is declared.
        anchor_id: the champion that small losses are counted from; None where it is the one compared with.
        anchor_missing: why the anchor has no scores; None where it has.
    """

    FILE: ClassVar[str] = "evaluation.json"
    VERSION: ClassVar[int] = 1

    rows: int
    champion_revision: int
    champion_id: str | None
    champion_missing: str | None
    holdout: str
    metrics: Metrics
    champion_tables: dict[str, int] | None = None
    replay: Replayed | None = None
    anchor_id: str | None = None
    anchor_missing: str | None = None


@dataclass(frozen=True, slots=True)
class Labelled:
    """How many of the reference's rows never got a label, and how many had none at each age."""

    rows: int
    never_labelled: int
    lacking_by_age: tuple[float, ...] = ()
    """The share without a label at each age in days since the label window closed; empty in versions from before it was
    measured."""


@dataclass(frozen=True, slots=True)
class ReferenceProfile:
    """What a champion is compared with: kept by ``evaluate``, here and on the candidate's MLflow run.

    ``profile`` and ``estimate`` are in the domain's own form (``Profile.as_json``, ``EstimateReference.as_json``).
    """

    FILE: ClassVar[str] = "reference_profile.json"
    VERSION: ClassVar[int] = 1

    profile: dict[str, Any]
    importances: dict[str, float]
    estimate: dict[str, Any] | None = None
    loss_correlation_within_days: float | None = None
    labels: Labelled | None = None
    """None in versions from before it was kept."""
    weight: str | None = None
    """The column that its rows were weighed by; None where all counted the same."""
    naive: float | None = None
    """The mean loss of the naive baseline on the same rows, of rmse its square; None in versions from before it was
    kept, and where it has none."""
    loss: str | None = None
    """What its losses are of (``row_values.name_of_loss``); None in versions from before it was kept."""


@dataclass(frozen=True, slots=True)
class Timings:
    """How long candidate and champion took; None where one was not timed."""

    FILE: ClassVar[str] = "timings.json"
    VERSION: ClassVar[int] = 1

    candidate: Timing | None
    champion: Timing | None


ROC_OF_CLASS = "roc_of_"
"""Before the name of a class: the kind of its curve against all other classes."""


@dataclass(frozen=True, slots=True)
class Curves:
    """Candidate and champion overlaid, small enough for a page: by kind of curve, then by whose it is. A curve that
    cannot be drawn is None."""

    FILE: ClassVar[str] = "curves.json"
    VERSION: ClassVar[int] = 1
    BARE: ClassVar[str] = "by_kind"

    by_kind: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Apart:
    """A request that champion and challenger answered far apart, and what they were asked."""

    request_id: str
    event_time: str
    champion: float
    challenger: float
    features: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Disagreement:
    """How far apart the answers of champion and challenger are in the shadow window.

    Attributes:
        quantiles: by share, as text (``"0.9"``), of the absolute difference.
        of_class: the class whose scores are shown; None but for multiclass.
        points: a sample of (champion, challenger).
        most: the rows that differ most.
    """

    FILE: ClassVar[str] = "disagreement.json"
    VERSION: ClassVar[int] = 1

    rows: int
    mean: float | None
    quantiles: Mapping[str, float]
    of_class: str | None
    points: tuple[tuple[float, float], ...]
    most: tuple[Apart, ...]


@dataclass(frozen=True, slots=True)
class RecipeRace:
    """The race of recipes that a candidate won.

    Attributes:
        winner: the recipe.
        losses: by recipe, its loss on the judged rows; one that is no number is left out.
        rows: how many rows were judged.
        learned_rows: how many the candidate learned from; 0 for a former champion as it is.
        since: the change point, or the first judged day where there was none, ``YYYY-MM-DD``.
        sentence: the same in words.
        metric: what the losses are in; None in races from before it was kept.
        former: the former champion that won, by its candidate; None where none did.
    """

    FILE: ClassVar[str] = "recipe_race.json"
    VERSION: ClassVar[int] = 1

    winner: str
    losses: Mapping[str, float]
    rows: int
    learned_rows: int
    since: str
    sentence: str
    metric: str | None = None
    former: str | None = None

    @property
    def ranking(self) -> list[tuple[str, float]]:
        """Each recipe with its loss, the winner first, the rest by their loss."""
        return sorted(self.losses.items(), key=lambda entry: (entry[0] != self.winner, entry[1], entry[0]))


@dataclass(frozen=True, slots=True)
class Refitted:
    """What serves beside what was judged.

    Attributes:
        recipe: by which both were made.
        twin_digest: of the file that the gates of the recipe judged.
        served_digest: of the file that serves; the same for a former champion.
        rows: how many it learned from; 0 for a former champion, which was not fitted.
        first_day, last_day: of them, ``YYYY-MM-DD``; None for a former champion.
    """

    FILE: ClassVar[str] = "refit.json"
    VERSION: ClassVar[int] = 1

    recipe: str
    twin_digest: str
    served_digest: str
    rows: int
    first_day: str | None
    last_day: str | None


@dataclass(frozen=True, slots=True)
class Remarks:
    """What could not be shown of a journey, by the step that tried."""

    FILE: ClassVar[str] = "remarks.json"
    VERSION: ClassVar[int] = 1
    BARE: ClassVar[str] = "by_step"

    by_step: Mapping[str, tuple[str, ...]]


KINDS: tuple[type[Fact], ...] = (
    TrainingSets,
    Evaluated,
    ReferenceProfile,
    Timings,
    Curves,
    Disagreement,
    RecipeRace,
    Refitted,
    Remarks,
)
"""Every kind of file in a journey's folder that a later step or a page reads."""
