"""The journal read as columns gives what its records say one by one, whatever they are and however they lie there."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pytest
import record_by_record as one_by_one

from include.adapters.offline_store import content_hash, plain
from include.config import ModelDeclaration, declarations
from include.domain.journal.frames import framed
from include.domain.journal.records import AnswerRecord, Beside, Mark, Opening, ViewServed, payload_of
from include.workflows.scoring import collected_rows, journal_columns
from include.workflows.scoring.journal_columns import AnswerForm
from include.workflows.scoring.journal_read import JournalDay, journal_of

START, DAY = datetime(2013, 6, 22, tzinfo=UTC), "2013-06-22"
NOW = START + timedelta(days=2)
KEYS = {"flight_id": pa.string()}
HARD = [0.0, -0.0, 1e308, 5e-324, 0.1 + 0.2, -1.5, 2.0**53, 3.0, None]
TEXTS = ["UA", "", "é|ü\n", '"quoted"', "x" * 300, "\x00", "🛫", None]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SLIPWAY_HOME", str(tmp_path))
    return tmp_path


def made(dice: random.Random, model: ModelDeclaration, number: int, **other: Any) -> AnswerRecord:
    """A record with some of what a record may have."""
    kinds, at = AnswerForm.of(model, KEYS).kinds, START + timedelta(microseconds=dice.randrange(86_400_000_000))
    values = {"numeric": HARD, "categorical": TEXTS, "boolean": [True, False, None]}
    score: Any = dice.choice([None, 0.5, 0.51, dice.random(), 1.0])
    views = {
        dice.choice([use.name, f"{use.name}@1"]): ViewServed(
            1, dice.choice([None, at]), dice.choice([None, -1.5, 60.0]), dice.choice([None, None, "stale"]), "r"
        )
        for use in model.views
        if dice.random() < 0.8
    }
    says = {
        "asked_id": f"q{number:04d}",
        "request_id": "r",
        "model": model.name,
        "prediction_time": at,
        "candidate": dice.choice(["first", "first", "first", "second"]),
        "digest": "ab" * 32,
        "revision": dice.randrange(3),
        "route_revision": 1,
        "keys": dice.choice([{"flight_id": f"f{number}|x"}, {"flight_id": "7", "other": [1]}]),
        "event_time": dice.choice([None, START + timedelta(minutes=dice.randrange(-60, 1500))]),
        "arm": dice.choice(["champion", "canary"]),
        "role": dice.choice(["champion", "champion", "canary", "probe"]),
        "unit": dice.choice([None, "u"]),
        "number": dice.choice([None, 2]),
        "score": score,
        "predicted": "late",
        "error": "it could not be asked" if score is None else dice.choice([None, None, ""]),
        "us_total": dice.randrange(900),
        "us_model": dice.randrange(2),
        "features": {name: dice.choice(values[kinds[name]]) for name in model.features},
        "given": dice.choice([[], "all", ["temp", "dewp"]]),
        "views": views,
    }
    return AnswerRecord(**{**says, **other})


def records_of(dice: random.Random, model: ModelDeclaration, count: int) -> list[AnswerRecord]:
    rows = [made(dice, model, number) for number in range(count)]
    for each in dice.sample(rows, count // 5):  # asked again, some at the very moment
        at = each.prediction_time + timedelta(microseconds=dice.choice([-1, 0, 1]))
        rows.append(msgspec.structs.replace(each, prediction_time=at, score=0.9, error=None))
    for place in dice.sample(range(len(rows)), count // 5):
        beside = Beside(
            "beside", "cd" * 32, "canary", score=dice.choice([None, 0.7]), error=dice.choice([None, "late"])
        )
        more = {"canary_features": {"temp": 4.0}} if dice.random() < 0.5 else {}
        rows[place] = msgspec.structs.replace(rows[place], beside=beside, **more)
    dice.shuffle(rows)
    return rows


def bytes_of(dice: random.Random, records: list[AnswerRecord], *, hurt: bool) -> bytes:
    """A segment; with what no reader of this version knows, and perhaps with changed bytes."""
    parts = [framed(payload_of(Opening(1, "here", 1, START, 1, START)))]
    for record in records:
        payload = payload_of(record)
        if dice.random() < 0.1:  # a newer writer's field
            payload = payload[:-1] + b',"newer":{"a":[1,null]}}'
        parts.append(framed(payload))
        if dice.random() < 0.1:
            parts.append(framed(dice.choice([b'{"kind":"newest","x":1}', b'{"kind":"answer"}', b'{"a":1e999}'])))
        if dice.random() < 0.05:
            parts.append(framed(payload_of(Mark(record.prediction_time))))
    data = bytearray(b"".join(parts))
    for _ in range(5 if hurt else 0):
        data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
    return bytes(data[:-3] if hurt else data)


def lay(folder: Path, segments: list[bytes]) -> None:
    folder.mkdir(parents=True)
    for number, data in enumerate(segments):
        (folder / f"h{number}.1.20130622T000000000000Z.000001.journal").write_bytes(data)


def as_rows(model: ModelDeclaration, day: JournalDay) -> Iterator[tuple[str, pa.Table, pa.Table]]:
    """Of each candidate the rows of the log, and those of the features."""
    who = day.answers.column("candidate")
    for candidate in sorted(who.unique().to_pylist()):
        answers = day.answers.filter(pa.compute.equal(who, candidate))
        asked = collected_rows.asked_rows(model, answers, KEYS)
        kept = collected_rows.kept_features(model, asked, answers, collected_rows.inputs_of(answers))
        yield candidate, collected_rows.logged(model, asked, answers, version="3", role="served"), kept


def by_the_records(model: ModelDeclaration, folder: Path) -> Iterator[tuple[str, pa.Table, pa.Table]]:
    answers, _ = one_by_one.answers_in(folder, model.name, {DAY})
    for candidate, records in sorted(one_by_one.by_candidate(answers.of(DAY)).items()):
        asked = one_by_one.asked_rows(model, records, KEYS)
        inputs = [*records[0].features, *records[0].omitted]
        kept = one_by_one.kept_features(model, asked, records, inputs)
        yield candidate, one_by_one.logged(model, asked, records, version="3", role="served"), kept


def told(rows: Iterator[tuple[str, pa.Table, pa.Table]]) -> list[Any]:
    """Comparable: names, types, values and order of the log; of the features as they are stored."""
    return [
        (who, content_hash(plain(log)), sorted(log.schema.names), content_hash(stored(kept)), kept.schema.names)
        for who, log, kept in rows
    ]


def stored(kept: pa.Table) -> pa.Table:
    by = [(name, "ascending") for name in ("event_time", "request_id", "asked_id")]
    return plain(kept.take(pa.compute.sort_indices(kept, by)))


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("name", ["flight_delay", "air_time"])
def test_f158_columns_say_what_the_records_say_one_by_one(home, name, seed):
    dice, model = random.Random(seed), declarations().model(name)
    records = records_of(dice, model, 120)
    cuts = sorted(dice.sample(range(len(records)), 3))
    parts = [records[a:b] for a, b in zip([0, *cuts], [*cuts, len(records)], strict=True)]
    segments = [bytes_of(dice, part, hurt=seed % 2 == 1) for part in parts]
    lay(home / "journal", segments)
    day = journal_of(AnswerForm.of(model, KEYS), DAY, NOW)
    expected, reader = one_by_one.answers_in(home / "journal", name, {DAY})
    assert told(as_rows(model, day)) == told(by_the_records(model, home / "journal"))
    reader.damage.where.sort(key=lambda where: (where.partition(":")[0], int(where.partition(":")[2])))
    assert (day.duplicates, day.damage) == (expected.duplicates, reader.damage)
    assert day.count(DAY, 0) == expected.count(DAY)
    assert len(day.answers) > 50


# --- what was read is kept -------------------------------------------------------------------------------------------


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The place of each record that is decoded."""
    places: list[int] = []
    take = journal_columns.ColumnReader.take

    def noted(self: Any, base: int, whole: Any) -> None:
        places.extend(base + each.at for each in whole)
        take(self, base, whole)

    monkeypatch.setattr(journal_columns.ColumnReader, "take", noted)
    return places


