"""Who is champion, and how that changes: by compare-and-swap on a model's revision, one epoch per change."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta

from sqlalchemy import Connection, insert, update

from include.adapters.ledger.barred import not_barred_in
from include.adapters.ledger.candidate_rows import apply, candidate_in
from include.adapters.ledger.chain_rows import require_whole_in
from include.adapters.ledger.claims import after_claims_in
from include.adapters.ledger.database import Database, clock, utc, words
from include.adapters.ledger.epochs import epochs_in, head_in
from include.adapters.ledger.errors import (
    BadValue,
    Conflict,
    DigestMismatch,
    EffectiveTooEarly,
    NotCleared,
    NothingToRollBackTo,
    TwinMismatch,
)
from include.adapters.ledger.gates import clearance_in
from include.adapters.ledger.records import Candidate, Promoted
from include.adapters.ledger.requests import PromotionRequest, RollbackRequest
from include.adapters.ledger.rollouts import champion_changes_in, promotable_in
from include.adapters.ledger.routes import moved_in
from include.adapters.ledger.tables import deployment_history, deployments
from include.domain.authority import Approvers, Person, require
from include.domain.faults import crashpoint
from include.domain.lifecycle import Event, State, advance
from include.domain.promotion import Clearance, Epoch, EpochKind, rollback_target, server_at


class Deployments:
    """Reads and changes the champion."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def champion(self, model: str) -> Epoch | None:
        """The epoch in force, whose revision promote expects; None when the model never had a champion."""
        with self._database.reading() as connection:
            return head_in(connection, model)

    def champion_at(self, model: str, moment: datetime) -> Epoch | None:
        """The champion that scores rows of the data time ``moment`` that is not claimed yet: the newest revision
        effective by then, or what its rollback restored."""
        return server_at(self.epochs(model), utc("moment", moment))

    def epochs(self, model: str) -> list[Epoch]:
        """The model's deployment history, in order of revision."""
        with self._database.reading() as connection:
            return epochs_in(connection, model)

    def promote(
        self,
        asked: PromotionRequest,
        *,
        required_gates: Collection[str],
        now: datetime,
        max_age: timedelta | None = None,
    ) -> Promoted:
        """Make the candidate champion if nothing changed and nothing blocks it, in one transaction.

        A retry by the same run finds its own epoch and succeeds. A candidate whose digest is the champion's is closed
        as UNCHANGED and consumes no revision.

        Args:
            asked: what is to become champion, over which revision and from when on.
            required_gates: the model's blocking gates.
            now: the time overrides are measured at.
            max_age: the oldest gate result that counts; None for any age.

        Raises:
            Conflict: naming who changed the champion first.
            NotCleared: naming each gate that blocks it.
            DigestMismatch: when the registry does not hold what was trained.
            TwinMismatch: when the twin of a refitted file is missing, or is not the one that was judged.
            DigestBarred: when the same artifact was rejected or rolled back as another candidate.
            LedgerTampered: when a row that this rests on is not as it was written.
            RolloutUnfinished: when its newest rollout has not passed every step.
            IllegalTransition: when the candidate is not a challenger, or was rejected, superseded or rolled back.
            EffectiveTooEarly: when it would take rows from before the champion's own time.
        """
        model, candidate_id = asked.model, asked.candidate_id
        actor, reason = words("actor", asked.actor), words("reason", asked.reason)
        run_id = words("run_id", asked.run_id)
        effective_from, now = utc("effective_from", asked.effective_from), utc("now", now)
        with self._database.writing(f"model:{model}", f"gates:{candidate_id}") as connection:
            candidate = candidate_in(connection, candidate_id)
            if candidate.model != model:
                raise BadValue(f"Candidate {candidate_id} belongs to {candidate.model}, not to {model}.")
            history = epochs_in(connection, model)
            own = _own(history, run_id, candidate_id)
            if own is not None:
                return Promoted(
                    own, False, f"Run {run_id} promoted {candidate_id} already, as revision {own.revision}."
                )
            head = history[-1] if history else None
            if candidate.state is State.UNCHANGED and head is not None:
                return _unchanged(candidate, head)
            advance(candidate.state, Event.PROMOTE)
            if (head.revision if head else 0) != asked.expected_revision:
                raise Conflict(model, asked.expected_revision, head)
            if candidate.facts.serving_digest != asked.digest:
                raise DigestMismatch(candidate_id, candidate.facts.serving_digest, asked.digest)
            twin = candidate.facts.artifact_digest if candidate.facts.served_digest is not None else None
            if asked.twin_digest != twin:
                raise TwinMismatch(candidate_id, twin, asked.twin_digest)
            if head is not None and head.digest == asked.digest:
                outcome = f"Its artifact is that of champion {head.to_candidate}; nothing was promoted."
                apply(connection, candidate_id, Event.MATCH, actor, outcome, outcome=outcome)
                return _unchanged(candidate, head)
            not_barred_in(connection, candidate, asked.digest, history)
            require_whole_in(connection, candidate_id, model)
            promotable_in(connection, candidate_id)
            cleared = clearance_in(connection, candidate, required_gates, now, max_age)
            if not cleared.is_clear:
                raise NotCleared(candidate_id, cleared)
            effective_from = after_claims_in(connection, model, effective_from)
            if head is not None and effective_from < head.effective_from:
                raise EffectiveTooEarly(model, effective_from, head.effective_from)
            epoch = Epoch(
                model=model,
                revision=asked.expected_revision + 1,
                kind=EpochKind.PROMOTION if head else EpochKind.BOOTSTRAP,
                from_candidate=head.to_candidate if head else None,
                to_candidate=candidate_id,
                model_version=candidate.facts.model_version,
                digest=asked.digest,
                effective_from=effective_from,
                actor=actor,
                reason=reason,
                run_id=run_id,
                cleared_by=_rests_on(cleared),
                recorded_at=clock(),
            )
            _swap(connection, epoch, asked.expected_revision, head, "promote")
            if head is not None:
                apply(connection, head.to_candidate, Event.RETIRE, actor, f"{candidate_id} was promoted: {reason}")
                crashpoint("ledger.promote.retired")
            apply(connection, candidate_id, Event.PROMOTE, actor, reason)
            crashpoint("ledger.promote.written")
        crashpoint("ledger.promote.committed")
        return Promoted(epoch, True, f"{candidate_id} is champion of {model}, revision {epoch.revision}.")

    def rollback(
        self, asked: RollbackRequest, *, by: Person, approvers: Approvers, unusable: Collection[str] = ()
    ) -> Promoted:
        """Champion ← the previous good champion, without gates. Each further rollback goes one further back.

        It takes every day that no scoring has claimed: the champion taken out answers none of them, however long they
        have been published.

        Args:
            asked: which model, why, from when on, and which champion is meant.
            unusable: candidates whose artifact does not load; they are skipped.

        Raises:
            MayNotDecide: when ``by`` is none of the model's approvers.
            NothingToRollBackTo: when no earlier good champion is left.
            Conflict: when the candidate that is meant is not the champion and was not rolled back.
        """
        model, bad_candidate = asked.model, asked.bad_candidate
        actor, reason, run_id = words("actor", by.name), words("reason", asked.reason), words("run_id", asked.run_id)
        earliest = None if asked.effective_from is None else utc("effective_from", asked.effective_from)
        require(model, "roll it back", by, approvers)
        with self._database.writing(f"model:{model}") as connection:
            history = epochs_in(connection, model)
            rollbacks = [e for e in history if e.kind is EpochKind.ROLLBACK]
            done = next((e for e in rollbacks if e.run_id == run_id), None) or next(
                (e for e in rollbacks if bad_candidate is not None and e.from_candidate == bad_candidate), None
            )
            if done is not None:
                return Promoted(
                    done, False, f"{done.from_candidate} was rolled back already, as revision {done.revision}."
                )
            if not history:
                raise NothingToRollBackTo(model, None)
            head = history[-1]
            if bad_candidate is not None and head.to_candidate != bad_candidate:
                raise Conflict(model, _revision_of(history, bad_candidate), head, rollback=True)
            target = rollback_target(history, unusable)
            if target is None:
                raise NothingToRollBackTo(model, head.to_candidate)
            to = next(e for e in reversed(history) if e.to_candidate == target)
            epoch = Epoch(
                model=model,
                revision=head.revision + 1,
                kind=EpochKind.ROLLBACK,
                from_candidate=head.to_candidate,
                to_candidate=target,
                model_version=to.model_version,
                digest=to.digest,
                effective_from=after_claims_in(
                    connection, model, max(earliest or head.effective_from, head.effective_from)
                ),
                actor=actor,
                reason=reason,
                run_id=run_id,
                cleared_by={},
                recorded_at=clock(),
                claimed=None if by.claims is None else words("requested_by", by.claims),
            )
            _swap(connection, epoch, head.revision, head, "rollback")
            apply(connection, head.to_candidate, Event.ROLL_BACK, actor, reason, outcome=f"Rolled back: {reason}")
            crashpoint("ledger.rollback.taken_out")
            apply(connection, target, Event.RESTORE, actor, f"{head.to_candidate} was rolled back: {reason}")
            crashpoint("ledger.rollback.written")
        crashpoint("ledger.rollback.committed")
        return Promoted(epoch, True, f"{target} is champion of {model} again, revision {epoch.revision}.")


