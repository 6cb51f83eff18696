"""A step: one task that is one call into a workflow, with the project's rules for failing.

What a person must fix (``Refusal``) fails the task at once with its one line and no stack trace: Airflow prints a
``SystemExit`` as one line, and the retry policy lets it end there. What may end by itself (MLflow
restarting, a locked database, a source that does not answer) is retried for about four minutes.
"""

from __future__ import annotations

import functools
import logging
import os
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from airflow.sdk import ExceptionRetryPolicy, RetryAction, RetryRule, task
from airflow.sdk.exceptions import AirflowSkipException, AirflowTaskTimeout

from include.domain.errors import NotYet, Refusal
from slipway_airflow import lineage
from slipway_airflow.connections import use_source_connection

log = logging.getLogger("slipway")
GRACE = timedelta(seconds=30)
"""How long after its limit a step may still be in compiled code."""


class TaskRefused(SystemExit):
    """Ends a task red, for good, with one line. It is a ``SystemExit`` so that Airflow prints no stack trace for it."""


STEP_DEFAULTS: dict[str, Any] = {
    "retries": 5,
    "retry_delay": timedelta(seconds=8),
    "retry_exponential_backoff": 2.0,
    "max_retry_delay": timedelta(minutes=2),
    "retry_policy": ExceptionRetryPolicy(
        rules=[
            RetryRule(
                exception="slipway_airflow.steps.TaskRefused",
                action=RetryAction.FAIL,
                reason="A retry would change nothing.",
            )
        ]
    ),
}


OUTLASTING: dict[str, Any] = {"retries": 20, "max_retry_delay": timedelta(minutes=5)}
"""For a step that no other step can replace: it is tried for more than an hour, which is longer than a database or a
disk is usually away for maintenance."""


class Waiting(SystemExit):
    """Ends a try with one line. Airflow tries again, as after any error that no rule above names."""


def title(task_id: str) -> str:
    """A task's name for people; logs, links and REST use its id.

    >>> title("build_training_set")
    'Build training set'
    """
    return task_id.replace("_", " ").capitalize()


def refuse(message: str) -> TaskRefused:
    """Log the line a person reads and return what to raise."""
    log.error(message)
    return TaskRefused(message)


def skip(reason: str) -> AirflowSkipException:
    """Log why a task is skipped and return what to raise: Airflow's own line keeps the reason in a field that its page
    does not show."""
    log.info(reason)
    return AirflowSkipException(reason)


def shown(function: Callable[..., Any]) -> Callable[..., Any]:
    """Turn the workflow's refusals into one red line."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        use_source_connection()
        try:
            return lineage.collected(function)(*args, **kwargs)
        except Refusal as refusal:
            raise refuse(str(refusal)) from None
        except NotYet as missing:
            log.warning(str(missing))
            raise Waiting(str(missing)) from None
        except AirflowTaskTimeout:
            raise refuse(_out_of_time(function.__name__)) from None

    return call


def _out_of_time(name: str) -> str:
    """End what the step has started, because no one waits for its answer any more; what to say."""
    from include.adapters.processes import end_descendants

    end_descendants()
    return (
        f"{name} took longer than its limit and was ended, with every process it had started. A fit's limit is "
        "training.timeout of the model's declaration."
    )


def within(limit: timedelta, function: Callable[..., Any]) -> Callable[..., Any]:
    """The same function with a last resort: Airflow interrupts Python, and compiled code that never comes back to it is
    ended ``GRACE`` later with its whole process."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        from include.adapters.processes import end_descendants

        def end() -> None:
            log.error("%s did not stop when its time was over; its process is ended.", function.__name__)
            end_descendants()
            os._exit(os.EX_TEMPFAIL)

        last_resort = threading.Timer((limit + GRACE).total_seconds(), end)
        last_resort.daemon = True
        last_resort.start()
        try:
            return function(*args, **kwargs)
        finally:
            last_resort.cancel()

    return call


def step(function: Callable[..., Any] | None = None, **options: Any) -> Any:
    """``@task`` with the project's failure rules; ``options`` are the task's own."""
    if function is None:
        return lambda f: step(f, **options)
    limit = options.get("execution_timeout")
    called = shown(function) if limit is None else within(limit, shown(function))
    name = title(options.get("task_id") or function.__name__)
    # One XCom a task: a workflow's mapping is one value, whatever its annotation says.
    own = {"multiple_outputs": False, "task_display_name": name}
    return task(**{**STEP_DEFAULTS, **own, **options})(called)
