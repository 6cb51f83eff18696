"""Nobody waits for ever: each bound of SQLite holds on Postgres, for the ledger, the online store and the source."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest
from ledger_fixtures import ledger, ledger_url
from sqlalchemy import create_engine, make_url, text

from include.adapters import source
from include.adapters.ledger import Ledger, LedgerUnavailable, Partition, PartitionStatus
from include.adapters.ledger.database import make_engine, one_after_the_other
from include.adapters.online_store import OnlineStore, OnlineStoreUnusable, engines
from include.adapters.source import reading
from include.config import bounds
from include.config.settings import PROJECT
from include.config.types import FeatureView, SourceTable
from include.domain.errors import BadField
from include.domain.intervals import Interval

__all__ = ["ledger", "ledger_url"]

WAIT_S = 2
"""The setting in these tests; what is promised is this much, and a little for the answer itself."""
SLACK_S = 2.0
DAY = Interval.of_day("2024-03-01")
VIEW = FeatureView.model_validate(
    {
        "name": "levels",
        "description": "Levels.",
        "owner": "o",
        "calendar": {"starts": "2024-03-01"},
        "keys": ["station"],
        "ttl": "6h",
        "columns": [{"name": "level"}],
        "source": [{"table": "readings"}],
        "quality": {"expectations": [{"expectation": "expect_column_to_exist", "kwargs": {"column": "level"}}]},
    }
)
WRITE = """
import sys
from tests.integration.test_faults_bounds import published
from include.adapters.ledger import Ledger, LedgerUnavailable
with Ledger.open(sys.argv[1]) as ledger:
    print("open", flush=True)
    try:
        ledger.partitions.record([published(1)])
        print("recorded", flush=True)
    except LedgerUnavailable as error:
        print("refused", error, flush=True)
"""


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("SLIPWAY_DATABASE_TIMEOUT_S", str(WAIT_S))
    monkeypatch.setenv("SLIPWAY_SOURCE_TIMEOUT_S", str(WAIT_S))
    forget_engines()
    yield
    forget_engines()


def forget_engines() -> None:
    """An engine keeps the bounds it was made with."""
    for engine in engines.ENGINES.values():
        engine.dispose()
    engines.ENGINES.clear()


def published(rows: int) -> Partition:
    return Partition(
        view="levels",
        view_version=1,
        day="2024-03-01",
        status=PartitionStatus.PUBLISHED,
        rows=rows,
        content_hash=f"hash of {rows}",
        code_hash="code",
        table_version=rows,
        source_rows=rows,
        source_watermark=None,
        run_id="run",
    )


def state_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def until(condition: Callable[[], bool], within_s: float) -> None:
    end = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < end, "it did not come to that"
        threading.Event().wait(0.02)


@contextmanager
def stopped_writer(url: str) -> Iterator[subprocess.Popen[str]]:
    """A process that has written inside its transaction, holds the view's lock, and was stopped before its commit."""
    child = subprocess.Popen(
        [sys.executable, "-c", WRITE, url],
        stdout=subprocess.PIPE,
        text=True,
        cwd=PROJECT,
        env={
            **os.environ,
            "FAULT_PAUSE": "ledger.partition.current",
            "PYTHONPATH": f"{PROJECT}:{PROJECT / 'tests'}:{PROJECT / 'tests/support'}",
        },
    )
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == "open\n"
        until(lambda: state_of(child.pid) == "T", 30)
        yield child
    finally:
        child.kill()
        child.wait(30)
        child.stdout.close()


def test_f187_a_writer_stopped_inside_its_transaction_is_waited_for_as_long_as_promised(ledger, ledger_url):
    with stopped_writer(ledger_url):
        began = time.monotonic()
        with pytest.raises(LedgerUnavailable, match=rf"did not answer within {WAIT_S} s or failed: ") as refused:
            ledger.partitions.record([published(2)])
        assert WAIT_S - 0.5 < time.monotonic() - began < WAIT_S + SLACK_S
        assert "\n" not in str(refused.value)
        assert ledger.partitions.get("levels", 1, "2024-03-01") is None, "readers are not kept waiting"
    ledger.partitions.record([published(2)])
    assert ledger.partitions.get("levels", 1, "2024-03-01").rows == 2


@pytest.mark.postgres
def test_f187_postgres_ends_the_stopped_writer_s_transaction_and_the_others_go_on(postgres_url):
    with Ledger.open(postgres_url) as ledger, stopped_writer(postgres_url) as child:

        def is_recorded() -> bool:
            try:
                ledger.partitions.record([published(2)])
            except LedgerUnavailable:
                return False
            return True

        until(is_recorded, WAIT_S * bounds.IDLE_TIMES + WAIT_S + SLACK_S)
        child.send_signal(signal.SIGCONT)
        assert child.stdout.readline().startswith("refused The ledger at postgresql+psycopg://")
        assert ledger.partitions.get("levels", 1, "2024-03-01").rows == 2
        assert len(ledger.partitions.history("levels", 1, "2024-03-01")) == 1


@pytest.mark.postgres
def test_f187_several_locks_together_are_waited_for_no_longer_than_one(postgres_url):
    released = threading.Event()
    with Ledger.open(postgres_url) as ledger:
        engine = make_engine(postgres_url)
        with engine.connect() as first, engine.connect() as second:
            one_after_the_other(first, "a")
            one_after_the_other(second, "b")
            timer = threading.Timer(WAIT_S * 0.75, lambda: (first.rollback(), released.set()))
            timer.start()
            began = time.monotonic()
            with pytest.raises(LedgerUnavailable, match="lock timeout"), ledger.database.writing("a", "b"):
                pass
            assert time.monotonic() - began < WAIT_S + 0.7
            timer.join()
            assert released.is_set(), "the second lock was waited for, too"
        engine.dispose()


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def online(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'online.db'}"
    return str(request.getfixturevalue("postgres_url"))


