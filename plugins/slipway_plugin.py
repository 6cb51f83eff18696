"""Registers what Slipway adds to Airflow. What it names lives in ``slipway_airflow``, which Airflow does not scan."""

from typing import ClassVar

from airflow.plugins_manager import AirflowPlugin
from slipway_airflow.limits import BodyLimit


class SlipwayPlugin(AirflowPlugin):
    """Slipway's part of Airflow's API server."""

    name = "slipway"
    fastapi_root_middlewares: ClassVar = [
        {"middleware": BodyLimit, "args": [], "kwargs": {}, "name": "Slipway's limit on request bodies"}
    ]
