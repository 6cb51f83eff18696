"""What must hold at the end of every fault test, whatever crashed: I1 to I18 as one function.

    check_invariants(world)

``world`` gives ``declared`` (Declarations). What else it has is checked too: ``registry`` for I2, I4 and I10, ``lost``
(numbers of versions that the test deleted in MLflow on purpose), ``secrets`` (texts that were planted) for I11,
``children`` (process ids that must be gone) for I12, ``api`` (AirflowApi) for I16. Where things are comes from the
environment, as everywhere. An invariant that needs a component the world does not have is not silently true: the report
says "not applicable" and why.
"""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
from deltalake import DeltaTable
from sqlalchemy import make_url, select

from include.adapters import model_files
from include.adapters.airflow_api import AirflowRefused
from include.adapters.ledger import Ledger, NoticeState, PartitionStatus, ledger_invariants, tables
from include.adapters.ledger.notices import LEASE
from include.adapters.offline_store import DAY, OfflineStore, content_hash, ordered, plain, split_by_day
from include.adapters.online_store import OnlineStore, compared
from include.adapters.registry import CHALLENGER, CHAMPION, ModelRegistry, VersionMissing
from include.config import Declarations, FeatureView
from include.config.settings import settings
from include.domain.intervals import Interval
from include.domain.lifecycle import LIVE, State
from include.domain.verdicts import Verdict
from include.workflows import stores
from include.workflows.alerts import outbox
from include.workflows.lineage import promised

NAMES = {
    "I1": "exactly one champion per model",
    "I2": "ledger head = registry alias = what the service reports",
    "I3": "ledger epochs gap-free, one row each, append-only",
    "I4": "every served version was cleared by gates that saw its artifact",
    "I5": "one row per view, entity and event time; one live partition per interval",
    "I6": "nothing unfinished is visible to readers",
    "I7": "each request took effect once or was refused",
    "I8": "primary replies are unaffected by shadow",
    "I9": "every failure leaves one machine-readable reason",
    "I10": "every former champion is loadable",
    "I11": "no planted secret in any output",
    "I12": "no process, lock or lease is left behind",
    "I13": "one served candidate per model and day, the champion by whom it was claimed",
    "I14": "each store holds what the ledger promised: files, predictions, features, the newest rows online",
    "I15": "what happened is told once per key, and no notice is stuck with whoever began to send it",
    "I16": "each candidate in flight has a run in Airflow that is under way",
    "I17": "each incident is where its newest event left it, without gaps, and nothing happens to it after its end",
    "I18": "each row of an append-only table fits its entry in the chain of hashes, and each entry the one before",
}
HOLDS = "holds"


class InvariantsBroken(AssertionError):
    """One line for each violation."""


@dataclass
class Report:
    """What became of each invariant: ``holds``, or ``not applicable: why``, or ``holds, but for ...: why``."""

    verdicts: dict[str, str] = field(default_factory=dict)


def check_invariants(world: Any) -> Report:
    """Check all of them and return what became of each.

    Raises:
        InvariantsBroken: with every violation found.
    """
    report, broken = Report(), list[str]()
    ledger_file = _file_of(settings().ledger_url)
    if ledger_file is not None and not ledger_file.exists():
        for name in NAMES:
            report.verdicts[name] = "not applicable: there is no ledger yet"
        broken += _unfinished()
    else:
        with stores.open_ledger() as ledger:
            broken += _all(world, ledger, report)
    if broken:
        raise InvariantsBroken("\n".join(broken))
    return report


