"""Lineage, both ways: what one prediction came from, and what one day of a view's source rows went into.

Everything is read from the ledger, where each step wrote down what it used when it used it; today's declarations are
used only for which views a model reads and their look-back.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from include.adapters.ledger import Candidate, Ledger, Partition, Scoring, TrainingRecord, ViewRead
from include.config import FeatureView, declarations
from include.domain.ahead import AHEAD
from include.domain.errors import Refusal
from include.domain.intervals import Interval
from include.domain.promotion import Epoch
from include.domain.wording import count_of
from include.workflows import stores
from include.workflows.features import source_days
from include.workflows.journey.facts import RecipeRace
from include.workflows.journey.kept_facts import KeptFacts
from include.workflows.lineage import recording


class NoSuchThing(Refusal, LookupError):
    """What lineage was asked about is not there."""


@dataclass(frozen=True, slots=True)
class Node:
    """One thing, in a sentence and as data, and what it came from or went into."""

    kind: str
    text: str
    facts: dict[str, Any] = field(default_factory=dict)
    children: tuple[Node, ...] = ()

    def as_json(self) -> dict[str, Any]:
        below = {"children": [child.as_json() for child in self.children]} if self.children else {}
        return {"kind": self.kind, "text": self.text, **self.facts, **below}

    def lines(self) -> list[str]:
        """The tree for people."""
        return [self.text, *_branches(self.children, "")]

    def find(self, kind: str) -> list[Node]:
        """Every node of that kind, at any depth."""
        mine = [self] if self.kind == kind else []
        return mine + [found for child in self.children for found in child.find(kind)]


def of_prediction(prediction_id: str) -> Node:
    """From one line of the prediction log back to the source.

    Raises:
        NoSuchThing: when no log has the prediction. UnknownCandidate: when the ledger lacks the one that answered.
    """
    candidate_id, _, request = prediction_id.partition("|")
    if not request:
        raise NoSuchThing(
            f"{prediction_id!r} is no prediction id; one is CANDIDATE|REQUEST, as the prediction log has it."
        )
    with stores.open_ledger() as ledger:
        candidate = ledger.candidates.get(candidate_id)
        row = stores.offline_store().find_prediction(candidate.model, prediction_id, candidate_id)
        if row is None:
            raise NoSuchThing(f"The prediction log of {candidate.model} has no {prediction_id!r}.")
        scored = ledger.lineage.scorings(candidate.model, row["day"], candidate_id=candidate_id)
        made = [s for s in scored if s.day == row["day"]]
        answer = f"score {row['score']:.6g}" if row["error"] is None else f"no answer: {row['error']}"
        return Node(
            "prediction",
            f"prediction {prediction_id}: {answer}, {row['role']} on {row['day']}, "
            f"asked at {_time(row['prediction_time'])}{_when_answered(row)}",
            {
                "prediction_id": prediction_id,
                "day": row["day"],
                "role": row["role"],
                "score": row["score"],
                "prediction_time": row["prediction_time"].isoformat(),
                **({"answered": row["answered"]} if row.get("answered") else {}),
            },
            (_model(ledger, candidate), *(_features(s) for s in made)),
        )


def of_candidate(candidate_id: str) -> Node:
    """From a candidate back to the source, and forward to the days it scored.

    Raises:
        UnknownCandidate: when there is none.
    """
    with stores.open_ledger() as ledger:
        candidate = ledger.candidates.get(candidate_id)
        model = _model(ledger, candidate)
        scored = ledger.lineage.scorings(candidate.model, candidate_id=candidate_id)
        predictions = Node(
            "predictions", f"{sum(s.rows for s in scored):,} predictions on {count_of(len(scored), 'day')}"
        )
        days = tuple(Node("scored_day", f"{s.day}: {s.rows:,} rows, {s.role}", _scored_facts(s)) for s in scored)
        below = (Node(predictions.kind, predictions.text, {}, days),) if scored else ()
        return Node(model.kind, model.text, model.facts, (*model.children, *below))


def of_day(view_name: str, day: str) -> Node:
    """From one day of a view forward to every training set, model and prediction that read it, or read a later day
    whose look-back reaches its source rows.

    Raises:
        NoSuchThing: when the day was never published.
    """
    view = declarations().view(view_name)
    day = Interval.of_day(day).days[0]
    with stores.open_ledger() as ledger:
        publishes = ledger.partitions.history(view.name, view.version, day)
        if not publishes:
            raise NoSuchThing(
                f"{view.name} version {view.version} has no published {day}; `slipway features` says what there is."
            )
        reached = _reached(ledger, view, day)
        current = publishes[-1]
        return Node(
            "view_day",
            f"{view.name} v{view.version} {day}: {current.status.value}, {current.rows:,} rows, "
            f"publish {len(publishes)} of it",
            {"view": view.name, "view_version": view.version, "day": day, **source_days.source_facts(current)},
            (
                *(_publish(p, is_current=p is current) for p in publishes),
                *_reached_note(view, day, reached),
                _training_sets(ledger, view, reached),
                _predictions(ledger, view, reached),
            ),
        )


def _when_answered(row: Mapping[str, Any]) -> str:
    """Of a row whose model answers ahead, whether that came in time."""
    if not row.get("answered"):
        return ""
    if row["answered"] == AHEAD:
        return (
            f", answered ahead by revision {row['revision']}, the last of {count_of(row['times_answered'], 'answer')}"
        )
    return f", not answered in time: filled by revision {row['revision']} once the day was over"


# --- backward --------------------------------------------------------------------------------------------------------


def _model(ledger: Ledger, candidate: Candidate) -> Node:
    facts = candidate.facts
    sets = ledger.lineage.training_sets(candidate.candidate_id)
    digest = (facts.serving_digest or "-").removeprefix("sha256:")[:12]
    if facts.served_digest is not None:
        digest += f", its judged twin {(facts.artifact_digest or '-')[:12]}"
    return Node(
        "model",
        f"{candidate.model} version {facts.model_version or '-'}: candidate {candidate.candidate_id}, "
        f"{candidate.state.value}, artifact {digest}",
        {
            "model": candidate.model,
            "candidate_id": candidate.candidate_id,
            "model_version": facts.model_version,
            "artifact_digest": facts.artifact_digest,
            "served_digest": facts.served_digest,
            "mlflow_run_id": facts.mlflow_run_id,
            "training_set_hash": facts.training_set_hash,
            "state": candidate.state.value,
        },
        (*_race(candidate), *(_training_set(made) for made in sets)),
    )


def _race(candidate: Candidate) -> Iterator[Node]:
    """The race of recipes that chose which training rows it learned from, where one was run and can be read here."""
    race = KeptFacts(candidate.candidate_id).of(RecipeRace)
    if race is not None:
        shown = {k: v for k, v in asdict(race).items() if k != "sentence"}
        yield Node("race", f"{race.sentence} It learned from {race.learned_rows:,} rows.", shown)


def _training_set(made: TrainingRecord) -> Node:
    return Node(
        "training_set",
        f"{made.part} set {made.content_hash[:12]}: {made.rows:,} rows of {made.start:%Y-%m-%d} to "
        f"{made.end:%Y-%m-%d}, as of {_time(made.as_of)}, label {made.label_hash[:12]}",
        {
            "candidate_id": made.candidate_id,
            "part": made.part,
            "content_hash": made.content_hash,
            "label_hash": made.label_hash,
            "rows": made.rows,
            "start": made.start.isoformat(),
            "end": made.end.isoformat(),
            "as_of": made.as_of.isoformat(),
        },
        tuple(_view_read(read) for read in made.sources),
    )


def _features(scored: Scoring) -> Node:
    return Node(
        "features",
        f"features served to {scored.rows:,} requests of {scored.day} (kept as "
        f"{scored.feature_set or 'records of the journal'}, run {scored.run_id})",
        _scored_facts(scored),
        tuple(_view_read(read) for read in scored.sources),
    )


def _view_read(read: ViewRead) -> Node:
    view = declarations().version(read.view, read.view_version)
    tables = (
        tuple(Node("source_table", f"source table {each.table}", {"table": each.table}) for each in view.source)
        if view
        else ()
    )
    known = _time(read.watermark) if read.watermark else "no row"
    return Node(
        "view",
        f"{read.known_as}, definition {(read.code_hash or '-')[:12]}, source known up to {known}",
        {
            "view": read.view,
            "view_version": read.view_version,
            "table_version": read.table_version,
            "code_hash": read.code_hash,
            "watermark": read.watermark and read.watermark.isoformat(),
        },
        tables,
    )


# --- forward ---------------------------------------------------------------------------------------------------------


Reached = dict[str, list[Partition]]
"""Each reached day of a view with its publishes, oldest first."""


def _reached(ledger: Ledger, view: FeatureView, day: str) -> Reached:
    span = source_days.reaching(view, day)
    published = ledger.partitions.between(view.name, view.version, span.days[0], span.end.date().isoformat())
    return {p.day: ledger.partitions.history(view.name, view.version, p.day) for p in published}


def _reached_note(view: FeatureView, day: str, reached: Reached) -> Iterator[Node]:
    others = [d for d in reached if d != day]
    if others:
        text = f"its source rows also reach {len(others)} published days by look-back: {others[0]} to {others[-1]}"
        yield Node("reached", text, {"days": others})


def _publish(p: Partition, *, is_current: bool) -> Node:
    source = source_days.source_facts(p)
    return Node(
        "publish",
        f"{'current' if is_current else 'earlier'} publish, table version {p.table_version}, run {p.run_id}: "
        f"{p.rows:,} rows {p.content_hash[:12]} from {p.source_rows:,} source rows {(p.source_hash or '-')[:12]}, "
        f"known up to {source['watermark'] or '-'}, read as of {source['as_of'] or '-'}",
        {
            "current": is_current,
            "table_version": p.table_version,
            "content_hash": p.content_hash,
            "code_hash": p.code_hash,
            "run_id": p.run_id,
            "source": source,
        },
    )


def _training_sets(ledger: Ledger, view: FeatureView, reached: Reached) -> Node:
    candidates = {c.candidate_id: c for c in ledger.lineage.candidates()}
    found = []
    for made in ledger.lineage.training_sets():
        read = _read_of(made.sources, view)
        candidate = candidates.get(made.candidate_id)
        if read is None or candidate is None:
            continue
        interval = Interval(made.start, made.end)
        days = _days_read(candidate.model, view, interval, reached)
        if not days:
            continue
        superseded = _superseded(reached, days, read.table_version, made.recorded_at)
        epochs = ledger.deployments.epochs(candidate.model)
        found.append(_trained(made, candidate, epochs, superseded))
    return Node(
        "training_sets",
        f"read by {count_of(len(found), 'training set')}" if found else "no training set read it",
        {},
        tuple(found),
    )


def _trained(made: TrainingRecord, candidate: Candidate, epochs: Sequence[Epoch], superseded: bool) -> Node:
    served = [e for e in epochs if e.to_candidate == candidate.candidate_id]
    since = f", champion from {served[0].effective_from:%Y-%m-%d}" if served else ""
    set_node = _training_set(made)
    model = Node(
        "model",
        f"{candidate.model} version {candidate.facts.model_version or '-'}: {candidate.candidate_id}, "
        f"{candidate.state.value}{since}",
        {
            "model": candidate.model,
            "candidate_id": candidate.candidate_id,
            "model_version": candidate.facts.model_version,
            "state": candidate.state.value,
        },
    )
    note = "; read an earlier publish of it" if superseded else ""
    return Node(
        set_node.kind, f"{set_node.text}{note}", {**set_node.facts, "read_an_earlier_publish": superseded}, (model,)
    )


def _predictions(ledger: Ledger, view: FeatureView, reached: Reached) -> Node:
    found, rows = [], 0
    for scored in ledger.lineage.scorings():
        read = _read_of(scored.sources, view)
        if read is None:
            continue
        days = _days_read(scored.model, view, Interval.of_day(scored.day), reached)
        if not days:
            continue
        superseded = _superseded(reached, days, read.table_version, scored.recorded_at)
        note = "; read an earlier publish of it" if superseded else ""
        rows += scored.rows
        found.append(
            Node(
                "scored_day",
                f"{scored.model} {scored.day}: {scored.rows:,} rows {scored.role} by version {scored.model_version} "
                f"({scored.candidate_id}), {read.known_as}{note}",
                {**_scored_facts(scored), "read_an_earlier_publish": superseded},
            )
        )
    text = f"{rows:,} predictions on {len(found)} scored days may have read it" if found else "no prediction read it"
    return Node("predictions", text, {"rows": rows}, tuple(found))


def _read_of(sources: Sequence[ViewRead], view: FeatureView) -> ViewRead | None:
    return next((s for s in sources if (s.view, s.view_version) == (view.name, view.version)), None)


def _days_read(model_name: str, view: FeatureView, interval: Interval, reached: Reached) -> list[str]:
    """The reached days that the events of ``interval`` could be answered by; all of the interval's where the model is
    no longer declared."""
    model = declarations().models.get(model_name)
    if model is None:
        first, end = interval.days[0], Interval.of_day(interval.days[-1]).end.date().isoformat()
    else:
        first, end = recording.asked_days(model, view.ref, interval)
    return [day for day in reached if first <= day < end]


def _superseded(reached: Reached, days: Sequence[str], table_version: int, recorded_at: datetime | None) -> bool:
    """Whether a reader of the table's version saw other rows, of any of the days, than are published now."""
    for day in days:
        history = reached[day]
        seen = [
            p
            for p in history
            if (p.table_version if p.table_version is not None else -1) <= table_version
            and (recorded_at is None or p.recorded_at is None or p.recorded_at <= recorded_at)
        ]
        if (seen[-1].content_hash if seen else None) != history[-1].content_hash:
            return True
    return False


def _scored_facts(scored: Scoring) -> dict[str, Any]:
    return {
        "model": scored.model,
        "day": scored.day,
        "candidate_id": scored.candidate_id,
        "model_version": scored.model_version,
        "role": scored.role,
        "rows": scored.rows,
        "feature_set": scored.feature_set,
        "run_id": scored.run_id,
    }


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M}"


def _branches(children: Sequence[Node], indent: str) -> Iterator[str]:
    for i, child in enumerate(children):
        last = i == len(children) - 1
        yield f"{indent}{'└─ ' if last else '├─ '}{child.text}"
        yield from _branches(child.children, f"{indent}{'   ' if last else '│  '}")