def read(model: ModelDeclaration) -> tuple[list[Any], Any, Any]:
    day = journal_of(AnswerForm.of(model, KEYS), DAY, NOW)
    writers = [(w.name, w.began, w.marked, w.last, w.ended) for w in day.writers]
    return told(as_rows(model, day)), writers, (day.duplicates, day.damage)


@pytest.mark.parametrize("seed", range(4))
def test_f159_each_byte_is_decoded_once_and_read_in_steps_a_day_is_the_same(home, decoded, seed):
    dice, model = random.Random(seed), declarations().model("flight_delay")
    records = records_of(dice, model, 60)
    segments = [bytes_of(dice, records[:40], hurt=seed > 1), bytes_of(dice, records[40:], hurt=False)]
    lay(home / "journal", segments)
    expected = read(model)
    shutil.rmtree(home / "journal-columns")
    decoded.clear()
    files = sorted((home / "journal").iterdir())
    for share in (0.0, 0.3, 0.31, 0.9):  # cut at any byte, also within a record
        for file, data in zip(files, segments, strict=True):
            file.write_bytes(data[: int(len(data) * share)])
        read(model)
    for file, data in zip(files, segments, strict=True):
        file.write_bytes(data)
    # What was cut may be torn for a while, and is no damage in the end.
    assert read(model) == expected
    assert read(model) == expected
    once = len(decoded)
    shutil.rmtree(home / "journal-columns")
    decoded.clear()
    assert read(model) == expected
    assert len(decoded) == once