def level(value: float) -> pa.Table:
    moment = pa.array([datetime(2024, 3, 1, 12, tzinfo=UTC)], pa.timestamp("us", tz="UTC"))
    return pa.table({"station": ["a"], "level": [value], "event_time": moment, "available_time": moment})


def test_f187_a_push_waits_for_a_stopped_one_as_long_as_promised(online):
    store = OnlineStore(online)
    store.push(VIEW, level(1.0), "run-1")
    engine = create_engine(online)
    with engine.connect() as holder:
        if engine.dialect.name == "sqlite":
            holder.exec_driver_sql("BEGIN IMMEDIATE")
        holder.execute(text("UPDATE online_features SET run_id = 'stopped'"))
        began = time.monotonic()
        with pytest.raises(OnlineStoreUnusable, match=r"timeout|locked"):
            store.push(VIEW, level(2.0), "run-2")
        assert time.monotonic() - began < WAIT_S + SLACK_S
        assert store.read(VIEW, [("a",)])[0].features == {"level": 1.0}, "readers are not kept waiting"
    engine.dispose()
    store.push(VIEW, level(2.0), "run-2")
    assert store.read(VIEW, [("a",)])[0].features == {"level": 2.0}


@pytest.mark.postgres
def test_f187_a_source_table_that_somebody_alters_is_waited_for_as_long_as_promised(postgres_url):
    engine = create_engine(postgres_url)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE readings (level double precision)"))
    with engine.connect() as holder:
        holder.execute(text("LOCK TABLE readings IN ACCESS EXCLUSIVE MODE"))
        began = time.monotonic()
        with pytest.raises(source.SourceUnreachable, match="timeout"):
            source.extract(postgres_url, SourceTable(table="readings"), DAY, DAY.end, pace=source.Pace(attempts=1))
        assert time.monotonic() - began < WAIT_S + SLACK_S
    engine.dispose()


@pytest.mark.postgres
def test_a_long_read_of_a_source_is_not_cut_as_long_as_each_page_comes(postgres_url):
    engine = create_engine(postgres_url)
    with engine.begin() as connection:
        connection.execute(
            text(
                "CREATE VIEW slow AS SELECT g AS level, pg_sleep(0.1) IS NULL AS slept FROM generate_series(1, 40) AS g"
            )
        )
    engine.dispose()
    began = time.monotonic()
    read = source.extract(
        postgres_url, SourceTable(table="slow"), DAY, DAY.end, pace=source.Pace(attempts=1, batch_rows=5)
    )
    assert read.num_rows == 40
    assert time.monotonic() - began > WAIT_S, "all of it took longer than one statement may"


@pytest.mark.postgres
def test_every_engine_on_postgres_has_every_bound_and_keeps_the_address_s_own_options(postgres_url):
    names = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "search_path")
    schema = make_url(postgres_url).query["options"].removeprefix("-csearch_path=")
    for engine in (make_engine(postgres_url), engines.new_engine(postgres_url), reading.engine_of(postgres_url)):
        with engine.connect() as connection:
            shown = [connection.execute(text(f"SHOW {name}")).scalar() for name in names]
            driver = connection.connection.driver_connection
            assert shown == ["2s", "2s", "4s", schema]
            parameters = driver.info.get_parameters()
        engine.dispose()
        assert {name: parameters[name] for name in ("keepalives_idle", "keepalives_interval", "keepalives_count")} == {
            "keepalives_idle": "15",
            "keepalives_interval": "5",
            "keepalives_count": "3",
        }
        assert parameters["tcp_user_timeout"] == "30000"
        assert parameters["connect_timeout"] == "10"


@pytest.mark.postgres
def test_what_the_address_says_is_stronger(postgres_url):
    own = make_url(postgres_url).update_query_dict({"options": "-c lock_timeout=7s", "connect_timeout": "3"})
    engine = make_engine(own.render_as_string(hide_password=False))
    with engine.connect() as connection:
        assert connection.execute(text("SHOW lock_timeout")).scalar() == "7s"
        assert connection.execute(text("SHOW statement_timeout")).scalar() == "2s"
        assert connection.connection.driver_connection.info.get_parameters()["connect_timeout"] == "3"
    engine.dispose()


def test_a_server_that_takes_the_connection_and_says_nothing_is_given_up(monkeypatch):
    monkeypatch.setattr(bounds, "CONNECT_S", 2)
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        url = f"postgresql+psycopg://u:secret@127.0.0.1:{silent.getsockname()[1]}/none"
        began = time.monotonic()
        with pytest.raises(LedgerUnavailable) as refused:
            Ledger.open(url)
        assert time.monotonic() - began < 2 * 2 + SLACK_S
        assert "secret" not in str(refused.value)


@pytest.mark.parametrize("given", ["0", "-1", "half a minute", "1e3", "999999999", "٣"])
@pytest.mark.parametrize("name", ["SLIPWAY_DATABASE_TIMEOUT_S", "SLIPWAY_SOURCE_TIMEOUT_S"])
def test_a_setting_that_is_no_number_of_seconds_is_refused_by_name(monkeypatch, name, given):
    monkeypatch.setenv(name, given)
    with pytest.raises(BadField, match=rf"{name} is .* give whole seconds from 1 to 86400"):
        bounds.database_s() if "DATABASE" in name else bounds.source_s()


def test_without_a_setting_the_documented_waits_hold(monkeypatch):
    monkeypatch.delenv("SLIPWAY_DATABASE_TIMEOUT_S")
    monkeypatch.delenv("SLIPWAY_SOURCE_TIMEOUT_S")
    assert (bounds.database_s(), bounds.source_s()) == (30, 300)
