"""Hands the datasets of a task to Airflow's hook lineage, from which the OpenLineage provider makes its events.

Without a provider that reads it the collector does nothing.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from airflow.sdk.lineage import get_hook_lineage_collector

from include.workflows.lineage import tables_touched


class Slipway:
    """The producer of each dataset, which the collector requires."""


_SLIPWAY = Slipway()


def collected(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same function, whose datasets are reported when it has succeeded."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        with tables_touched.heard() as touched:
            result = function(*args, **kwargs)
        collector = get_hook_lineage_collector()
        for address in touched.read:
            collector.add_input_asset(context=_SLIPWAY, uri=address)
        for address in touched.written:
            collector.add_output_asset(context=_SLIPWAY, uri=address)
        return result

    return call
