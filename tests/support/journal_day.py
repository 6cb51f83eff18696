"""A day of a journey's world as an online service would have written it: the very rows that batch would score, asked
one by one."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import yaml
from feature_world import at
from journey_world import VIEWS, JourneyWorld

from include.adapters import estimators
from include.adapters.journal import Journal
from include.config import declarations, loader
from include.config.settings import settings
from include.domain.intervals import Interval
from include.domain.journal.records import AnswerRecord, Record, ViewServed
from include.workflows import stores
from include.workflows.scoring import fitted_models, online_challenger, point_in_time_rows

STARTED = at(1)


def go_online(world: JourneyWorld, **serving: object) -> None:
    """Declare the world's model online from now on, and its views fresh enough for that."""
    for view in VIEWS:
        file = world.root / "declared" / "features" / view / "view.yaml"
        said = yaml.safe_load(file.read_text(encoding="utf-8"))
        said |= {"delay": "30s", "stream": {"every": "10s"}}
        file.write_text(yaml.safe_dump(said, sort_keys=False), encoding="utf-8")
    file = world.root / "declared" / "models" / world.model / "model.yaml"
    said = yaml.safe_load(file.read_text(encoding="utf-8"))
    file.write_text(yaml.safe_dump({**said, "serving": {"mode": "online", **serving}}), encoding="utf-8")
    loader.declarations.cache_clear()


def asked_of(world: JourneyWorld, number: int, candidate_id: str, *, role: str = "champion") -> list[AnswerRecord]:
    """What the candidate answers to each row of a published day, asked once at the time at which batch asks it."""
    with stores.open_ledger() as ledger:
        facts = ledger.candidates.get(candidate_id).facts
        revision = max(e.revision for e in ledger.deployments.epochs(world.model))
    model, interval = declarations().model(world.model), Interval.of_day(at(number).date())
    version, digest = int(str(facts.model_version)), str(facts.serving_digest)
    pipeline = fitted_models.load(stores.registry(), world.model, version, digest)
    rows = point_in_time_rows.features_for(model, interval, interval.end).to_pandas()
    features = estimators.as_input(rows, fitted_models.kinds_of(model))
    scores = estimators.predict(pipeline, features, classes=model.class_count)
    classes = model.label.classes or []
    return [
        AnswerRecord(
            asked_id=f"q{i:04d}",
            request_id=f"q{i:04d}",
            model=world.model,
            prediction_time=rows["prediction_time"].iloc[i].to_pydatetime(),
            candidate=candidate_id,
            digest=digest,
            revision=revision,
            route_revision=revision,
            keys={"trip_id": rows["trip_id"].iloc[i]},
            event_time=rows["event_time"].iloc[i].to_pydatetime(),
            role="shadow" if role == "shadow" else "champion",
            score=float(scores[i]),
            predicted=classes[int(scores[i] > 0.5)],
            us_total=100 + i,
            us_model=50,
            features={} if role == "shadow" else {name: _plain(features[name].iloc[i]) for name in model.features},
            views={
                "trip_plan": ViewServed(1, age_s=86400.0, missing="stale"),
                "station_level": ViewServed(1, age_s=1800.0 + i),
            },
        )
        for i in range(len(rows))
    ]


def changed(record: AnswerRecord, **how: Any) -> AnswerRecord:
    return msgspec.structs.replace(record, **how)


def journal_folder() -> Path:
    return settings().home / "journal"


def write(
    records: Sequence[Record], *, folder: Path | None = None, instance: str = "here", ended: bool = True, pid: int = 0
) -> Path:
    """One process's segment, which says at its end that it writes nothing more; its file."""
    journal = Journal(folder or journal_folder(), instance, STARTED + timedelta(seconds=pid), lambda: STARTED)
    for record in records:
        journal.append([record])
    file = journal.folder / journal.segment
    if ended:
        journal.mark(STARTED, ends=True)
    journal.close()
    return file


def write_shadow(candidate_id: str, records: Sequence[Record]) -> Path:
    return write(records, folder=online_challenger.own_folder(candidate_id), instance="shadow")


def silent_since(files: Iterable[Path], moment: datetime) -> None:
    """As if the files had last been written then."""
    for file in files:
        os.utime(file, (moment.timestamp(), moment.timestamp()))


def _plain(value: Any) -> Any:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    return value if isinstance(value, str) else float(value)
