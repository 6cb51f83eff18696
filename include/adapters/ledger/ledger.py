"""The ledger: what is true about models, candidates and partitions, whatever colour a task has."""

from __future__ import annotations

from types import TracebackType

from sqlalchemy import select

from include.adapters.ledger import schema, tables
from include.adapters.ledger.candidate_rows import candidate_in, candidates_in, transitions_in
from include.adapters.ledger.candidates import CandidateRecords
from include.adapters.ledger.causes import causes_in
from include.adapters.ledger.chain import Chain
from include.adapters.ledger.claims import Claims
from include.adapters.ledger.database import Database, make_engine, upsert, words
from include.adapters.ledger.deployments import Deployments
from include.adapters.ledger.drift import DriftRecords, decision_in, report_in
from include.adapters.ledger.epochs import epochs_in, head_in
from include.adapters.ledger.gates import GateRecords, overrides_in, standings_in
from include.adapters.ledger.incidents import Incidents
from include.adapters.ledger.instances import Instances
from include.adapters.ledger.lineage import Lineage
from include.adapters.ledger.notices import Notices
from include.adapters.ledger.outages import Outages
from include.adapters.ledger.overview import Overview
from include.adapters.ledger.partitions import Partitions
from include.adapters.ledger.records import Attempt, Explanation, ModelHistory
from include.adapters.ledger.rights import Rights
from include.adapters.ledger.rollouts import Rollouts
from include.adapters.ledger.routes import Routes
from include.adapters.ledger.segments import Segments
from include.adapters.ledger.settled import SettledDays
from include.adapters.ledger.shadow import ShadowRecords, windows_in
from include.adapters.ledger.stops import Stops
from include.adapters.ledger.streams import StreamMarks


class Ledger:
    """Every part of the ledger on one database. Open it per task and close it at the end; threads may share it.

    ``with Ledger.open(url) as ledger: ledger.deployments.champion("flight_delay")``
    """

    def __init__(self, database: Database) -> None:
        self.database = database
        self.candidates = CandidateRecords(database)
        self.gates = GateRecords(database)
        self.deployments = Deployments(database)
        self.routes = Routes(database)
        self.rollouts = Rollouts(database)
        self.instances = Instances(database)
        self.segments = Segments(database)
        self.claims = Claims(database)
        self.shadow = ShadowRecords(database)
        self.stops = Stops(database)
        self.streams = StreamMarks(database)
        self.partitions = Partitions(database)
        self.drift = DriftRecords(database)
        self.settled = SettledDays(database)
        self.incidents = Incidents(database)
        self.lineage = Lineage(database)
        self.overview = Overview(database)
        self.notices = Notices(database)
        self.outages = Outages(database)
        self.rights = Rights(database)
        self.chain = Chain(database)

    @classmethod
    def open(cls, url: str) -> Ledger:
        """Connect, and create or upgrade the schema if it is not current. A few milliseconds when it is.

        Raises:
            BadLedgerUrl: when the URL names neither a SQLite file nor a Postgres database.
            LedgerTooNew: when a newer release upgraded the database.
            LedgerUnavailable: when it cannot be reached.
        """
        engine = make_engine(url)
        try:
            schema.ensure(engine)
        except BaseException:
            engine.dispose()
            raise
        return cls(Database(engine))

    def next_attempt(self, scope: str) -> Attempt:
        """Hand out the newest right to write for the scope; every earlier one is refused from now on."""
        scope = words("scope", scope)
        with Database(self.database.engine).writing(f"attempts:{scope}") as connection:
            query = select(tables.attempts.c.token).where(tables.attempts.c.scope == scope)
            token = int(connection.execute(query.with_for_update()).scalar() or 0) + 1
            upsert(connection, tables.attempts, {"scope": scope}, {"token": token})
        return Attempt(scope, token)

    def newest_attempt(self, scope: str) -> Attempt:
        """The newest right to write that was handed out for the scope, without handing out another: whoever acts by it
        is refused once somebody begins."""
        query = select(tables.attempts.c.token).where(tables.attempts.c.scope == words("scope", scope))
        with self.database.reading() as connection:
            return Attempt(scope, int(connection.execute(query).scalar() or 0))

    def fenced(self, attempt: Attempt) -> Ledger:
        """The same ledger, whose every write raises Fenced once a newer attempt of the scope was handed out."""
        return Ledger(self.database.fenced(attempt))

    def explain(self, candidate_id: str) -> Explanation:
        """Everything known about one candidate, as of one moment.

        Raises:
            UnknownCandidate: when there is none.
        """
        with self.database.reading() as connection:
            candidate = candidate_in(connection, candidate_id)
            report_id = candidate.request.report_id
            return Explanation(
                candidate=candidate,
                transitions=tuple(transitions_in(connection, candidate_id)),
                gates=tuple(standings_in(connection, candidate_id)),
                overrides=tuple(overrides_in(connection, candidate_id)),
                windows=tuple(windows_in(connection, candidate_id)),
                epochs=tuple(epochs_in(connection, candidate.model, candidate_id)),
                report=report_in(connection, report_id) if report_id else None,
                decision=decision_in(connection, report_id) if report_id else None,
                causes=tuple(causes_in(connection, candidate.model, candidate_id)),
            )

    def history(self, model: str) -> ModelHistory:
        """The model's champions and journeys, as of one moment; empty for a model that the ledger does not have."""
        with self.database.reading() as connection:
            return ModelHistory(
                model=model,
                champion=head_in(connection, model),
                epochs=tuple(epochs_in(connection, model)),
                candidates=tuple(candidates_in(connection, model)),
                causes=tuple(causes_in(connection, model)),
            )

    def close(self) -> None:
        """Give the connections back."""
        self.database.engine.dispose()

    def __enter__(self) -> Ledger:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
