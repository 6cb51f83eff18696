"""A person's actions, by a form or by REST: the ledger first, then Airflow, always under their own name."""

from __future__ import annotations

import logging
import re
from datetime import UTC, datetime
from typing import Any

from fastapi import Request
from starlette.concurrency import run_in_threadpool

from include.adapters.ledger import IncidentRequest
from include.domain.authority import Person
from include.domain.errors import BadField, Refusal
from include.domain.gate_names import name_now
from include.domain.incident_log import IncidentEventKind
from include.workflows.gates import overrides
from include.workflows.journey import request_checks
from include.workflows.pages import model as model_views
from include.workflows.pages import release, sources
from include.workflows.release import incident_acts, rollout_acts
from slipway_airflow.gates import APPROVE, REJECT
from slipway_airflow.pages import airflow_calls
from slipway_airflow.pages.airflow_calls import AirflowSaidNo

log = logging.getLogger("slipway.pages")
UNDER_WAY = ("queued", "running")
INCIDENT_ACTIONS = {
    "ack": IncidentEventKind.ACKNOWLEDGED,
    "snooze": IncidentEventKind.SNOOZED,
    "accept": IncidentEventKind.ACCEPTED,
}
_KEY = re.compile(r"^[A-Za-z0-9_.-]{1,80}$")


class ChampionChanged(Refusal):
    """The page was about another champion than the one that serves now."""


class AlreadyUnderWay(Refusal):
    """The same was asked for before."""


class NothingStarts(Refusal):
    """Airflow's scheduler is not running, so a run would wait unseen."""


class IdsTaken(Refusal):
    """Other runs have the run ids that this one would have."""

    def __init__(self, dag_id: str, first: str) -> None:
        super().__init__(
            f"The run ids {first} and following of {dag_id} are taken by runs that are not this one, so nothing was "
            "started. Find in Airflow who started them, and delete them or start the run there."
        )


class KeyReused(Refusal):
    """The same key came with another request."""


async def override(candidate_id: str, gate: Any, by: Person, reason: Any, expires: Any) -> Any:
    """Let one candidate past one gate until a time."""
    now = datetime.now(UTC)
    why, end = overrides.reason(reason), overrides.expiry(expires, now, longest=overrides.LONGEST)
    if not isinstance(gate, str) or not gate:
        raise BadField("gate", gate, "name the gate that did not pass")
    return await run_in_threadpool(overrides.override, candidate_id, gate, by, why, end, now)


async def clear(request: Request, candidate_id: str, gate: Any, who: str) -> str:
    """Judge again from a gate on. Returns the run."""
    view = await run_in_threadpool(release.release, candidate_id, datetime.now(UTC))
    known = [g.gate for g in view.gates]
    gate = name_now(gate) if isinstance(gate, str) else gate
    if gate not in known:
        raise BadField("gate", gate, f"gates that have judged {candidate_id}: {', '.join(known) or 'none'}")
    dag_id, run_id = f"retrain_{view.model}", view.candidate.run_id
    await airflow_calls.clear(request, dag_id, run_id, gate)
    await airflow_calls.set_note(request, dag_id, run_id, f"Judged again from {gate} by {who}.")
    return run_id


async def approve(request: Request, candidate_id: str, gate: Any, reason: Any) -> None:
    """Answer the gate that waits: the candidate may go on. The gate's own task writes it to the ledger."""
    why = overrides.reason(reason)
    candidate = (await run_in_threadpool(release.release, candidate_id, datetime.now(UTC))).candidate
    if not isinstance(gate, str) or not gate:
        raise BadField("gate", gate, "name the gate that waits")
    gate = name_now(gate)
    await airflow_calls.answer(request, f"retrain_{candidate.model}", candidate.run_id, gate, APPROVE, why)


async def reject(request: Request, candidate_id: str, by: Person, reason: Any) -> None:
    """End the journey. A gate that waits for an answer gets it; other tasks see it at their next step."""
    why = overrides.reason(reason)
    view = await run_in_threadpool(release.release, candidate_id, datetime.now(UTC))
    candidate = await run_in_threadpool(overrides.reject, candidate_id, by, why)
    dag_id = f"retrain_{candidate.model}"
    for gate in (g.gate for g in view.gates if g.in_the_way and g.verdict == "INCONCLUSIVE"):
        if await airflow_calls.waits(request, dag_id, candidate.run_id, gate):
            await airflow_calls.answer(request, dag_id, candidate.run_id, gate, REJECT, why)


async def on_incident(incident_id: str, action: str, by: Person, reason: Any, until: Any = None) -> None:
    """Acknowledge, snooze or accept.

    Raises:
        BadField: for a reason or a day that may not be, and for an action that there is not.
        IncidentOver, NothingToAccept: as the ledger says.
    """
    kind = INCIDENT_ACTIONS.get(action)
    if kind is None:
        raise BadField("action", action, f"there are: {', '.join(INCIDENT_ACTIONS)}")
    why = overrides.reason(reason)
    asked = IncidentRequest(incident_id, kind, why, until if kind is IncidentEventKind.SNOOZED else None)
    await run_in_threadpool(incident_acts.act, asked, by, datetime.now(UTC))


