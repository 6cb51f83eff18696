"""Registers what Slipway adds to Airflow. Its parts are in ``slipway_airflow``, which Airflow does not scan."""

from typing import ClassVar

from airflow.plugins_manager import AirflowPlugin
from slipway_airflow import outcome
from slipway_airflow.limits import BodyLimit
from slipway_airflow.pages.mount import PREFIX, KeepRoot, LateGuard, late_app
from slipway_airflow.promise import AskedFor


class SlipwayPlugin(AirflowPlugin):
    """Slipway's part of Airflow's API server."""

    name = "slipway"
    fastapi_apps: ClassVar = [{"app": late_app, "url_prefix": PREFIX, "name": "Slipway's pages and REST"}]
    fastapi_root_middlewares: ClassVar = [
        {"middleware": KeepRoot, "args": [], "kwargs": {}, "name": "Slipway's way to Airflow's own REST"},
        {"middleware": LateGuard, "args": [], "kwargs": {}, "name": "Slipway's door before Airflow's own REST"},
        {"middleware": BodyLimit, "args": [], "kwargs": {}, "name": "Slipway's limit on request bodies"},
    ]
    listeners: ClassVar = [outcome]
    deadline_references: ClassVar = [AskedFor]
    external_views: ClassVar = [
        {
            "name": "Models",
            "href": f"{PREFIX}/",
            "destination": "nav",
            "url_route": "slipway-models",
        },
        {
            "name": "Release",
            "href": f"{PREFIX}/runs/{{DAG_ID}}/{{RUN_ID}}",
            "destination": "dag_run",
            "url_route": "slipway-release",
        },
    ]
