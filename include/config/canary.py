"""How a successor takes a growing share of live traffic: ``canary:`` of a model's declaration."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from include.config.base import Declared, Duration, as_share
from include.config.shadow import DeclaredShadow
from include.domain.verdicts import Mode

if TYPE_CHECKING:
    from include.domain.canary.plan import CanaryPlan

_LEAST = 1e-6


def _part(value: object) -> object:
    """``5%`` as 0.05; a number as it is."""
    text = value.strip() if isinstance(value, str) else ""
    try:
        return float(text.removesuffix("%")) / 100 if text.endswith("%") else value
    except ValueError:
        return value


def _wire_text(text: str) -> str:
    from include.domain.canary.wires import wire_of

    return str(wire_of(text))


Part = Annotated[float, BeforeValidator(_part), Field(ge=0, lt=1)]
"""A part of a whole below all of it, as 0.05 or 5%."""
SmallAlpha = Annotated[float, Field(gt=0, le=0.1)]


class DeclaredStep(Declared):
    """One share of traffic, and how long it is kept."""

    share: Annotated[Part, Field(ge=_LEAST)]
    """Which part of the units the candidate answers, as 1% or 0.01; larger than that of the step before."""
    min_rows: Annotated[int, Field(ge=1)] | None = None
    """Fewest rows of that share that both models answered; default as many as show, four times in five, that an equal
    candidate adds no more failures than the next share bears. Fewer than that are refused by ``slipway validate``."""
    min_time: Duration = timedelta(hours=1)
    """Shortest time of the step, for example 15m; default 1h."""
    max_time: Duration = timedelta(days=5)
    """After that time a step that has not passed ends with no traffic, and a person is asked; default 5d."""

    @model_validator(mode="after")
    def _has_time(self) -> DeclaredStep:
        if self.max_time <= self.min_time:
            raise ValueError("max_time must be longer than min_time; give for example 15m and 5d")
        return self

    @property
    def ppm(self) -> int:
        """The share in millionths."""
        return round(self.share * 1_000_000)


class DeclaredFailures(Declared):
    """What is tolerated of failed answers."""

    added_at_most: Annotated[Part, Field(gt=0)] = 0.005
    """Which part of *all* answers may fail more because of the candidate, as 0.5%. It is divided by the next step's
    share, so an early step bears more; default 0.5%."""
    usual: Annotated[Part, Field(gt=0)] = 0.001
    """Which part of answers fails usually, from which the rows of a step are calculated; default 0.1%."""
    alpha: SmallAlpha = 0.009
    """How often, per rollout, an equal candidate may be rolled back by its failures; default 0.009."""
    shown_alpha: SmallAlpha = 0.05
    """How often, per step, a candidate that adds more may be let through; default 0.05."""


_STEPS = (
    DeclaredStep(share=0.01, min_time=timedelta(minutes=15)),
    DeclaredStep(share=0.1),
    DeclaredStep(share=0.5, min_time=timedelta(hours=6)),
)


class DeclaredCanary(Declared):
    """The steps in which a candidate takes live traffic before it is promoted, and what must hold in each."""

    mode: Mode = Mode.BLOCKING
    """blocking stops the journey, advisory only reports; default blocking."""
    steps: Annotated[tuple[DeclaredStep, ...], Field(min_length=1, max_length=10)] = _STEPS
    """The shares, one after the other, and then all traffic; default 1% for 15m, 10% for 1h and 50% for 6h at least."""
    failures: DeclaredFailures = DeclaredFailures()
    """What is tolerated of failed answers; default what its fields say."""
    slow_alpha: SmallAlpha = 0.001
    """How often, per rollout, an equal candidate may be rolled back by answers slower than the champion's 99th
    percentile; default 0.001."""
    mismatch_alpha: SmallAlpha = 0.001
    """How often, per rollout, a share that is drawn as declared may be called wrong; default 0.001."""
    trip: Annotated[str, AfterValidator(_wire_text)] = "5 of 20"
    """So many failures among the last rows, that the champion answered, end the share at once; default 5 of 20."""
    mean_delta_at_most: Annotated[float, Field(gt=0)] | None = None
    """Highest mean |candidate - champion| score on the same rows; default the highest of ``shadow.disagreement``."""
    p99_delta_at_most: Annotated[float, Field(gt=0)] | None = None
    """Highest 99th percentile of it; default ``shadow.p99_delta_at_most``."""
    decisions_differ_at_most: Annotated[float, Field(gt=0, le=1)] | None = None
    """Highest part of those rows that are decided differently; default it is not judged."""

    @model_validator(mode="after")
    def _grows(self) -> DeclaredCanary:
        shares = [step.ppm for step in self.steps]
        for i in range(1, len(shares)):
            if shares[i] <= shares[i - 1]:
                raise ValueError(
                    f"steps.{i}.share is {as_share(self.steps[i].share)}, and the step before has "
                    f"{as_share(self.steps[i - 1].share)}; shares grow from step to step"
                )
        return self

    def margin_of(self, step: int) -> float:
        """How much more the candidate may fail, in the step, for the next share to bear it."""
        following = self.steps[step + 1].share if step + 1 < len(self.steps) else 1.0
        return self.failures.added_at_most / following

    def needed(self) -> tuple[int | None, ...]:
        """By step, the fewest rows of the candidate at which an equal one passes four times in five; None where ten
        million are not enough."""
        from include.domain.canary.power import rows_needed

        failures = self.failures
        return tuple(
            rows_needed(step.ppm, self.margin_of(i), failures.usual, failures.shown_alpha)
            for i, step in enumerate(self.steps)
        )

    def plan(self, shadow: DeclaredShadow) -> CanaryPlan:
        """As the domain takes it.

        Raises:
            ValueError: a step has neither rows of its own nor a number of rows that is enough.
        """
        from include.domain.canary.plan import CanaryPlan, CanaryStep
        from include.domain.canary.wires import wire_of

        steps = []
        for i, (step, needed) in enumerate(zip(self.steps, self.needed(), strict=True)):
            rows = step.min_rows or needed
            if rows is None:
                raise ValueError(
                    f"canary.steps.{i} needs more than 10,000,000 rows; give a larger failures.added_at_most"
                )
            steps.append(CanaryStep(step.ppm, rows, step.min_time, step.max_time))
        return CanaryPlan(
            steps=tuple(steps),
            added_failures=self.failures.added_at_most,
            wire=wire_of(self.trip),
            mean_delta_at_most=self.mean_delta_at_most or shadow.disagreement[1],
            p99_delta_at_most=self.p99_delta_at_most or shadow.p99_delta_at_most,
            decisions_differ_at_most=self.decisions_differ_at_most,
            shown_alpha=self.failures.shown_alpha,
            failures_alpha=self.failures.alpha,
            slow_alpha=self.slow_alpha,
            mismatch_alpha=self.mismatch_alpha,
        )