async def on_rollout(model: str, action: str, by: Person, reason: Any) -> None:
    """Hold, resume or end the model's newest rollout.

    Raises:
        BadField: for a reason that may not be, and for an action that there is not.
        NoRollout, RolloutOver, NotOfARollout, MayNotDecide: as the ledger says.
    """
    await run_in_threadpool(rollout_acts.act, model, action, by, overrides.reason(reason))


async def roll_back(request: Request, model: str, reason: Any, revision: Any, claimed: str | None = None) -> str:
    """Start the model's rollback run. Asked twice about the same champion it is done once. Returns the run's id.

    Raises:
        ChampionChanged: when ``revision`` is no longer the champion's.
        AlreadyUnderWay: when the rollback of this revision was started.
    """
    why = overrides.reason(reason)
    head = await run_in_threadpool(_head, model)
    if head is None or str(head.revision) != str(revision):
        now = f"revision {head.revision}, champion {head.to_candidate}" if head else "no champion"
        raise ChampionChanged(
            f"revision is {revision!r}, but {model} is at {now}. Open the page again and check what serves."
        )
    conf = {"reason": why, "revision": head.revision} | ({"requested_by": claimed} if claimed else {})
    for run_id in _ids(f"rollback_of_revision_{head.revision}"):
        try:
            await airflow_calls.trigger(request, f"rollback_{model}", run_id, conf)
            return run_id
        except AirflowSaidNo as refusal:
            if refusal.status != 409:
                raise
        found = await airflow_calls.run(request, f"rollback_{model}", run_id) or {}
        if (found.get("conf") or {}).get("revision") == head.revision and found.get("state") in UNDER_WAY:
            raise AlreadyUnderWay(
                f"The rollback of revision {head.revision} of {model} was started before, as run {run_id}. "
                f"Open rollback_{model} in Airflow to see how it goes."
            )
        # Another user's run, or one that ended and took nothing out: it is not this rollback.
        log.warning("Run %s of rollback_%s is not the rollback that was asked for now.", run_id, model)
    raise IdsTaken(f"rollback_{model}", f"rollback_of_revision_{head.revision}")


async def retrain(request: Request, model: str, conf: dict[str, Any], key: Any, user: str) -> tuple[str, bool]:
    """Start a journey, once for each key of a user. Returns the run's id and whether it was started now.

    What the run's first task would refuse is refused here, so that no run is left behind.

    Raises:
        KeyReused: when the key was used with another request, or by somebody else.
        BadRequest, NoData, JourneyUnderWay: as the run's first task would say.
        NothingStarts: when Airflow's scheduler does not run, so that the request would be lost.
    """
    if not isinstance(key, str) or not _KEY.match(key):
        raise BadField("key", key, "give 1 to 80 letters, digits and _ . -; the same key starts one journey")
    await run_in_threadpool(lambda: sources.declared_now().model(model))
    dag_id, run_id = f"retrain_{model}", f"api__{key}"
    found = await airflow_calls.run(request, dag_id, run_id)
    if found is None:
        await run_in_threadpool(request_checks.check, model, conf, user)
        if not await airflow_calls.scheduler_is_healthy(request):
            raise NothingStarts(
                "Airflow's scheduler is not running, so nothing would start. Nothing was queued; try again."
            )
        try:
            await airflow_calls.trigger(request, dag_id, run_id, conf)
            return run_id, True
        except AirflowSaidNo as refusal:
            if refusal.status != 409:
                raise
            found = await airflow_calls.run(request, dag_id, run_id) or {}
    who = found.get("triggering_user_name")
    if who != user or found.get("run_type", "manual") != "manual":
        raise KeyReused(f"key is {key!r}, which {who or 'a Dag'} used for run {run_id}. Use a key of your own.")
    before, asked = (_sent(each) for each in (found.get("conf") or {}, conf))
    if before != asked:
        raise KeyReused(f"key is {key!r}, which started run {run_id} with another request. Use a new key.")
    return run_id, False


async def retrain_after(request: Request, view: release.ReleaseView, user: str, reason: Any, as_of: Any) -> str:
    """Start a journey in the place of one that ended, once for each as-of time. Returns the run's id.

    Raises:
        AlreadyUnderWay: when it was started from there before.
    """
    why = overrides.reason(reason)
    if not isinstance(as_of, str) or not as_of.strip():
        raise BadField("as_of", as_of, "give a day or a time, as in 2026-12-01")
    moment = as_of.strip()
    key = re.sub(r"[^A-Za-z0-9_.-]", "-", f"after_{view.candidate.candidate_id[-24:]}_{moment}")[:80]
    try:
        run_id, started = await retrain(request, view.model, {"as_of": moment, "reason": why}, key, user)
    except KeyReused:
        started = False
    if not started:
        raise AlreadyUnderWay(
            f"A journey as of {moment} was started from here before, as run api__{key} of retrain_{view.model}. "
            "Its own page goes on from there."
        )
    return run_id


def _sent(conf: dict[str, Any]) -> dict[str, Any]:
    """The request without the fields that are left out or have their default."""
    usual = {"trigger": "api", "supersede": False}
    return {name: value for name, value in conf.items() if value is not None and usual.get(name) != value}


def _ids(first: str) -> list[str]:
    return [first, *(f"{first}__{n}" for n in range(2, 6))]


def _head(model: str) -> Any:
    model_views.model(model)
    with sources.open_ledger() as ledger:
        return ledger.deployments.champion(model)
