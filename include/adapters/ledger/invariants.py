"""What must be true of the ledger at any moment, after any crash. A violation is one line that begins with its number.

I1 one champion per model · I2 the route follows the deployment, and each instance of the service answers by champions
of the ledger and by the newest once it had time · I3 epochs without gaps, one row each · I4 every champion was cleared
by gates that saw its artifact · I7 each request took effect once or was refused · I13 one served candidate per model
and day, the champion that the day had when it was claimed · I17 each incident is where its newest event left it ·
I18 each row of an append-only table fits its entry in the chain of hashes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import Connection, func, select

from include.adapters.ledger.candidate_rows import candidates_in, transitions_in
from include.adapters.ledger.causes import causes_in
from include.adapters.ledger.claims import claims_in
from include.adapters.ledger.epochs import epochs_in
from include.adapters.ledger.gates import gate_attempt_in
from include.adapters.ledger.instances import SILENT_AFTER, instances_in
from include.adapters.ledger.ledger import Ledger
from include.adapters.ledger.lineage import SERVED
from include.adapters.ledger.records import Candidate, Claim, RetrainAction
from include.adapters.ledger.rollout_rows import RolloutRecord, rollouts_in
from include.adapters.ledger.routes import route_in
from include.adapters.ledger.tables import (
    candidates,
    deployment_history,
    deployments,
    incident_events,
    incidents,
    partition_history,
    partitions,
    retrain_decisions,
    scorings,
)
from include.domain.canary.rollout import RolloutEvent
from include.domain.gate_names import CANARY_GATE
from include.domain.intervals import Interval
from include.domain.lifecycle import LIVE, IllegalTransition, State, advance
from include.domain.promotion import Epoch, EpochKind, Promotable, rolled_back
from include.domain.verdicts import Verdict


def ledger_invariants(ledger: Ledger) -> list[str]:
    """Every violation found, as of one moment; empty when all holds."""
    chained = [f"I18 {line}" for line in ledger.chain.broken()]
    with ledger.database.reading() as connection:
        models = set(connection.execute(select(candidates.c.model).distinct()).scalars())
        models |= set(connection.execute(select(deployment_history.c.model).distinct()).scalars())
        found: list[str] = []
        for model in sorted(models):
            epochs, mine = epochs_in(connection, model), candidates_in(connection, model)
            found += _one_champion(connection, model, epochs, mine)
            found += _routed(connection, model, epochs)
            found += shares_in(connection, model, {c.candidate_id: c for c in mine})
            found += _no_gaps(model, epochs)
            found += _cleared(connection, model, epochs, {c.candidate_id: c for c in mine})
            found += _effective_once(connection, model, mine)
            found += _one_server(connection, model, epochs)
        return [*chained, *found, *_decisions(connection), *_partitions(connection), *_incidents(connection)]


def _one_champion(connection: Connection, model: str, epochs: list[Epoch], mine: list[Candidate]) -> Iterator[str]:
    row = connection.execute(select(deployments).where(deployments.c.model == model)).one_or_none()
    head = epochs[-1] if epochs else None
    if (row is None) != (head is None):
        yield f"I1 {model}: the deployment row and the history disagree on whether there is a champion."
        return
    champions = [c.candidate_id for c in mine if c.state is State.CHAMPION]
    if row is None or head is None:
        if champions:
            yield f"I1 {model}: {', '.join(champions)} is champion without an epoch."
        return
    if champions != [row.candidate_id]:
        yield f"I1 {model}: champion by state is {', '.join(champions) or 'none'}, by deployment {row.candidate_id}."
    if (row.revision, row.candidate_id) != (head.revision, head.to_candidate):
        ends = f"{head.revision}, {head.to_candidate}"
        yield f"I3 {model}: the deployment is revision {row.revision}, {row.candidate_id}; history ends with {ends}."


def _routed(connection: Connection, model: str, epochs: list[Epoch]) -> Iterator[str]:
    """The route is the deployment's, and what each instance says that it serves was a champion. An instance that was
    seen a minute after a change still answers by an earlier one only where it could not get the new one: that is
    said."""
    route, head = route_in(connection, model), epochs[-1] if epochs else None
    at = None if head is None else (head.revision, head.to_candidate)
    if at != (None if route is None else (route.revision, route.champion_id)):
        named = "none" if route is None else f"revision {route.revision}, {route.champion_id}"
        yield f"I2 {model}: the route is {named}, and the deployment {at}."
    known = {(e.revision, e.to_candidate, e.digest) for e in epochs}
    for instance in instances_in(connection):
        for served in _mapping(instance.models.get(model)).get("served", ()):
            where = f"I2 {model}: instance {instance.instance_id} answers by {served['candidate']}"
            if (served["revision"], served["candidate"], served["digest"]) not in known:
                yield f"{where}, revision {served['revision']}, which the ledger does not know."
            elif (
                route is not None
                and instance.seen_at is not None
                and served["route_revision"] < route.route_revision
                and instance.seen_at - route.recorded_at > SILENT_AFTER
            ):
                yield f"{where}, and revision {route.revision} is in force since {route.recorded_at}."


def shares_in(connection: Connection, model: str, mine: Mapping[str, Candidate]) -> Iterator[str]:
    """The share of the route is that of the newest event of a rollout which is not over, of a candidate that takes
    part; and each share that grew did by a PASS of ``canary_gate`` on that step, having seen that file."""
    route = route_in(connection, model)
    for candidate_id, candidate in mine.items():
        for rollout in rollouts_in(connection, candidate_id):
            where = f"I2 {model}: rollout {rollout.number} of {candidate_id}"
            routed = route is not None and (route.canary_id, route.number) == (candidate_id, rollout.number)
            share = route.share_ppm if routed and route is not None else 0
            takes_part = candidate.state in (State.CHALLENGER, State.SHADOWING)
            if routed and (rollout.is_over or not takes_part):
                stage, state = rollout.state.stage.value, candidate.state.value
                yield f"{where} is {stage}, and the candidate {state}; the route has it still."
            elif share != (rollout.state.share_ppm if takes_part else 0):
                yield f"{where} has a share of {rollout.state.share_ppm}, and the route {share}, of a million."
            yield from _judged(connection, rollout)


def _judged(connection: Connection, rollout: RolloutRecord) -> Iterator[str]:
    step = 0
    for each in rollout.events:
        where = f"I4 {rollout.model}: rollout {rollout.number} of {rollout.candidate_id}, event {each.seq}"
        if each.event in (RolloutEvent.STEP, RolloutEvent.FINISH):
            by = gate_attempt_in(connection, rollout.candidate_id, CANARY_GATE, each.attempt or 0)
            about = (rollout.number, step)
            if by is None or by.verdict is not Verdict.PASS or by.digest != rollout.digest:
                yield f"{where}: the share grew without a PASS on its file."
            elif (by.result.notes.get("number"), by.result.notes.get("step")) != about:
                yield f"{where}: the share grew by a verdict on another step."
        elif each.state.step != step:
            yield f"{where}: {each.event.value} changed the step from {step} to {each.state.step}."
        step = each.state.step


def _no_gaps(model: str, epochs: list[Epoch]) -> Iterator[str]:
    before: Epoch | None = None
    for number, epoch in enumerate(epochs, start=1):
        if epoch.revision != number:
            yield f"I3 {model}: revision {epoch.revision} is where {number} belongs."
        if epoch.from_candidate != (before.to_candidate if before else None):
            yield f"I3 {model}: revision {epoch.revision} is not from the champion before it."
        if before is not None and epoch.effective_from < before.effective_from:
            yield f"I3 {model}: revision {epoch.revision} is effective before revision {before.revision}."
        before = epoch


def _cleared(connection: Connection, model: str, epochs: list[Epoch], mine: Mapping[str, Candidate]) -> Iterator[str]:
    for epoch in epochs:
        where = f"I4 {model} revision {epoch.revision}:"
        if epoch.kind is EpochKind.ROLLBACK:
            earlier = (e for e in epochs if e.revision < epoch.revision and e.kind is not EpochKind.ROLLBACK)
            if (epoch.to_candidate, epoch.digest) not in {(e.to_candidate, e.digest) for e in earlier}:
                yield f"{where} {epoch.to_candidate} was never promoted with digest {epoch.digest}."
            continue
        candidate = mine.get(epoch.to_candidate)
        if candidate is None or candidate.facts.serving_digest != epoch.digest:
            yield f"{where} {epoch.to_candidate} was not trained as digest {epoch.digest}."
            continue
        attempts = _mapping(epoch.cleared_by.get("attempts"))
        if not attempts:
            yield f"{where} {epoch.to_candidate} was cleared by no gate."
        for gate, attempt in attempts.items():
            record = gate_attempt_in(connection, epoch.to_candidate, gate, int(attempt))
            facts = candidate.facts
            seen = Promotable(facts.artifact_digest, facts.training_set_hash, served_digest=facts.served_digest)
            if record is None or record.digest not in seen.digests(gate):
                yield f"{where} {gate}, attempt {attempt}, did not judge digest {epoch.digest}."
            elif record.verdict is not Verdict.PASS and gate not in _mapping(epoch.cleared_by.get("overridden")):
                yield f"{where} {gate}, attempt {attempt}, is {record.verdict.value} and was not overridden."


def _effective_once(connection: Connection, model: str, mine: list[Candidate]) -> Iterator[str]:
    live = [c.candidate_id for c in mine if c.is_live]
    if len(live) > 1:
        yield f"I7 {model}: {len(live)} live candidates: {', '.join(live)}."
    asked = {cause.candidate_id: cause for cause in reversed(causes_in(connection, model))}
    for candidate in mine:
        first = asked.get(candidate.candidate_id)
        if first is None or first.request != candidate.request:
            yield f"I7 {candidate.candidate_id}: the first of its causes is not the request that opened it."
        state: State | None = None
        closed_in: State | None = None
        for step in transitions_in(connection, candidate.candidate_id):
            if step.from_state is not state:
                yield f"I7 {candidate.candidate_id}: step {step.number} starts from {step.from_state}, not {state}."
            elif step.event is not None and state is not None:
                try:
                    reached = advance(state, step.event, closed_in=closed_in)
                except IllegalTransition as error:
                    yield f"I7 {candidate.candidate_id}: step {step.number}: {error}"
                else:
                    if reached is not step.to_state:
                        where = f"I7 {candidate.candidate_id}: step {step.number}"
                        yield f"{where} leads to {reached}, not {step.to_state}."
            if state in LIVE and step.to_state not in LIVE:
                closed_in = state
            state = step.to_state
        if state is not candidate.state:
            yield f"I7 {candidate.candidate_id}: its state is {candidate.state}, but its steps lead to {state}."


def _one_server(connection: Connection, model: str, epochs: list[Epoch]) -> Iterator[str]:
    """Each claimed day belongs to the champion it had, and the candidate that served it had claimed it."""
    claims: dict[str, list[Claim]] = {}
    for claim in claims_in(connection, model):
        claims.setdefault(claim.day, []).append(claim)
    out = rolled_back(epochs)
    for day, taken in claims.items():
        for number, claim in enumerate(taken, start=1):
            if claim.number != number:
                yield f"I13 {model} {day}: claim {claim.number} is where {number} belongs."
            if number > 1 and taken[number - 2].candidate_id not in out:
                before = taken[number - 2].candidate_id
                yield f"I13 {model} {day}: {claim.candidate_id} took the day from {before}, which was not rolled back."
        holds, start = taken[-1], Interval.of_day(day).start
        if not 1 <= holds.revision <= len(epochs) or epochs[holds.revision - 1].to_candidate != holds.candidate_id:
            yield f"I13 {model} {day}: {holds.candidate_id}, which claimed the day, is not revision {holds.revision}."
        for later in epochs[holds.revision :]:
            if later.effective_from <= start:
                yield f"I13 {model} {day}: revision {later.revision} takes effect on a day that was claimed before."
    query = select(scorings.c.day, scorings.c.candidate_id).where(scorings.c.model == model, scorings.c.role == SERVED)
    served: dict[str, list[str]] = {}
    for row in connection.execute(query.order_by(scorings.c.day, scorings.c.candidate_id)):
        served.setdefault(row.day, []).append(row.candidate_id)
    for day, servers in served.items():
        if len(servers) > 1:
            yield f"I13 {model} {day}: served by {len(servers)}: {', '.join(servers)}."
        elif servers[0] not in {claim.candidate_id for claim in claims.get(day, [])}:
            yield f"I13 {model} {day}: served by {servers[0]}, which never claimed it."


def _decisions(connection: Connection) -> Iterator[str]:
    for row in connection.execute(select(retrain_decisions)):
        if (row.action == RetrainAction.RETRAIN.value) != (row.journey_run_id is not None):
            yield f"I7 report {row.report_id}: the decision {row.action} names journey {row.journey_run_id}."
    same = (retrain_decisions.c.model, retrain_decisions.c.journey_run_id)
    twice = select(*same).where(same[1].is_not(None)).group_by(*same).having(func.count() > 1)
    for row in connection.execute(twice):
        yield f"I7 {row.model}: journey {row.journey_run_id} was decided more than once."


def _partitions(connection: Connection) -> Iterator[str]:
    """Each current partition is its history's newest line."""
    history = partition_history.c
    key = (history.view, history.view_version, history.day)
    newest = select(*key, func.max(history.number).label("number")).group_by(*key).subquery()
    joined = select(partition_history).join(
        newest,
        (history.view == newest.c.view)
        & (history.view_version == newest.c.view_version)
        & (history.day == newest.c.day)
        & (history.number == newest.c.number),
    )
    ends: dict[tuple[Any, ...], str] = {
        (r.view, r.view_version, r.day): r.content_hash for r in connection.execute(joined)
    }
    current = connection.execute(select(partitions))
    now = {(r.view, r.view_version, r.day): r.content_hash for r in current}
    for place in sorted({*ends, *now}):
        if ends.get(place) != now.get(place):
            yield f"I7 partition {place[0]} v{place[1]} {place[2]}: the current row is not the newest publish."


def _incidents(connection: Connection) -> Iterator[str]:
    """Events without gaps from the opening on, the last of which left the incident at its stage, and none after the
    end."""
    query = select(incident_events).order_by(incident_events.c.incident_id, incident_events.c.number)
    events: dict[str, list[Any]] = {}
    for row in connection.execute(query):
        events.setdefault(row.incident_id, []).append(row)
    for incident in connection.execute(select(incidents).order_by(incidents.c.incident_id)):
        mine, where = events.get(incident.incident_id, []), f"I17 {incident.incident_id}:"
        if [e.number for e in mine] != list(range(1, len(mine) + 1)) or not mine or mine[0].kind != "opened":
            yield f"{where} its events have a gap, or do not begin with its opening."
        elif mine[-1].state["stage"] != incident.stage:
            yield f"{where} it is {incident.stage}, and its newest event left it {mine[-1].state['stage']}."
        elif any(e.state["stage"] == "closed" for e in mine[:-1]):
            yield f"{where} something happened to it after it was closed."
        if incident.judged_on < incident.opened_on:
            yield f"{where} it was judged on {incident.judged_on}, before it was opened."


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
