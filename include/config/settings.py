"""Where things are: one place that reads the environment. Every default is the embedded one."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
SOURCE_URL_FILE = "database.url"
"""The address of a project's database, beside its declarations; ``SLIPWAY_SOURCE_URL`` comes first."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Addresses of the outside systems. URLs are SQLAlchemy URLs unless said otherwise."""

    home: Path
    """Everything Slipway writes on this machine, by default ``.slipway`` in the project."""
    source_url: str
    ledger_url: str
    online_url: str
    redis_url: str
    """Where the Redis streams are that views name."""
    store: str
    """Root of the offline store: a folder or an object-store URL such as ``s3://bucket/prefix``."""
    mlflow_url: str
    mlflow_pages_url: str
    """MLflow's address for a person's browser, which behind a proxy or in containers is another than the tasks'."""
    url: str
    """Slipway's address for a person's browser, without a slash at its end: what every link in a notice begins with."""
    operator: str
    """Who is notified about Slipway itself: a name or an address."""
    operator_via: str
    """How: ``file``, ``smtp`` or ``slack``, as in a model's ``notify``."""
    operator_conn_id: str | None
    """The Airflow connection for that; None for the provider's own."""

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
        source_url=os.environ.get("SLIPWAY_SOURCE_URL") or _kept_source_url() or f"sqlite:///{home / 'source.db'}",
        ledger_url=os.environ.get("SLIPWAY_LEDGER_URL") or f"sqlite:///{home / 'ledger.db'}",
        online_url=os.environ.get("SLIPWAY_ONLINE_URL") or f"sqlite:///{home / 'online.db'}",
        redis_url=os.environ.get("SLIPWAY_REDIS_URL") or "redis://127.0.0.1:6379/0",
        store=os.environ.get("SLIPWAY_STORE") or str(home / "store"),
        mlflow_url=mlflow_url,
        mlflow_pages_url=os.environ.get("SLIPWAY_MLFLOW_PAGES_URL") or mlflow_url,
        url=_own_url().rstrip("/"),
        operator=os.environ.get("SLIPWAY_OPERATOR") or "operator",
        operator_via=os.environ.get("SLIPWAY_OPERATOR_VIA") or "file",
        operator_conn_id=os.environ.get("SLIPWAY_OPERATOR_CONN") or None,
    )


def _kept_source_url() -> str:
    """What ``slipway new source`` wrote beside the declarations; empty where it did not."""
    declared = os.environ.get("SLIPWAY_DECLARATIONS")
    if not declared:
        return ""
    try:
        return (Path(declared) / SOURCE_URL_FILE).read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return ""


def _own_url() -> str:
    """What is set; else where Airflow says it is; else where ``slipway up`` listens."""
    given = os.environ.get("SLIPWAY_URL") or os.environ.get("AIRFLOW__API__BASE_URL")
    if given:
        return given
    host = os.environ.get("SLIPWAY_HOST") or "127.0.0.1"
    # An address that means "every interface" is none that a browser can open.
    reachable = "127.0.0.1" if host in ("0.0.0.0", "::") else f"[{host}]" if ":" in host else host
    return f"http://{reachable}:{os.environ.get('SLIPWAY_AIRFLOW_PORT') or 8080}"


def absolute(path: str) -> str:
    """A page's path behind Slipway's address, as a browser elsewhere can open it."""
    return f"{settings().url}{path}"


def what_is_wrong_with(url: str) -> str | None:
    """Why links cannot begin with the address; None when they can.

    >>> what_is_wrong_with("https://slipway.example.org/ml")
    >>> what_is_wrong_with("slipway.example.org")
    "SLIPWAY_URL is 'slipway.example.org'; give an absolute address such as https://slipway.example.org"
    """
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if usable and not parts.query and not parts.fragment:
        return None
    return f"SLIPWAY_URL is {url!r}; give an absolute address such as https://slipway.example.org"