def _all(world: Any, ledger: Ledger, report: Report) -> list[str]:
    found = ledger_invariants(ledger)
    registry: ModelRegistry | None = getattr(world, "registry", None)
    for name in NAMES:
        report.verdicts[name] = HOLDS
    if registry is None:
        report.verdicts["I2"] = report.verdicts["I10"] = "not applicable: the world has no registry"
        report.verdicts["I4"] = "holds, but for the artifacts: the world has no registry"
    else:
        if not ledger.instances.all():
            report.verdicts["I2"] = "holds, but for the service: there is none"
        found += _aliases(ledger, registry)
        found += _artifacts(ledger, registry, getattr(world, "lost", ()))
    declared = world.declared
    store = OfflineStore(settings().store)
    as_they_are = {name: _as_it_is(view, store, ledger) for name, view in declared.views.items()}
    found += _rows(declared, ledger, as_they_are)
    found += _promised(declared, ledger, as_they_are)
    found += _unfinished()
    found += _answers(ledger)
    report.verdicts["I8"] = "holds in the prediction log; there is no service"
    found += _reasons(ledger)
    secrets: Iterable[str] = getattr(world, "secrets", ())
    if secrets:
        found += _secrets(secrets)
    else:
        report.verdicts["I11"] = "not applicable: no secret was planted"
    found += _left_behind(getattr(world, "children", ()))
    found += _notices(ledger)
    api = getattr(world, "api", None)
    if api is None:
        report.verdicts["I16"] = "not applicable: the world has no Airflow"
    else:
        found += _runs_of_journeys(ledger, api)
    return found


def _aliases(ledger: Ledger, registry: ModelRegistry) -> Iterator[str]:
    for model in ledger.candidates.models():
        head = ledger.deployments.champion(model)
        wanted = int(str(head.model_version)) if head else None
        alias = registry.alias(model, CHAMPION)
        if alias != wanted:
            yield f"I2 {model}: the ledger's champion is version {wanted}, the alias says {alias}."
        live = ledger.candidates.live(model)
        waits = live is not None and live.state in (State.CHALLENGER, State.SHADOWING)
        expected = int(str(live.facts.model_version)) if live is not None and waits else None
        found = registry.alias(model, CHALLENGER)
        if found != expected:
            yield f"I2 {model}: the ledger's challenger is version {expected}, the alias says {found}."


_LOADED: set[str] = set()
"""Digests of files that could be loaded: the same bytes can be again."""


def _artifacts(ledger: Ledger, registry: ModelRegistry, lost: Iterable[int]) -> Iterator[str]:
    for model in ledger.candidates.models():
        epochs = ledger.deployments.epochs(model)
        for epoch in epochs:
            if int(str(epoch.model_version)) in lost and epoch is not epochs[-1]:
                continue
            where = f"{model} revision {epoch.revision} ({epoch.to_candidate})"
            try:
                with registry.fetched(model, int(str(epoch.model_version))) as file:
                    found = model_files.digest(file)
                    if found != epoch.digest:
                        yield f"I4 {where}: the registry holds {found[:12]}, the gates judged {epoch.digest[:12]}."
                        continue
                    if found not in _LOADED:
                        model_files.load(file, epoch.digest)
                        _LOADED.add(found)
            except (VersionMissing, model_files.ModelFileRefused) as error:
                yield f"I10 {where} cannot be loaded: {error}"


_AGREED: set[str] = set()
"""Tables, as their files were, that held what the ledger recorded of them, and together with the online store's files
what was promised of both: most tests leave a table as it was made."""


def _rows(declared: Declarations, ledger: Ledger, as_they_are: dict[str, str | None]) -> Iterator[str]:
    store = OfflineStore(settings().store)
    for name, view in declared.views.items():
        as_it_is = as_they_are[name]
        if as_it_is in _AGREED:
            continue
        broken = list(_rows_of(view, store, ledger))
        yield from broken
        if not broken and as_it_is is not None:
            _AGREED.add(as_it_is)


def _as_it_is(view: FeatureView, store: OfflineStore, ledger: Ledger) -> str | None:
    """The table's files and what is recorded of it; None while somebody is changing it."""
    recorded = ledger.partitions.between(view.name, view.version, None, None)
    path = Path(store.view_path(view))
    try:
        files = sorted((str(f.relative_to(path)), f.stat()) for f in path.rglob("*") if f.is_file())
    except FileNotFoundError:
        return None
    return repr((view, [(name, of.st_size, of.st_mtime_ns) for name, of in files], recorded))