def _own(history: list[Epoch], run_id: str, candidate_id: str) -> Epoch | None:
    mine = (e for e in history if e.run_id == run_id and e.to_candidate == candidate_id)
    return next((e for e in mine if e.kind is not EpochKind.ROLLBACK), None)


def _unchanged(candidate: Candidate, head: Epoch) -> Promoted:
    return Promoted(head, False, f"{candidate.candidate_id} has the champion's own digest; nothing was promoted.")


def _rests_on(cleared: Clearance) -> Mapping[str, object]:
    by = {
        gate: {"who": o.decider, "why": o.why, "expires_at": o.expires_at.isoformat()}
        for gate, o in cleared.overridden.items()
    }
    return {"attempts": dict(cleared.attempts), "overridden": by}


def _revision_of(history: list[Epoch], candidate_id: str) -> int:
    """The newest revision that made it champion; 0 when none did."""
    return max((e.revision for e in history if e.to_candidate == candidate_id), default=0)


def _swap(connection: Connection, epoch: Epoch, expected: int, head: Epoch | None, name: str) -> None:
    """Write the epoch, then move the deployment row from the expected revision to it, and the route after it."""
    connection.execute(
        insert(deployment_history).values(
            model=epoch.model,
            revision=epoch.revision,
            kind=epoch.kind.value,
            from_candidate=epoch.from_candidate,
            to_candidate=epoch.to_candidate,
            model_version=epoch.model_version,
            digest=epoch.digest,
            effective_from=epoch.effective_from,
            actor=epoch.actor,
            reason=epoch.reason,
            run_id=epoch.run_id,
            cleared_by=dict(epoch.cleared_by),
            recorded_at=epoch.recorded_at,
            claimed=epoch.claimed,
        )
    )
    crashpoint(f"ledger.{name}.history")
    values = {"revision": epoch.revision, "candidate_id": epoch.to_candidate}
    if head is None:
        connection.execute(insert(deployments).values(model=epoch.model, **values))
    else:
        mine = (deployments.c.model == epoch.model, deployments.c.revision == expected)
        if connection.execute(update(deployments).where(*mine).values(**values)).rowcount != 1:
            raise Conflict(epoch.model, expected, head)
    crashpoint(f"ledger.{name}.swapped")
    champion_changes_in(connection, epoch)
    moved_in(connection, epoch)
