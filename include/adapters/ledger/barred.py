"""Which artifacts no candidate of a model may have again."""

from __future__ import annotations

from sqlalchemy import Connection, or_, select

from include.adapters.ledger.errors import DigestBarred
from include.adapters.ledger.records import Candidate
from include.adapters.ledger.tables import candidates
from include.domain.lifecycle import BARRED, State
from include.domain.promotion import Epoch


def not_barred_in(connection: Connection, candidate: Candidate, digest: str, history: list[Epoch]) -> None:
    """A rollback bars an artifact for good. A rejection does not bar one that was champion: as a former champion it may
    be judged again, on newer rows.

    Raises:
        DigestBarred: the same artifact was rejected or rolled back as another candidate.
    """
    bars = {State.ROLLED_BACK} if any(e.digest == digest for e in history) else BARRED
    same = connection.execute(
        select(candidates.c.candidate_id, candidates.c.state).where(
            candidates.c.model == candidate.model,
            or_(candidates.c.artifact_digest == digest, candidates.c.served_digest == digest),
            candidates.c.candidate_id != candidate.candidate_id,
            candidates.c.state.in_([s.value for s in bars]),
        )
    ).first()
    if same is not None:
        raise DigestBarred(candidate.candidate_id, digest, same.candidate_id, same.state)