def _rows_of(view: FeatureView, store: OfflineStore, ledger: Ledger) -> Iterator[str]:
    if store.current_version(view) is None:
        for lost in ledger.partitions.between(view.name, view.version):
            if lost.rows:
                yield f"I5 {view.name} {lost.day}: {lost.rows} rows were published, and there is no table."
        return
    rows = DeltaTable(store.view_path(view)).to_pyarrow_dataset().to_table()
    twice = _repeated(rows, [*view.keys, "event_time"])
    if twice:
        yield f"I5 {view.name}: {twice} rows repeat an entity and event time."
    strays = pc.sum(pc.not_equal(pc.strftime(rows.column("event_time"), format="%Y-%m-%d"), rows.column(DAY)))
    if strays.as_py():
        yield f"I5 {view.name}: {strays} rows lie in the partition of another day."
    parts = split_by_day(rows)
    recorded = {p.day: p for p in ledger.partitions.between(view.name, view.version, None, None)}
    for day, partition in recorded.items():
        if (partition.status is PartitionStatus.PUBLISHED) != (day in parts):
            yield f"I5 {view.name} {day}: the ledger says {partition.status.value}, the table has {day in parts}."
        elif day in parts:
            held = content_hash(_plain(ordered(parts[day], [*view.keys, "event_time"])))
            if (partition.rows, partition.content_hash) != (parts[day].num_rows, held):
                yield f"I5 {view.name} {day}: the table does not hold what the ledger recorded."
    for day in sorted(set(parts) - set(recorded)):
        yield f"I6 {view.name} {day}: readers see a partition that the ledger does not know."


def _online_as_it_is() -> str | None:
    """The files of the online store; None where it has none to look at."""
    file = _file_of(settings().online_url)
    if file is None:
        return None
    parts = [(each.name, each.stat()) for each in sorted(file.parent.glob(f"{file.name}*"))]
    return repr([(name, of.st_size, of.st_mtime_ns) for name, of in parts])


def _promised(declared: Declarations, ledger: Ledger, as_they_are: dict[str, str | None]) -> Iterator[str]:
    store, online = OfflineStore(settings().store), OnlineStore(settings().online_url)
    for model in ledger.candidates.models():
        for what, lost in promised.predictions_compared(ledger, store, model):
            yield f"I14 {model}: {what} {lost.sentence}."
        for what, lost in promised.served_compared(ledger, store, model):
            yield f"I14 {model}: {what} {lost.sentence}."
        known = {(each.day, each.candidate_id) for each in ledger.lineage.scorings(model)}
        for day, candidate in sorted(set(store.predictions_held(model)) - known):
            yield f"I14 {model} {day}: the log has answers of {candidate} that the ledger does not know."
    for name, view in declared.views.items():
        offline, there = as_they_are[name], _online_as_it_is()
        both = f"{offline} {there}"
        if both in _AGREED:
            continue
        broken = list(_promised_of(view, store, online, ledger))
        yield from broken
        if not broken and offline is not None and there is not None:
            _AGREED.add(both)


def _promised_of(view: FeatureView, store: OfflineStore, online: OnlineStore, ledger: Ledger) -> Iterator[str]:
    days = ledger.partitions.between(view.name, view.version)
    if not days:
        return
    held = store.held(view)
    for p in days:
        if p.files is not None and p.rows and (p.day not in held or held[p.day].files != p.files):
            yield f"I14 {view.name} {p.day}: it lies in other files than were published."
    end = Interval.of_day(days[-1].day).end
    kept = online.kept(view, end - view.ttl)
    rows = store.read_after(view, Interval(end - view.ttl, end)) if held else None
    differences = compared(view, kept, rows) if rows is not None else None
    if differences:
        yield f"I14 {view.name}: online, {differences.sentence}."


