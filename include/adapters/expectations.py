"""Great Expectations, for one job only: run declared expectations on a frame and report each result.

It passes vacuously (an empty batch, an empty suite), so row counts, missing values and the suite's size are checked by
the caller before. Nothing is sent anywhere; what it found is written only where the caller writes it.
"""

from __future__ import annotations

import logging
import os
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import pandas as pd

from include.config.problems import did_you_mean
from include.config.views import Expectation
from include.domain.errors import Refusal

OF_GREAT_EXPECTATIONS = frozenset(
    [
        "id",
        "meta",
        "notes",
        "result_format",
        "description",
        "catch_exceptions",
        "rendered_content",
        "severity",
        "windows",
        "batch_id",
    ]
)
"""Arguments that are no question about the data; they are set here, or not at all."""
COLUMN_ARGUMENTS = ("column", "column_A", "column_B", "column_list")


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


def wrong(expectations: Sequence[Expectation], kinds: Mapping[str, str]) -> Iterator[tuple[int, str | None, str]]:
    """What Great Expectations would refuse, and what could never be met: the position of the expectation, the argument
    where it is about one, and a sentence without its point.

    ``kinds`` are the columns of a staged partition with their kind, which is "" for one that is no feature.
    """
    gx = _great_expectations()
    known = {_snake(name): getattr(gx.expectations, name) for name in dir(gx.expectations) if name.startswith("Expect")}
    for position, declared in enumerate(expectations):
        kind = known.get(declared.expectation)
        if kind is None:
            near = did_you_mean(declared.expectation, list(known))
            yield position, None, f"Great Expectations has no {declared.expectation!r}.{near}".rstrip(".")
            continue
        takes = [name for name in kind.__fields__ if name not in OF_GREAT_EXPECTATIONS]
        found = list(_wrong_arguments(declared, kind, takes, kinds))
        yield from ((position, where, told) for where, told in found)


def _wrong_arguments(
    declared: Expectation, kind: Any, takes: list[str], kinds: Mapping[str, str]
) -> Iterator[tuple[str | None, str]]:
    given, name = declared.kwargs, declared.expectation
    for strange in [key for key in given if key not in takes]:
        near = did_you_mean(strange, takes)
        yield strange, f"kwargs has {strange!r}, which {name} does not take; it takes: {', '.join(takes)}.{near}"
    for key, value in given.items():
        columns = value if isinstance(value, list) else [value]
        if key in COLUMN_ARGUMENTS:
            for column in columns:
                if isinstance(column, str) and column not in kinds:
                    near = did_you_mean(column, list(kinds))
                    yield key, f"{key} is {column!r}, which is no column; they are: {', '.join(kinds)}.{near}"
        if any(isinstance(each, bool) for each in columns) and key == "value_set":
            column = str(given.get("column"))
            if kinds.get(column) != "boolean":
                read = next(each for each in columns if isinstance(each, bool))
                meant = "yes, on or true" if read else "no, off or false"
                yield key, f"{key} has {read}, which is how YAML reads {meant}, and {column} is not boolean; quote it"
    low, high = given.get("min_value"), given.get("max_value")
    if isinstance(low, int | float) and isinstance(high, int | float) and low > high:
        yield "min_value", f"min_value is {low} and max_value is {high}; nothing is between them, so no day would pass"
    if set(given) <= set(takes):
        yield from _refused(declared, kind)


def _refused(declared: Expectation, kind: Any) -> Iterator[tuple[str | None, str]]:
    try:
        kind(**declared.kwargs)
    except (TypeError, ValueError) as error:
        errors = getattr(error, "errors", None)
        first = errors()[0] if callable(errors) else {"loc": (), "msg": " ".join(str(error).split())}
        where = str(first["loc"][0]) if first["loc"] else None
        if first["msg"] == "field required":
            yield None, f"kwargs gives no {where}, which {declared.expectation} needs"
        elif where in declared.kwargs:
            yield where, f"{where} is {declared.kwargs[where]!r}; {first['msg']}"
        else:
            yield None, f"{declared.expectation} is not usable: {first['msg']}"


def _snake(name: str) -> str:
    """The name as it is declared; one that comes back as another class is taken as Great Expectations spells it."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


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
