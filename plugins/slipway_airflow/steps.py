"""A step: one task that is one call into a workflow, with the project's rules for failing.

What a person must mend (``Refusal``) fails the task at once with its one line and no stack trace: Airflow prints a
``SystemExit`` as one line, and the retry policy lets it end there. What a machine may mend by itself (MLflow
restarting, a locked database, a source that does not answer) is retried for about four minutes.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from airflow.sdk import ExceptionRetryPolicy, RetryAction, RetryRule, task

from include.domain.errors import Refusal
from slipway_airflow.connections import use_source_connection

log = logging.getLogger("slipway")


class Refused(SystemExit):
    """Ends a task red, for good, with one line. It is a ``SystemExit`` so that Airflow prints no stack trace for it."""


STEP_DEFAULTS: dict[str, Any] = {
    "retries": 5,
    "retry_delay": timedelta(seconds=8),
    "retry_exponential_backoff": 2.0,
    "max_retry_delay": timedelta(minutes=2),
    "retry_policy": ExceptionRetryPolicy(
        rules=[
            RetryRule(
                exception="slipway_airflow.steps.Refused",
                action=RetryAction.FAIL,
                reason="A retry would change nothing.",
            )
        ]
    ),
}


def refuse(message: str) -> Refused:
    """Log the line a person reads and return what to raise."""
    log.error(message)
    return Refused(message)


def shown(function: Callable[..., Any]) -> Callable[..., Any]:
    """Turn the workflow's refusals into one red line."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        use_source_connection()
        try:
            return function(*args, **kwargs)
        except Refusal as refusal:
            raise refuse(str(refusal)) from None

    return call


def step(function: Callable[..., Any] | None = None, **options: Any) -> Any:
    """``@task`` with the project's failure rules; ``options`` are the task's own."""
    if function is None:
        return lambda f: step(f, **options)
    return task(**{**STEP_DEFAULTS, **options})(shown(function))
