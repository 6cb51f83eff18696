"""``journal``: what the online service wrote down, read on this machine."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from include.commands import EXIT_FAILED, Answer, Mistake, Verb, VerbGroup

if TYPE_CHECKING:
    from include.adapters.journal import Damage, Entry, JournalReader
    from include.adapters.ledger import SegmentRecord
    from include.domain.journal.outcomes import KnownOutcome
    from include.domain.journal.records import AnswerRecord


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "what",
        choices=("cat", "status", "outcomes"),
        help="the records, one a line; what there is, counted; or what came of the answers, as it was told",
    )
    parser.add_argument("name", nargs="?", metavar="MODEL", help="outcomes: of which model's answers")
    parser.add_argument("--folder", help="of the journal; default SLIPWAY_HOME/journal")
    parser.add_argument("--model", help="cat: only the answers of this model")
    parser.add_argument("--last", type=int, metavar="N", help="cat: only the last N of them")


def _journal(args: argparse.Namespace) -> Answer:
    from include.adapters.journal import JournalReader
    from include.config.settings import settings

    if args.what == "outcomes":
        return _outcomes(args)
    if args.name is not None:
        raise Mistake(f"journal {args.what} takes no {args.name!r}; of one model it is --model.")
    folder = Path(args.folder) if args.folder else settings().home / "journal"
    if not folder.is_dir():
        raise Mistake(f"There is no journal in {folder}; the online service makes it with its first answer.")
    if args.last is not None and args.last < 1:
        raise Mistake(f"--last is {args.last}; give 1 or more.")
    reader = JournalReader(folder)
    return _cat(args, reader) if args.what == "cat" else _status(reader)


def _cat(args: argparse.Namespace, reader: JournalReader) -> Answer:
    from collections import deque

    from include.domain.journal.records import payload_of

    wanted = (e for e in reader.all() if _is_wanted(e, args.model))
    chosen = list(deque(wanted, maxlen=args.last))
    damage = _damage(reader.damage)
    if not args.json:
        for line in damage:
            print(f"slipway: {line}", file=sys.stderr)
    lines = tuple(payload_of(entry.record).decode() for entry in chosen)
    return Answer(lines, {"records": [_shown(e) for e in chosen], "damage": list(damage)}, _code(damage))


def _is_wanted(entry: Entry, model: str | None) -> bool:
    return model is None or getattr(entry.record, "model", None) == model


def _shown(entry: Entry) -> dict[str, object]:
    import msgspec

    return {"segment": entry.segment, "at": entry.at, "record": msgspec.to_builtins(entry.record)}


def _status(reader: JournalReader) -> Answer:
    from collections import Counter

    from include.adapters.journal import segments
    from include.domain.journal.records import AnswerRecord

    models: Counter[str] = Counter()
    failed: Counter[str] = Counter()
    newest: dict[str, str] = {}
    for entry in reader.all():
        if isinstance(entry.record, AnswerRecord):
            name = entry.record.model
            models[name] += 1
            failed[name] += entry.record.error is not None
            newest[name] = max(newest.get(name, ""), entry.record.prediction_time.isoformat())
    found = segments(reader.folder)
    size = sum(each.path.stat().st_size for each in found)
    damage = _damage(reader.damage)
    removed = _removed(reader.folder)
    lines = (
        f"{reader.folder}: {len(found)} segments, {size:,} bytes",
        *([f"{len(removed)} older segments were removed, each collected before"] if removed else []),
        *(f"{name}: {models[name]:,} answers, {failed[name]:,} errors, the last at {newest[name]}" for name in models),
        *damage,
    )
    data = {
        "folder": str(reader.folder),
        "segments": len(found),
        "bytes": size,
        "removed": [each.name for each in removed],
        "models": {n: {"answers": models[n], "errors": failed[n], "newest": newest[n]} for n in models},
        "damage": list(damage),
    }
    return Answer(lines, data, _code(damage))


def _outcomes(args: argparse.Namespace) -> Answer:
    from include.adapters.journal import JournalReader
    from include.config import declarations
    from include.config.settings import settings
    from include.domain.journal.outcomes import is_about, known_outcomes
    from include.domain.journal.records import AnswerRecord, OutcomeRecord
    from include.serving.outcomes import FOLDER

    if not args.name:
        raise Mistake("journal outcomes MODEL: say of which model's answers.")
    model, home = declarations().model(args.name).name, settings().home
    told = JournalReader(home / FOLDER)
    known = list(known_outcomes((e.record for e in told.all() if isinstance(e.record, OutcomeRecord)), model))
    asked, answers = {each.request_id for each in known}, dict[str, list[AnswerRecord]]()
    reader = JournalReader(Path(args.folder) if args.folder else home / "journal")
    for entry in reader.all():
        record = entry.record
        if isinstance(record, AnswerRecord) and record.model == model and record.request_id in asked:
            answers.setdefault(record.request_id, []).append(record)
    rows = [(each, is_about(each, answers.get(each.request_id, ()))) for each in known]
    without = sum(answer is None for _, answer in rows)
    damage = (*_damage(told.damage), *_damage(reader.damage))
    lines = (
        *(_outcome_line(outcome, answer) for outcome, answer in rows),
        f"{model}: {len(rows):,} outcomes, {sum(bool(o.before) for o, _ in rows):,} of them changed since, "
        f"{without:,} of rows that are not in this journal",
        *damage,
    )
    shown = [{**_plain(outcome), "answer": None if a is None else _plain(a)} for outcome, a in rows]
    return Answer(lines, {"model": model, "outcomes": shown, "damage": list(damage)}, _code(damage))


def _plain(value: Any) -> dict[str, Any]:
    import msgspec

    made: dict[str, Any] = msgspec.to_builtins(value)
    return made


def _outcome_line(outcome: KnownOutcome, answer: AnswerRecord | None) -> str:
    row = "" if outcome.row is None else f"#{outcome.row}"
    before = f", before that {', '.join(str(value) for _, value in outcome.before)}" if outcome.before else ""
    said = "no such row in this journal"
    if answer is not None:
        said = f"{answer.candidate} said {answer.predicted} ({answer.score}) at {answer.prediction_time.isoformat()}"
    return f"{outcome.request_id}{row}: {outcome.value}{before}, known {outcome.known.isoformat()}; {said}"


def _removed(folder: Path) -> list[SegmentRecord]:
    """What was removed of the service's own journal, by the ledger; nothing where that is away."""
    from include.adapters.ledger import Ledger, LedgerError
    from include.config.settings import settings

    if folder != settings().home / "journal":
        return []
    try:
        with Ledger.open(settings().ledger_url) as ledger:
            return ledger.segments.removed()
    except (LedgerError, OSError):
        return []


def _damage(damage: Damage) -> tuple[str, ...]:
    """What could not be read, in sentences; empty when everything could."""
    where = f" (first at {damage.where[0]})" if damage.where else ""
    said = (
        (damage.torn, f"{damage.torn} segments end in a record that was never finished: its process was killed"),
        (damage.changed, f"{damage.changed} places were changed after they were written, and are passed over"),
        (damage.unknown, f"{damage.unknown} records are of a form that this version does not know"),
    )
    return tuple(f"{text}{where}" for number, text in said if number)


def _code(damage: tuple[str, ...]) -> int:
    return EXIT_FAILED if any("changed" in line or "form" in line for line in damage) else 0


VERBS = (
    Verb(
        "journal",
        "show what the online service wrote down before each reply",
        "slipway journal cat --model flight_delay --last 3",
        _journal,
        _arguments,
        group=VerbGroup.ASK,
        exit_codes="0 everything was read; 1 some records were changed, or are of a newer version",
    ),
)
