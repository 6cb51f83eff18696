"""When machinery fails somebody is notified: once for each cause, and once more when it is over.

A step that failed for good opens an outage of its cause, the Dag and the task. In a Dag that works day by day the day
is an item of the outage: ten red days are one message, and the outage is over when the last of them is fixed. For any
other Dag the next time the step succeeds ends it.
"""

from __future__ import annotations

from datetime import datetime
from urllib.parse import quote

from include.adapters.ledger import Failing, Ledger, Outage, Scope, Told
from include.adapters.ledger.outages import WHOLE
from include.config import declarations
from include.domain.gate_names import FORMER_TASKS
from include.domain.intervals import Interval
from include.domain.verdicts import Verdict
from include.workflows import stores
from include.workflows.alerts import freshness, outbox, recipients
from include.workflows.alerts.outbox import Send

FAILED, STALE = "failed", "stale"
WATCH, HOUSEKEEPING = "watch", "housekeeping"
DAILY = ("features", "score", "collect", "drift")
"""The kinds of Dags whose runs are days."""
OF_A_MODEL = ("ahead", "score", "collect", "live", "drift", "retrain", "rollback", "consistency")
LONGEST = 600
"""Most characters of an error that a notice repeats; the task's log has all."""


def step_failed(
    dag_id: str, run_id: str, task_id: str, partition_key: str | None, error: object, send: Send, now: datetime
) -> str:
    """A task failed and is not tried again. What became of it, for the log."""
    scope, subject = whose(dag_id, task_id)
    with stores.open_ledger() as ledger:
        if scope is Scope.MODEL and _has_judged(ledger, subject, run_id, task_id):
            return f"{task_id} has judged; its verdict is reported instead."
        item = _item(dag_id, partition_key)
        day = f" for {item}" if item else ""
        failing = Failing(
            cause=cause_of(dag_id, task_id),
            scope=scope,
            subject=subject,
            kind=FAILED,
            sentence=f"{subject}: {_title(task_id)} of {dag_id} failed{day}. {_reason(error)}",
            link=f"/dags/{quote(dag_id)}/runs/{quote(run_id, safe='')}/tasks/{quote(task_id)}",
            item=item,
            had=_held(ledger, dag_id, subject, item),
        )
        key = ledger.outages.fails(failing, _told(scope, subject, FAILED), now)
        if key is None:
            return f"No one is notified: it was notified before, or the declaration names no one: {failing.cause}."
        return outbox.deliver(ledger, key, send, now)


def step_works(
    dag_id: str, task_id: str, partition_key: str | None, send: Send, now: datetime, *, only_its_day: bool = False
) -> str | None:
    """A task succeeded, so its outage may be over. None when there was none.

    Args:
        only_its_day: whether only the outage of its own day may end, because the task was skipped.
    """
    item = _item(dag_id, partition_key)
    if only_its_day and item == WHOLE:
        return None
    scope, subject = whose(dag_id, task_id)
    with stores.open_ledger() as ledger:
        sentence = f"{subject}: it is over, {_title(task_id)} of {dag_id} works again."
        # A task that was renamed also ends what failed while it had its former name.
        causes = [cause_of(dag_id, task) for task in (task_id, *FORMER_TASKS.get(task_id, ()))]
        told = _told(scope, subject, FAILED)
        keys = [ledger.outages.works(cause, item, sentence, told, now) for cause in causes]
        return "\n".join(outbox.deliver(ledger, key, send, now) for key in keys if key is not None) or None


def watch(ledger: Ledger, now: datetime) -> list[str]:
    """Find what is missing and what is fixed; returns the keys of the notices that this made."""
    found = freshness.missing(ledger, now, beats=(HOUSEKEEPING,))
    keys = [ledger.outages.fails(failing, _told(failing.scope, failing.subject, STALE), now) for failing in found]
    lasting = {failing.cause for failing in found}
    for outage in ledger.outages.open():
        if outage.kind == STALE and outage.cause not in lasting and _can_be_seen(outage):
            keys.append(_over(ledger, outage, WHOLE, now))
        elif outage.kind == FAILED:
            ended = [day for day, had in outage.items.items() if _is_over(ledger, outage, day, had)]
            keys += [_over(ledger, outage, day, now) for day in ended]
    return [key for key in keys if key is not None]


