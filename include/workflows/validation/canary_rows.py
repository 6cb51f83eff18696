"""What a declared canary needs before there is any traffic: its rows by step, and what cannot be shown with them."""

from __future__ import annotations

from collections.abc import Iterator

from include.config import Declarations
from include.config.base import as_share
from include.config.canary import DeclaredCanary
from include.config.loader import line_of
from include.config.types import ModelDeclaration


def cannot_be_shown(model: ModelDeclaration) -> Iterator[str]:
    """A line for each step whose rows cannot show what it must."""
    canary = model.canary
    if canary is None:
        return
    for i, (step, needed) in enumerate(zip(canary.steps, canary.needed(), strict=True)):
        where = f"{line_of(model.file, ('canary', 'steps', i))}: canary.steps.{i}"
        bears = f"at most {as_share(round(canary.margin_of(i), 9))} more failures"
        usual = as_share(canary.failures.usual)
        if needed is None:
            yield (
                f"{where} must show {bears}, where {usual} fail usually, and 10,000,000 rows do not show it; give a "
                "larger canary.failures.added_at_most, or a smaller usual."
            )
        elif step.min_rows is not None and step.min_rows < needed:
            yield (
                f"{where}.min_rows is {step.min_rows:,}, and {needed:,} are needed to show {bears}, where {usual} fail "
                "usually; leave it out, or give a larger canary.failures.added_at_most."
            )


def rows_by_step(read: Declarations) -> list[str]:
    """A line for each model with a canary: what its steps need, and what equal candidates risk."""
    return [_line(model, model.canary) for _, model in sorted(read.models.items()) if model.canary is not None]


def _line(model: ModelDeclaration, canary: DeclaredCanary) -> str:
    from include.domain.canary.power import wire_chance
    from include.domain.canary.wires import wire_of

    steps, rows = [], 0
    for step, needed in zip(canary.steps, canary.needed(), strict=True):
        found = step.min_rows or needed
        if found is not None:
            rows += found
            steps.append(f"{as_share(step.share)} {found:,} rows ({round(found / step.share):,} requests)")
    chance = wire_chance(wire_of(canary.trip), canary.failures.usual, rows)
    total = canary.failures.alpha + canary.slow_alpha
    return (
        f"{model.name}: its canary needs at {', '.join(steps)}; an equal candidate is rolled back at most "
        f"{as_share(total)} of the time by what is counted, and {chance:.1g} by the hard wire."
    )