def _plain(rows: Any) -> Any:

    return plain(rows)


def _repeated(rows: Any, by: list[str]) -> int:
    counts = rows.group_by(by).aggregate([([], "count_all")]).column("count_all")
    return int(pc.sum(pc.greater(counts, 1)).as_py() or 0)


def _unfinished() -> Iterator[str]:
    home = settings().home
    for pattern in ("*.tmp", "*.partial", "*.unfinished"):
        for file in sorted(home.rglob(pattern)):
            yield f"I6 {file.relative_to(home)} was left unfinished."
    for file in sorted((settings().artifacts / "journeys").glob("*/*.json")):
        try:
            json.loads(file.read_text(encoding="utf-8"))
        except ValueError as error:
            yield f"I6 {file.relative_to(home)} is no whole JSON: {error}."


def _answers(ledger: Ledger) -> Iterator[str]:
    """One served answer to each request, and online to each time that it was asked; none of them an error, and no
    shadow answer to a request nobody served."""
    for model in ledger.candidates.models():
        path = OfflineStore(settings().store).log_path(model)
        if not Path(path, "_delta_log").is_dir():
            continue
        rows = DeltaTable(path).to_pyarrow_dataset().to_table().to_pandas()
        served, shadow = rows[rows["role"] == "served"], rows[rows["role"] == "shadow"]
        asked = served["request_id"]
        if "asked_id" in served:
            asked = served["asked_id"].where(served["asked_id"].notna(), asked)
        twice = int(asked.duplicated().sum())
        if twice:
            yield f"I5 {model}: {twice} requests were served twice."
        if served["error"].notna().any() or served["score"].isna().any():
            yield f"I8 {model}: {int(served['error'].notna().sum())} served answers are errors."
        holds = {claim.day: claim.candidate_id for claim in ledger.claims.of(model)}
        for day, servers in served.groupby("day")["candidate_id"].unique().items():
            if len(servers) > 1:
                yield f"I13 {model} {day}: the log has {len(servers)} servers: {', '.join(sorted(servers))}."
            elif servers[0] != holds.get(str(day)):
                yield f"I13 {model} {day}: {servers[0]} served it, {holds.get(str(day), 'nobody')} claimed it."
        strays = set(shadow["request_id"]) - set(served["request_id"])
        if strays:
            yield f"I8 {model}: {len(strays)} requests were answered in shadow and not served."
        if rows["prediction_id"].duplicated().any():
            yield f"I5 {model}: a prediction id stands twice in the log."


def _reasons(ledger: Ledger) -> Iterator[str]:
    for model in ledger.candidates.models():
        for candidate in ledger.candidates.of(model):
            ended = candidate.state not in LIVE and candidate.state not in (State.CHAMPION, State.RETIRED)
            if ended and not candidate.outcome:
                yield f"I9 {candidate.candidate_id} is {candidate.state.value} without an outcome."
            for gate, record in ledger.gates.latest(candidate.candidate_id).items():
                if record.verdict is not Verdict.PASS and not record.result.reason:
                    yield f"I9 {gate} of {candidate.candidate_id} is {record.verdict.value} without a reason."
        for decision in ledger.drift.decisions(model):
            if not (decision.rule and decision.reason):
                yield f"I9 the decision about {decision.report_id} has no rule or no reason."


LATEST_SWEEP = LEASE + timedelta(minutes=10)
"""How long after the end of its lease a notice may wait for the sweep, which comes every ten minutes."""


