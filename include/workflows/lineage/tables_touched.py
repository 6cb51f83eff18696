"""Which tables a piece of work reads and writes, by their addresses, for a listener.

A Dag task's wrapper listens and hands the addresses to Airflow's lineage; a command or a test has no listener, and then
nothing is kept. Other tools use the same addresses for these tables; they hold no user names and passwords.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, urlsplit

from include.config.settings import settings
from include.config.types import FeatureView, ModelDeclaration, SourceTable


@dataclass(frozen=True, slots=True)
class Touched:
    """The addresses that were read and written, each once, in the order in which they were named."""

    read: dict[str, None] = field(default_factory=dict)
    written: dict[str, None] = field(default_factory=dict)


_LISTENING: ContextVar[Touched | None] = ContextVar("slipway_datasets", default=None)


@contextmanager
def heard() -> Iterator[Touched]:
    """What is read and written within the block."""
    touched = Touched()
    token = _LISTENING.set(touched)
    try:
        yield touched
    finally:
        _LISTENING.reset(token)


def reads(addresses: Iterable[str]) -> None:
    """Say that the tables were read."""
    if (touched := _LISTENING.get()) is not None:
        touched.read.update(dict.fromkeys(addresses))


def writes(addresses: Iterable[str]) -> None:
    """Say that the tables were written."""
    if (touched := _LISTENING.get()) is not None:
        touched.written.update(dict.fromkeys(addresses))


# --- addresses -------------------------------------------------------------------------------------------------------


def source_tables(tables: Iterable[SourceTable]) -> list[str]:
    """Tables of the source: ``postgres://host:port/database/public/table``; a SQLite file's table as a file below
    it."""
    return [_source_table(each.table) for each in tables]


def _source_table(table: str) -> str:
    from sqlalchemy import make_url

    url = make_url(settings().source_url)
    if url.get_backend_name() == "sqlite":
        return _file(Path(url.database or ":memory:") / table)
    scheme = {"postgresql": "postgres"}.get(url.get_backend_name(), url.get_backend_name())
    schema, _, name = table.rpartition(".")
    path = f"{quote(url.database or '')}/{quote(schema or 'public')}/{quote(name)}"
    port = url.port or (5432 if scheme == "postgres" else None)
    return f"{scheme}://{url.host or 'localhost'}{f':{port}' if port else ''}/{path}"


def view_table(view: FeatureView) -> str:
    """The Delta table of the view's version."""
    return _stored(f"features/{view.name}/v{view.version}")


def prediction_log(model: ModelDeclaration) -> str:
    """The Delta table of the model's answers."""
    return _stored(f"predictions/{model.name}")


def training_set(path: str) -> str:
    """A training set's file."""
    return _file(Path(path))


def registered_model(model: ModelDeclaration) -> str:
    """The model in its registry, as a file of that server: no address of a model is known to all tools."""
    return f"file://{urlsplit(settings().mlflow_url).netloc}/models/{quote(model.name)}"


def _stored(path: str) -> str:
    root = settings().store.rstrip("/")
    return f"{root}/{quote(path)}" if "://" in root else _file(Path(root) / path)


def _file(path: Path) -> str:
    return path.absolute().as_uri()
