"""How a successor takes a growing share of live traffic: ``canary:`` of a model's declaration."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from include.config.base import Declared, Duration, Tolerance, amount_and_share, as_share
from include.config.declared_gate import Rows
from include.config.own_metrics import MetricName
from include.config.shadow import DeclaredShadow
from include.domain.verdicts import Mode

if TYPE_CHECKING:
    from include.config.declared_gate import Own
    from include.domain.canary.plan import CanaryPlan
    from include.domain.gates import ComparisonRule

_LEAST = 1e-6
LABELLED_DAYS = timedelta(days=3)
"""Of fewer days it cannot be seen how much days differ, so nothing is compared."""


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


class DeclaredCanaryBusiness(Declared):
    """The candidate against the champion on matured labels of the rows that both answered in the canary."""

    metric: MetricName
    """The metric on which the two are compared, a business metric too."""
    margin: Tolerance = 0.0
    """The loss against the champion that is tolerated: in the metric's unit, or as a share, written 5%, of the gap
    between the champion and the mean label on these rows; default 0."""
    alpha: SmallAlpha = 0.025
    """How often, per rollout, a candidate that is worse by the margin may be let through; each further day of labels
    has a smaller part of it, so that it holds for all of them together; default 0.025."""
    min_rows: Rows = 500
    """Fewest labelled rows that are compared; default 500."""
    wait: Literal["matured", "none"] = "matured"
    """matured: the last step waits for labels, until its ``max_time``, unless they need longer than the whole canary
    has. none: they are reported, and a candidate that is shown to be worse is stopped; default matured."""
    depends_on_decision: bool = False
    """Whether the label depends on the answer that was given, as where a loan is refused: then the answer that was not
    given has no label, and nothing is compared on the same rows; default no."""

    @model_validator(mode="after")
    def _waits_for_what_comes(self) -> DeclaredCanaryBusiness:
        if self.depends_on_decision and self.wait == "matured":
            raise ValueError(
                "depends_on_decision is true and wait is matured; where labels depend on the decision only the answer "
                "that was given has one, so no paired comparison can be waited for; set wait to none"
            )
        return self

    def rule(self, own: Own) -> ComparisonRule:
        """As the domain takes it."""
        from include.domain.gates import ComparisonRule

        amount, share = amount_and_share(self.margin)
        return ComparisonRule(own.get(self.metric, self.metric), amount, share=share)


_STEPS = (
    DeclaredStep(share=0.01, min_time=timedelta(minutes=15)),
    DeclaredStep(share=0.1),
    DeclaredStep(share=0.5, min_time=timedelta(hours=6)),
)


class DeclaredCanary(Declared):
    """The steps in which a candidate takes live traffic before it is promoted, and what must hold in each."""

    mode: Mode = Mode.BLOCKING
    """blocking stops the journey. advisory only reports what matured labels say of ``business``; failures, slow answers
    and shares decide whatever it is; default blocking."""
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
    business: DeclaredCanaryBusiness | None = None
    """The comparison on matured labels; default none is made."""
    lease: Duration = timedelta(minutes=2)
    """After what time the share ends by itself where no one renews it, because Airflow or the ledger is away, at least
    1m; default 2m."""

    @property
    def longest(self) -> timedelta:
        """How long its steps may take together."""
        return sum((step.max_time for step in self.steps), timedelta(0))

    def labels_come(self, delay: timedelta) -> bool:
        """Whether the labels of as many days as can be compared mature before the last step must end, where a label
        takes ``delay``."""
        return delay + LABELLED_DAYS <= self.longest

    def waits_for_labels(self, delay: timedelta) -> bool:
        """Whether the last step waits for them: it is declared to, and they come in time."""
        return self.business is not None and self.business.wait == "matured" and self.labels_come(delay)

    @model_validator(mode="after")
    def _lease_is_renewed_in_time(self) -> DeclaredCanary:
        if not timedelta(minutes=1) <= self.lease < timedelta(days=1):
            raise ValueError("lease must be 1m to less than 1d: it is renewed every ten seconds; give for example 2m")
        return self

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