def _notices(ledger: Ledger) -> Iterator[str]:
    now, written = datetime.now(UTC), Counter(_keys_in_the_file())
    with ledger.database.reading() as connection:
        rows = {row.key: row for row in connection.execute(select(tables.notices))}
    for key, row in sorted(rows.items()):
        state = NoticeState(row.state)
        if state is NoticeState.SENDING and row.due_at + LATEST_SWEEP <= now:
            yield f"I15 {key} is stuck: sending it was begun, its lease was over at {row.due_at.isoformat()}."
        if (state is NoticeState.SENT) != (row.sent_at is not None):
            yield f"I15 {key} is {state.value}, and was sent at {row.sent_at}."
        if state in (NoticeState.SENDING, NoticeState.SENT) and row.tries < 1:
            yield f"I15 {key} is {state.value} without a try."
        if written[key] > max(row.tries, 1):
            yield f"I15 {key} was told {written[key]} times in {row.tries} tries."
        if written[key] and state is NoticeState.PENDING and not row.error:
            yield f"I15 {key} was told, and the ledger says it waits."
    for key in sorted(set(written) - set(rows)):
        yield f"I15 {key} was told, and the ledger does not know it."


def _keys_in_the_file() -> list[str]:
    file = settings().home / outbox.FILE
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    return [str(json.loads(line)["key"]) for line in lines]


def _runs_of_journeys(ledger: Ledger, api: Any) -> Iterator[str]:
    for model in ledger.candidates.models():
        live = ledger.candidates.live(model)
        if live is None:
            continue
        where = f"I16 {live.candidate_id}: its run retrain_{model} {live.run_id}"
        try:
            run = api.dag_run(f"retrain_{model}", live.run_id)
        except AirflowRefused as error:
            if error.status != 404:
                raise
            yield f"{where} is not known to Airflow: {error}"
        else:
            if run.finished and not _is_live_still(ledger, live.candidate_id):
                continue  # it ended between the two looks
            if run.finished:
                yield f"{where} is over ({run.state}), and nothing has closed the journey."


def _is_live_still(ledger: Ledger, candidate_id: str) -> bool:
    return bool(ledger.candidates.get(candidate_id).is_live)


_SWEEP = """
import sys
from pathlib import Path
asked = sys.stdin.read().split(chr(0))
secrets, files = asked[:asked.index("")], asked[asked.index("") + 1:]
for file in files:
    try:
        content = Path(file).read_bytes()
    except FileNotFoundError:
        continue  # gone since it was listed
    if any(secret.encode() in content for secret in secrets):
        print(file)
"""


def _secrets(secrets: Iterable[str]) -> Iterator[str]:
    # The keys folder is where secrets belong; that nobody else may read it is part of the same promise.
    keys = settings().home / "keys"
    if keys.exists() and keys.stat().st_mode & 0o077:
        yield f"I11 {keys} can be read by others than its owner."
    files = sorted(str(p) for p in settings().home.rglob("*") if p.is_file() and keys not in p.parents)
    # In a process of its own: whoever closes a file of SQLite gives up every lock his process holds on it.
    looking = subprocess.run(
        [sys.executable, "-c", _SWEEP],
        input="\0".join([*secrets, "", *files]),
        capture_output=True,
        text=True,
        check=True,
    )
    for file in looking.stdout.splitlines():
        yield f"I11 a planted secret stands in {Path(file).relative_to(settings().home)}."


def _left_behind(children: Iterable[int]) -> Iterator[str]:
    for pid in children:
        if _runs(pid):
            yield f"I12 process {pid} still runs."
    for what, url in (("ledger", settings().ledger_url), ("online store", settings().online_url)):
        file = _file_of(url)
        if file is None or not file.exists():
            continue
        try:
            with closing(sqlite3.connect(file, timeout=0)) as connection:
                connection.execute("BEGIN EXCLUSIVE")
                connection.rollback()
        except sqlite3.DatabaseError as error:
            yield f"I12 the {what} is still locked, or cannot be opened: {error}."


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/stat")
    return not (status.exists() and status.read_text().rpartition(")")[2].split()[0] in "ZX")


def _file_of(url: str) -> Path | None:
    """The file of a SQLite URL; None for another database."""
    parsed = make_url(url)
    return Path(str(parsed.database)) if parsed.get_backend_name() == "sqlite" else None
