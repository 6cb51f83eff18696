"""The selftest of one model as a task: red for good when a gate let a bad candidate pass, with the matrix last."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from include.domain.errors import Refusal
from slipway_airflow.gates import show_table_last
from slipway_airflow.notify import Failed
from slipway_airflow.steps import STEP_DEFAULTS, refuse, title

if TYPE_CHECKING:
    from airflow.sdk import Context


class SelftestOperator(BaseOperator):
    """Runs the selftest of one model.

    :param model: its name.
    :param run: the workflow; gives passed, table, problems.
    """

    def __init__(self, *, model: str, run: Callable[[str], Mapping[str, Any]], **kwargs: Any) -> None:
        name = title(kwargs["task_id"])
        super().__init__(
            on_failure_callback=[Failed(), show_table_last], task_display_name=name, **{**STEP_DEFAULTS, **kwargs}
        )
        self.model = model
        self.run_selftest = run
        self.table = ""

    def execute(self, context: Context) -> Any:
        try:
            found = self.run_selftest(self.model)
        except Refusal as refusal:
            raise refuse(str(refusal)) from None
        self.table = str(found["table"])
        if not found["passed"]:
            raise refuse(" ".join(found["problems"]))
        print(self.table)
        return {"passed": True, "rows": found["rows"]}
