"""A candidate's shares of live traffic. Anybody may lower one; it grows only by a verdict on this step of this rollout.

Everything that happens is an event, appended in the transaction that changes the route. The route is what the service
obeys, and the newest event says what it must be.
"""

from __future__ import annotations

from collections.abc import Collection
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, insert, select, update

from include.adapters.ledger.barred import not_barred_in
from include.adapters.ledger.candidate_rows import apply, candidate_in
from include.adapters.ledger.database import Database, clock, plain, utc, words
from include.adapters.ledger.epochs import epochs_in
from include.adapters.ledger.errors import (
    BadValue,
    Conflict,
    DigestMismatch,
    NoRollout,
    NotCleared,
    NotJudged,
    RolloutOver,
    RolloutUnderWay,
    RolloutUnfinished,
)
from include.adapters.ledger.gates import clearance_in, standings_in
from include.adapters.ledger.records import Candidate
from include.adapters.ledger.rollout_rows import (
    Happened,
    RolloutRecord,
    append_in,
    ended_in,
    record_of,
    rollout_in,
    rollouts_in,
)
from include.adapters.ledger.routes import route_in
from include.adapters.ledger.tables import rollouts, routes
from include.domain.authority import Approvers, Person, require
from include.domain.canary.plan import CanaryPlan
from include.domain.canary.rollout import RolloutEvent, RolloutStage, after, opened, passed
from include.domain.canary.units import new_salt
from include.domain.gate_names import CANARY_GATE
from include.domain.lifecycle import Event, State, advance
from include.domain.promotion import Epoch
from include.domain.verdicts import Verdict


@dataclass(frozen=True, slots=True)
class RolloutRequest:
    """That a candidate take its first share of live traffic.

    Attributes:
        expected_revision: of the deployment whose champion it was compared with.
        digest: of the artifact as the registry holds it now.
        lease_s: after how many seconds without a renewal its share ends by itself.
        run_id: a retry by the same run finds the rollout of its first try.
    """

    candidate_id: str
    expected_revision: int
    digest: str
    plan: CanaryPlan
    lease_s: float
    actor: str
    reason: str
    run_id: str


