"""Past live traffic through the declared steps of a canary: how long they would have taken, what they would have cost,
and what they would have caught.

An equal candidate and some that do harm are made from what the champion answered; one that was trained is asked itself.
Each row is drawn, counted and judged as live (``domain/canary/replay``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from include.config import ModelDeclaration
from include.domain.canary import made_candidates as made
from include.domain.canary.live_rows import ModelAnswer
from include.domain.canary.made_candidates import AskedBefore
from include.domain.canary.plan import CanaryPlan
from include.domain.canary.replay import PastRow, ReplayedStep, replayed
from include.domain.errors import Refusal
from include.domain.gates.canary import Following
from include.workflows.simulation.past_traffic import PastTraffic

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from include.workflows.simulation.progress import SimulationProgress

SALT = "simulate"
"""Units are drawn by it, so that a simulation comes out the same each time."""
Asks = Callable[[Sequence[AskedBefore]], "NDArray[Any]"]
"""The scores of a model on rows, one a row, or one a class and row."""


@dataclass(frozen=True, slots=True)
class PastCanary:
    """How one candidate would have fared.

    Attributes:
        name: of the candidate, in words.
        steps: those that it would have taken.
    """

    name: str
    steps: tuple[ReplayedStep, ...]

    @property
    def asked(self) -> int:
        """Rows that it would have been asked for."""
        return sum(step.answered for step in self.steps)

    @property
    def failed(self) -> int:
        """Of those, the ones that it alone would have failed on, so that the champion answered."""
        return sum(step.failed for step in self.steps)

    @property
    def lasted(self) -> timedelta:
        """From its first share to the end of its last."""
        return self.steps[-1].ended - self.steps[0].began if self.steps else timedelta(0)

    @property
    def then(self) -> Following:
        """What would have followed; WAIT where the traffic was over before it could be told."""
        return self.steps[-1].then if self.steps else Following.WAIT

    @property
    def caught_by(self) -> str | None:
        """The criterion that took its share away; None where nothing did."""
        caught = self.steps[-1].caught if self.steps else None
        return None if caught is None else caught.criterion


class NoCanary(Refusal):
    """The model declares no canary."""


def plan_of(model: ModelDeclaration) -> CanaryPlan:
    """
    Raises:
        NoCanary: there is none to simulate.
    """
    if model.canary is None:
        raise NoCanary(
            f"{model.name} has no canary, so there is nothing to simulate; declare canary: in its model.yaml, with "
            "serving: {mode: online}."
        )
    return model.canary.plan(model.shadow)


def simulate_canaries(
    plan: CanaryPlan,
    traffic: PastTraffic,
    *,
    champion: Asks | None = None,
    candidate: tuple[str, Asks] | None = None,
    seed: int = 0,
    screen: SimulationProgress | None = None,
) -> list[PastCanary]:
    """Each candidate through the steps.

    Args:
        plan: the declared steps and what must hold in each.
        traffic: the rows.
        champion: the champion's scores on rows, for the candidate that is given wrong values of a feature; None where
            it cannot be asked, and then that candidate is left out.
        candidate: a trained one, and its scores. The journal has no times of it: they are the champion's.
    """
    rows = traffic.rows
    makers: list[tuple[str, Callable[[], list[ModelAnswer]]]] = []
    if candidate is not None:
        name, asks = candidate
        makers.append((name, lambda: made.scored(asks(rows), rows, seed)))
    makers += [
        ("an equal one", lambda: made.equal(rows, seed)),
        (f"fails on {made.FAILING:.0%} of units", lambda: made.failing(rows, seed)),
        (f"{made.SLOWER:g} times slower", lambda: made.slow(rows, seed)),
        ("always the same answer", lambda: made.constant(rows, seed)),
    ]
    feature = made.numeric(rows)
    if champion is not None and feature is not None:
        wrong = made.of_other_rows(rows, feature, seed)
        makers.append((f"{feature} of other rows", lambda: made.scored(champion(wrong), rows, seed)))
    if feature is not None:
        makers.append((f"opposite where {feature} is small", lambda: made.ruined(rows, feature, seed)))
    found = []
    if screen is not None:
        screen.begin("canaries of the past", len(makers))
    for name, make in makers:
        if screen is not None:
            screen.note(name)
        asked = (
            PastRow(row.asked_id, row.unit, row.at, row.champion, answer)
            for row, answer in zip(rows, make(), strict=True)
        )
        found.append(PastCanary(name, tuple(replayed(plan, asked, salt=SALT))))
        if screen is not None:
            screen.step()
    return found


def asks_of(model: ModelDeclaration, candidate_id: str) -> Asks:
    """The scores of a trained candidate, by the very file that its gates judged.

    Raises:
        UnknownCandidate: there is none of that name.
        Refusal: it was never registered, or it is another model's.
        RegistryUnreachable, ModelFileRefused: its file cannot be had.
    """
    import numpy as np
    import pandas as pd

    from include.adapters import estimators
    from include.workflows import stores
    from include.workflows.scoring import fitted_models

    with stores.open_ledger() as ledger:
        candidate = ledger.candidates.get(candidate_id)
    if candidate.model != model.name:
        raise Refusal(f"{candidate_id} is a candidate of {candidate.model}, not of {model.name}.")
    version, digest = candidate.facts.model_version, candidate.facts.serving_digest
    if version is None or digest is None:
        raise Refusal(f"{candidate_id} was never registered, so there is no file to ask.")
    pipeline = fitted_models.load(stores.registry(), model.name, int(version), digest)
    kinds = fitted_models.kinds_of(model)

    def asks(rows: Sequence[AskedBefore]) -> NDArray[Any]:
        columns = {name: [(row.features or {}).get(name) for row in rows] for name in kinds}
        frame = estimators.as_input(pd.DataFrame(columns), kinds)
        return np.asarray(estimators.predict(pipeline, frame, classes=model.class_count), dtype=np.float64)

    return asks
