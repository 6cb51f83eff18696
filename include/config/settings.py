"""Where things are: one place that reads the environment. Every default is the embedded one."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Settings:
    """Addresses of the outside systems. URLs are SQLAlchemy URLs unless said otherwise."""

    home: Path
    """Everything Slipway writes on this machine, by default ``.slipway`` in the project."""
    source_url: str
    ledger_url: str
    online_url: str
    store: str
    """Root of the offline store: a folder or an object-store URL such as ``s3://bucket/prefix``."""
    mlflow_url: str
    mlflow_pages_url: str
    """MLflow's address for a person's browser, which behind a proxy or in containers is another than the tasks'."""

    @property
    def artifacts(self) -> Path:
        """Scratch for staged partitions and training sets of running journeys."""
        return self.home / "work"


def settings() -> Settings:
    """Read the environment. Called per use, so that a test or a task sees what is set now."""
    mlflow_url = os.environ.get("MLFLOW_TRACKING_URI") or "http://127.0.0.1:5000"
    home = Path(os.environ.get("SLIPWAY_HOME") or PROJECT / ".slipway").absolute()
    return Settings(
        home=home,
        source_url=os.environ.get("SLIPWAY_SOURCE_URL") or f"sqlite:///{home / 'source.db'}",
        ledger_url=os.environ.get("SLIPWAY_LEDGER_URL") or f"sqlite:///{home / 'ledger.db'}",
        online_url=os.environ.get("SLIPWAY_ONLINE_URL") or f"sqlite:///{home / 'online.db'}",
        store=os.environ.get("SLIPWAY_STORE") or str(home / "store"),
        mlflow_url=mlflow_url,
        mlflow_pages_url=os.environ.get("SLIPWAY_MLFLOW_PAGES_URL") or mlflow_url,
    )
