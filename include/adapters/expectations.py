"""Great Expectations, for one job only: run declared expectations on a frame and report each result.

It passes vacuously (an empty batch, an empty suite), so row counts, missing values and the suite's size are checked by
the caller before. Nothing is sent anywhere; what it found is written only where the caller writes it.
"""

from __future__ import annotations

import logging
import os
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import pandas as pd

from include.config.views import Expectation
from include.domain.errors import Refusal


class ExpectationOutcome(Enum):
    """What an expectation found. BROKEN: it raised, so it is no evidence about the data, and nothing passes by it."""

    MET = "MET"
    UNMET = "UNMET"
    BROKEN = "BROKEN"


class ExpectationUnusable(Refusal, ValueError):
    """A declared expectation that does not exist, or does not take its arguments."""

    def __init__(self, suite: str, name: str, reason: str) -> None:
        super().__init__(f"Expectation {name!r} of {suite} cannot be used: {reason}.")


@dataclass(frozen=True, slots=True)
class ExpectationResult:
    """``share`` is the part of the judged values that failed, 0 to 1; None where the expectation judges the table as a
    whole. ``observed`` is what was seen, in words."""

    expectation: str
    column: str | None
    severity: str
    outcome: ExpectationOutcome
    share: float | None
    observed: str


def validate(
    frame: pd.DataFrame,
    expectations: Sequence[Expectation],
    suite: str,
    document: Callable[[Callable[[], str] | None], None] | None = None,
) -> list[ExpectationResult]:
    """Each expectation's result, in the order they are declared. ``suite`` names them in messages.

    ``document`` is given what renders the result as Great Expectations does, or None when every expectation is met.

    Raises:
        ExpectationUnusable: when one does not exist or its arguments are wrong; nothing was judged then.
    """
    gx = _great_expectations()
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = gx.data_context.types.base.ProgressBarsConfig(globally=False)
    batch = (
        context.data_sources.add_pandas(suite).add_dataframe_asset(suite).add_batch_definition_whole_dataframe(suite)
    )
    checks = gx.ExpectationSuite(name=suite)
    for position, declared in enumerate(expectations):
        # Great Expectations returns results grouped, not in order: each carries its place.
        checks.add_expectation(_expectation(gx, declared, suite, position))
    outcome = batch.get_batch({"dataframe": frame}).validate(checks, result_format="BASIC")
    placed = {result.expectation_config.meta["position"]: result for result in outcome.results}
    results = [_result(declared, placed.get(i)) for i, declared in enumerate(expectations)]
    if document is not None:
        document(None if all(r.outcome is ExpectationOutcome.MET for r in results) else lambda: _rendered(outcome))
    return results


def _rendered(outcome: Any) -> str:
    """Great Expectations' page of a result, without what it would run or fetch from a dozen other hosts.

    It does not escape the values it shows: the server of the page must let no script run.
    """
    from great_expectations.render.renderer import ValidationResultsPageRenderer
    from great_expectations.render.view import DefaultJinjaPageView

    page = str(DefaultJinjaPageView().render(ValidationResultsPageRenderer().render(outcome)))
    page = re.sub(r"<script\b.*?</script\s*>", "", page, flags=re.DOTALL | re.IGNORECASE)
    return re.sub(r"<(?:link|img|script|iframe|object|embed|base|meta)\b[^>]*>", "", page, flags=re.IGNORECASE)


def _great_expectations() -> Any:
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    for noisy in ("great_expectations._docs_decorators", "great_expectations"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", DeprecationWarning
        )  # its import touches sre_constants, deprecated since Python 3.11
        import great_expectations as gx

    return gx


def _expectation(gx: Any, declared: Expectation, suite: str, position: int) -> Any:
    name = "".join(part.capitalize() for part in declared.expectation.split("_"))
    kind = getattr(gx.expectations, name, None)
    if kind is None:
        raise ExpectationUnusable(suite, declared.expectation, "Great Expectations has none of this name")
    try:
        return kind(**declared.kwargs, meta={"position": position})
    except (TypeError, ValueError) as error:  # pydantic's ValidationError is a ValueError
        raise ExpectationUnusable(suite, declared.expectation, " ".join(str(error).split()).rstrip(".")) from error


def _result(declared: Expectation, found: Any) -> ExpectationResult:
    column = declared.kwargs.get("column")
    where = str(column) if column is not None else None
    if found is None:
        return ExpectationResult(
            declared.expectation, where, declared.severity, ExpectationOutcome.BROKEN, None, "no result came back"
        )
    raised = _raised(found.exception_info)
    if raised is not None:
        return ExpectationResult(
            declared.expectation, where, declared.severity, ExpectationOutcome.BROKEN, None, raised
        )
    percent = found.result.get("unexpected_percent")
    share = None if percent is None else float(percent) / 100
    outcome = ExpectationOutcome.MET if found.success else ExpectationOutcome.UNMET
    return ExpectationResult(declared.expectation, where, declared.severity, outcome, share, _observed(found.result))


def _raised(info: Mapping[str, Any] | None) -> str | None:
    """The first exception's message: the info is either one record or one record per metric."""
    if not info:
        return None
    records = [info] if "raised_exception" in info else [r for r in info.values() if isinstance(r, Mapping)]
    for record in records:
        if record.get("raised_exception"):
            return " ".join(str(record.get("exception_message") or "it raised").split()).rstrip(".")
    return None


def _observed(result: Mapping[str, Any]) -> str:
    if result.get("unexpected_count") is not None:
        examples = ", ".join(str(v) for v in result.get("partial_unexpected_list", [])[:3])
        text = f"{result['unexpected_count']} of {result.get('element_count', '?')} values"
        return f"{text}, for example {examples}" if examples else text
    if "observed_value" in result:
        return f"observed {result['observed_value']}"
    return "no detail"