class Rollouts:
    """Opens, raises, lowers and finds rollouts."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @staticmethod
    def now() -> datetime:
        """The clock that events are dated by, and that leases run by."""
        return clock()

    def of(self, candidate_id: str) -> list[RolloutRecord]:
        """The candidate's rollouts, oldest first."""
        with self._database.reading() as connection:
            return rollouts_in(connection, candidate_id)

    def newest(self, model: str) -> RolloutRecord | None:
        """The model's newest rollout; None where it never had one."""
        query = select(rollouts.c.candidate_id, rollouts.c.number).where(rollouts.c.model == model)
        with self._database.reading() as connection:
            row = connection.execute(query.order_by(rollouts.c.recorded_at.desc(), rollouts.c.number.desc())).first()
            return None if row is None else rollout_in(connection, row.candidate_id, row.number)

    def open(
        self,
        asked: RolloutRequest,
        *,
        required_gates: Collection[str],
        now: datetime,
        max_age: timedelta | None = None,
    ) -> RolloutRecord:
        """Give the candidate its first share, if nothing changed and nothing blocks it.

        Args:
            required_gates: the model's blocking gates; ``canary_gate`` is asked for later, step by step.
            now: the time overrides are measured at.
            max_age: the oldest gate result that counts; None for any age.

        Raises:
            Conflict: the champion changed since it was compared.
            NotCleared: naming each gate that blocks it.
            DigestMismatch, DigestBarred: its file is not the one that was judged, or may not serve again.
            RolloutUnderWay: another candidate takes traffic.
            IllegalTransition, RolloutOver: it is no challenger, or it is champion already.
        """
        run_id, now = words("run_id", asked.run_id), utc("now", now)
        if not 0 < asked.lease_s < 86_400:
            raise BadValue(f"A lease of {asked.lease_s:g} s is none; give more than 0 s and less than a day.")
        with self._database.reading() as connection:
            model = candidate_in(connection, asked.candidate_id).model
        with self._database.writing(f"model:{model}", f"gates:{asked.candidate_id}") as connection:
            mine = rollouts_in(connection, asked.candidate_id)
            again = next((each for each in mine if each.run_id == run_id), None)
            if again is not None:
                return again
            candidate, history = candidate_in(connection, asked.candidate_id), epochs_in(connection, model)
            if advance(candidate.state, Event.PROMOTE) is candidate.state:
                raise RolloutOver(candidate.candidate_id, candidate.state.value)
            head = history[-1] if history else None
            if head is None or head.revision != asked.expected_revision:
                raise Conflict(model, asked.expected_revision, head)
            if candidate.facts.serving_digest != asked.digest:
                raise DigestMismatch(candidate.candidate_id, candidate.facts.serving_digest, asked.digest)
            if head.digest == asked.digest:
                raise RolloutOver(candidate.candidate_id, "the champion's own file")
            not_barred_in(connection, candidate, asked.digest, history)
            cleared = clearance_in(connection, candidate, set(required_gates) - {CANARY_GATE}, now, max_age)
            if not cleared.is_clear:
                raise NotCleared(candidate.candidate_id, cleared)
            route = route_in(connection, model)
            if route is None:
                raise Conflict(model, asked.expected_revision, head)
            if route.canary_id is not None:
                raise RolloutUnderWay(model, route.canary_id, route.number or 0)
            made = {
                "candidate_id": candidate.candidate_id,
                "number": len(mine) + 1,
                "model": model,
                "champion_id": head.to_candidate,
                "champion_revision": head.revision,
                "digest": asked.digest,
                "salt": new_salt(),
                "plan": plain("plan", asked.plan.as_json()),
                "lease_s": asked.lease_s,
                "run_id": run_id,
                "recorded_at": clock(),
            }
            connection.execute(insert(rollouts).values(**made))
            found = record_of(connection, made)
            said = Happened(asked.actor, asked.reason, run_id)
            return append_in(connection, found, RolloutEvent.OPEN, opened(asked.plan), said)

    def passed(self, candidate_id: str, number: int, *, attempt: int, said: Happened) -> RolloutRecord:
        """The next share, or the end of the last, by a verdict on this step.

        Args:
            attempt: the ``canary_gate``'s, which must be its newest and PASS on this step of this rollout, having seen
                the file that takes traffic.

        Raises:
            NotJudged: the verdict lets no share grow.
            NotOfARollout: it is held, expired, finished or over.
            NoRollout, RolloutOver: there is none, or the candidate takes no part any more.
        """
        with self._holding(candidate_id) as connection:
            found, done = _open_in(connection, candidate_id, number, said)
            if done:
                return found
            event = passed(found.plan, found.state)
            following = after(found.plan, found.state, event)
            newest = next((s.newest for s in standings_in(connection, candidate_id, CANARY_GATE)), None)
            notes = {} if newest is None else newest.result.notes
            why = None
            if newest is None or newest.attempt != attempt:
                why = f"attempt {attempt} is not the newest of {CANARY_GATE}"
            elif newest.verdict is not Verdict.PASS:
                why = f"attempt {attempt} is {newest.verdict.value}"
            elif newest.digest != found.digest:
                why = f"attempt {attempt} saw another file"
            elif (notes.get("number"), notes.get("step")) != (number, found.state.step):
                why = f"attempt {attempt} is about step {notes.get('step')} of rollout {notes.get('number')}"
            if why is not None:
                raise NotJudged(candidate_id, found.state.step, why)
            return append_in(connection, found, event, following, said, attempt=attempt)

    def lower(self, candidate_id: str, number: int, event: RolloutEvent, said: Happened) -> RolloutRecord:
        """Take the share away: TRIP ends the rollout and rejects the candidate, HOLD lets it come back. Anybody may.

        A rollout that is over, or held already, is left as it is: whoever came first decided.

        Raises:
            BadValue: the event is another one.
            NoRollout, RolloutOver: there is none, or the candidate takes no part any more.
        """
        if event not in (RolloutEvent.TRIP, RolloutEvent.HOLD):
            raise BadValue(f"{event.value} does not lower a share; give trip or hold.")
        with self._holding(candidate_id) as connection:
            return _lowered(connection, candidate_id, number, event, said)

    def abort(
        self, candidate_id: str, number: int, *, by: Person, approvers: Approvers, said: Happened
    ) -> RolloutRecord:
        """End the rollout and reject the candidate, by a person.

        Raises:
            MayNotDecide: ``by`` is none of the model's approvers.
            NoRollout, RolloutOver: as in ``lower``.
        """
        with self._holding(candidate_id) as connection:
            require(candidate_in(connection, candidate_id).model, "end a rollout of it", by, approvers)
            return _lowered(connection, candidate_id, number, RolloutEvent.ABORT, said)

    def resume(
        self, candidate_id: str, number: int, *, by: Person, approvers: Approvers, said: Happened
    ) -> RolloutRecord:
        """The share of the step that was judged for, again, after somebody held it.

        Raises:
            MayNotDecide: ``by`` is none of the model's approvers.
            NotOfARollout: it is neither held nor expired.
            NoRollout, RolloutOver: as in ``lower``.
        """
        with self._holding(candidate_id) as connection:
            require(candidate_in(connection, candidate_id).model, "resume a rollout of it", by, approvers)
            return _resumed(connection, candidate_id, number, said)

    def take_up(self, candidate_id: str, number: int, said: Happened) -> RolloutRecord:
        """The same by whoever renews the lease, after it has expired; what a person holds stays held.

        Raises:
            NotOfARollout: it has not expired.
            NoRollout, RolloutOver: as in ``lower``.
        """
        with self._holding(candidate_id) as connection:
            found, _ = _open_in(connection, candidate_id, number, said)
            if found.state.stage is RolloutStage.HELD:
                return found
            return _resumed(connection, candidate_id, number, said)

    def renew(self, candidate_id: str, number: int) -> bool:
        """Keep the share for another lease. False where it has none, or came too late: then it has expired."""
        with self._holding(candidate_id) as connection:
            found = rollout_in(connection, candidate_id, number)
            route = None if found is None else route_in(connection, found.model)
            if found is None or route is None or (route.canary_id, route.number) != (candidate_id, number):
                return False
            if route.share_ppm == 0 or _expired(connection, found, "renewal"):
                return False
            mine = (routes.c.model == found.model, routes.c.route_revision == route.route_revision)
            return connection.execute(update(routes).where(*mine).values(renewed_at=clock())).rowcount == 1

    def expire(self, candidate_id: str, number: int, actor: str) -> bool:
        """Take the share away where its lease is over; whether it was taken away now."""
        with self._holding(candidate_id) as connection:
            found = rollout_in(connection, candidate_id, number)
            return found is not None and _expired(connection, found, actor)

    def _holding(self, candidate_id: str) -> AbstractContextManager[Connection]:
        with self._database.reading() as connection:
            model = candidate_in(connection, candidate_id).model
        return self._database.writing(f"model:{model}", f"gates:{candidate_id}")