def unguarded(ledger: Ledger, now: datetime) -> list[str]:
    """Check that the watch itself runs; the caller must not depend on the scheduler. Returns the keys of the
    notices."""
    found = freshness.silent(ledger, now, (WATCH,))
    keys = [ledger.outages.fails(failing, _told(Scope.PROJECT, failing.subject, STALE), now) for failing in found]
    if not found:
        ended = f"{recipients.PROJECT}: it is over, the Dag {WATCH} runs again."
        cause = freshness.cause_of_silence(WATCH)
        keys.append(ledger.outages.works(cause, WHOLE, ended, _told(Scope.PROJECT, recipients.PROJECT, STALE), now))
    return [key for key in keys if key is not None]


def cause_of(dag_id: str, task_id: str) -> str:
    return f"{dag_id}/{task_id}"


def whose(dag_id: str, task_id: str) -> tuple[Scope, str]:
    """What the Dag's task is about.

    >>> whose("collect_air_time", "collect")
    (<Scope.MODEL: 'model'>, 'air_time')
    >>> whose("gate_selftest", "selftest_air_time"), whose("housekeeping", "send_notices")
    ((<Scope.MODEL: 'model'>, 'air_time'), (<Scope.PROJECT: 'project'>, 'slipway'))
    """
    kind, _, name = dag_id.partition("_")
    if kind == "features":
        return Scope.VIEW, next((ref for ref, view in declarations().views.items() if view.slug == name), name)
    if kind in OF_A_MODEL and name:
        return Scope.MODEL, name
    if dag_id == "gate_selftest" and task_id.startswith("selftest_"):
        return Scope.MODEL, task_id.removeprefix("selftest_")
    return Scope.PROJECT, recipients.PROJECT


def _has_judged(ledger: Ledger, model: str, run_id: str, task_id: str) -> bool:
    """Whether a gate's verdict is why the task is red: then the verdict is reported, to those the declaration names."""
    candidate = ledger.candidates.of_run(model, run_id)
    record = ledger.gates.latest(candidate.candidate_id).get(task_id) if candidate else None
    return record is not None and record.verdict is not Verdict.PASS


def _is_over(ledger: Ledger, outage: Outage, day: str, had: str | None) -> bool:
    """Whether the ledger's records of the day have changed since its task failed, because a later run brought a result.
    A task whose state was set by hand, or whose callback was lost, ends no outage by itself. No clock is read."""
    if had is None:
        return False
    has = _held(ledger, outage.cause, outage.subject, day)
    return has not in (None, "", had)


def _held(ledger: Ledger, cause: str, subject: str, day: str) -> str | None:
    """A text of the ledger's records of the day, which changes with every record; empty when there is none, and None
    for a kind of Dag that writes no records of its days."""
    kind, declared = cause.partition("_")[0], declarations()
    if day == WHOLE or kind not in DAILY:
        return None
    if kind == "features":
        view = declared.views.get(subject)
        return None if view is None else ledger.overview.publishes(view.name, view.version, day)
    return ledger.overview.reports(subject, day) if kind == "drift" else ledger.overview.scorings(subject, day)


def _over(ledger: Ledger, outage: Outage, item: str, now: datetime) -> str | None:
    what = outage.sentence.partition(": ")[2] or outage.sentence
    sentence = f"{outage.subject}: it is over. It was: {what}"
    told = _told(outage.scope, outage.subject, outage.kind)
    return ledger.outages.works(outage.cause, item, sentence, told, now)


def _can_be_seen(outage: Outage) -> bool:
    """Whether a check could have found it: an outage does not end because a declaration broke."""
    declared = declarations()
    if outage.scope is Scope.MODEL and outage.subject not in declared.models:
        return not _is_broken(f"/models/{outage.subject}/")
    if outage.scope is Scope.VIEW and outage.subject not in declared.views:
        return not _is_broken(f"/features/{outage.subject.partition('@')[0]}/")
    return True


def _is_broken(folder: str) -> bool:
    return any(folder in file.as_posix() for file in declarations().broken)


def _told(scope: Scope, subject: str, kind: str) -> Told | None:
    to = recipients.of(scope, subject, kind)
    return None if to is None else to.told


def _item(dag_id: str, partition_key: str | None) -> str:
    return Interval.of_day(partition_key).days[0] if partition_key and dag_id.startswith(DAILY) else WHOLE


def _title(task_id: str) -> str:
    return task_id.replace("_", " ")


def _reason(error: object) -> str:
    said = " ".join(str(error).split()) if error else ""
    if not said:
        return f"{error!r}." if error else "Its process ended without a word: it was killed, or ran out of memory."
    return f"{said[:LONGEST]}…" if len(said) > LONGEST else said