def test_what_is_kept_is_not_believed_of_another_segment_another_form_or_a_damaged_file(home, decoded):
    dice, model = random.Random(1), declarations().model("flight_delay")
    records = records_of(dice, model, 40)
    lay(home / "journal", [bytes_of(dice, records, hurt=False)])
    read(model)
    (file,) = (home / "journal").iterdir()
    (kept,) = (home / "journal-columns" / model.name).iterdir()
    count = len(decoded)
    decoded.clear()
    kept.write_bytes(kept.read_bytes()[:-20])
    expected = read(model)
    assert len(decoded) == count
    decoded.clear()
    journal_of(AnswerForm.of(model, {}), DAY, NOW)
    assert len(decoded) == count
    file.write_bytes(bytes_of(dice, records[:20], hurt=False) + file.read_bytes())  # of the same name, and longer
    assert read(model) != expected
    assert told(as_rows(model, journal_of(AnswerForm.of(model, KEYS), DAY, NOW))) == told(
        by_the_records(model, home / "journal")
    )
    file.unlink()
    read(model)
    assert not kept.exists()


def test_a_candidate_of_other_features_and_records_that_fit_no_form_are_read_too(home):
    dice, model = random.Random(2), declarations().model("flight_delay")
    fewer = {"temp": 1.0, "carrier": "UA"}
    records = [made(dice, model, n, role="champion", event_time=None, candidate="first") for n in range(40)]
    records += [made(dice, model, 50 + n, role="champion", event_time=None, features=fewer) for n in range(9)]
    records += [made(dice, model, 70 + n, role="champion", event_time=None, omitted=["temp"]) for n in range(9)]
    records.append(made(dice, model, 90, role="champion", event_time=None, views={"a@1": ViewServed(1, START)}))
    both = {"flight_schedule@1": ViewServed(1, START), "flight_schedule@2": ViewServed(2, None)}
    records.append(made(dice, model, 91, role="champion", event_time=None, views=both))
    whole = {**records[0].features, "temp": 3}
    records.append(made(dice, model, 92, role="champion", event_time=None, features=whole))
    dice.shuffle(records)
    lay(home / "journal", [bytes_of(dice, records, hurt=False)])
    day = journal_of(AnswerForm.of(model, KEYS), DAY, NOW)
    assert told(as_rows(model, day)) == told(by_the_records(model, home / "journal"))
    assert len(day.answers) == len(records)


def test_a_value_of_another_kind_than_its_feature_is_refused_and_not_made_to_fit(home):
    dice, model = random.Random(3), declarations().model("flight_delay")
    records = [made(dice, model, n, role="champion", event_time=None, candidate="first") for n in range(5)]
    records[2] = msgspec.structs.replace(records[2], features={**records[2].features, "temp": "7"})
    lay(home / "journal", [bytes_of(dice, records, hurt=False)])
    day = journal_of(AnswerForm.of(model, KEYS), DAY, NOW)
    for rows in (as_rows(model, day), by_the_records(model, home / "journal")):
        with pytest.raises((pa.ArrowException, TypeError)):
            list(rows)