def promotable_in(connection: Connection, candidate_id: str) -> None:
    """
    Raises:
        RolloutUnfinished: the candidate's newest rollout has not passed every step. That its lease ran out after the
            last one, while somebody was asked, says nothing against it.
    """
    newest = next(reversed(rollouts_in(connection, candidate_id)), None)
    if newest is not None and not newest.has_passed:
        raise RolloutUnfinished(candidate_id, newest.state.stage.value, newest.state.step)


def champion_changes_in(connection: Connection, epoch: Epoch) -> None:
    """End what takes traffic beside a champion that changes: there is none to be compared with any more. One that
    becomes champion itself has passed, and is left as it is."""
    route = route_in(connection, epoch.model)
    if route is None or route.canary_id is None or route.canary_id == epoch.to_candidate:
        return
    said = Happened(epoch.actor, f"The champion changed to {epoch.to_candidate}.", f"revision {epoch.revision}")
    ended_in(connection, route.canary_id, said)


def _open_in(connection: Connection, candidate_id: str, number: int, said: Happened) -> tuple[RolloutRecord, bool]:
    """The rollout, and whether an event of that key is there already."""
    found = rollout_in(connection, candidate_id, number)
    if found is None:
        raise NoRollout(candidate_id, number)
    if any(each.key == said.key for each in found.events):
        return found, True
    candidate = candidate_in(connection, candidate_id)
    if not found.is_over and not _takes_part(candidate):
        raise RolloutOver(candidate_id, candidate.state.value)
    return found, False


def _takes_part(candidate: Candidate) -> bool:
    return candidate.state in (State.CHALLENGER, State.SHADOWING)


def _lowered(
    connection: Connection, candidate_id: str, number: int, event: RolloutEvent, said: Happened
) -> RolloutRecord:
    found, done = _open_in(connection, candidate_id, number, said)
    if done or found.is_over or (event is RolloutEvent.HOLD and found.state.stage is RolloutStage.HELD):
        return found
    changed = append_in(connection, found, event, after(found.plan, found.state, event), said)
    if changed.is_over:
        outcome = f"Its rollout ended at step {changed.state.step + 1}: {said.reason}"
        apply(connection, candidate_id, Event.REJECT, said.actor, said.reason, outcome=outcome)
    return changed


def _resumed(connection: Connection, candidate_id: str, number: int, said: Happened) -> RolloutRecord:
    found, done = _open_in(connection, candidate_id, number, said)
    if done:
        return found
    following = after(found.plan, found.state, RolloutEvent.RESUME)
    route = route_in(connection, found.model)
    if route is not None and route.canary_id not in (None, candidate_id):
        raise RolloutUnderWay(found.model, str(route.canary_id), route.number or 0)
    if route is None or route.revision != found.champion_revision:
        raise RolloutOver(candidate_id, "compared with a former champion")
    return append_in(connection, found, RolloutEvent.RESUME, following, said)


def _expired(connection: Connection, found: RolloutRecord, actor: str) -> bool:
    route = route_in(connection, found.model)
    if route is None or (route.canary_id, route.number) != (found.candidate_id, found.number):
        return False
    over = route.renewed_at is None or clock() - route.renewed_at >= timedelta(seconds=found.lease_s)
    if route.share_ppm == 0 or not over:
        return False
    said = Happened(actor, f"Its lease of {found.lease_s:g} s was not renewed.", f"lease at {route.route_revision}")
    following = after(found.plan, found.state, RolloutEvent.EXPIRE)
    append_in(connection, found, RolloutEvent.EXPIRE, following, said)
    return True
