"""``journal``: what the online service wrote down, read on this machine."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from include.commands import EXIT_FAILED, Answer, Mistake, Verb, VerbGroup

if TYPE_CHECKING:
    from include.adapters.journal import Damage, Entry, JournalReader
    from include.adapters.ledger import SegmentRecord


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", choices=("cat", "status"), help="the records, one a line; or what there is, counted")
    parser.add_argument("--folder", help="of the journal; default SLIPWAY_HOME/journal")
    parser.add_argument("--model", help="cat: only the answers of this model")
    parser.add_argument("--last", type=int, metavar="N", help="cat: only the last N of them")


def _journal(args: argparse.Namespace) -> Answer:
    from include.adapters.journal import JournalReader
    from include.config.settings import settings

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
