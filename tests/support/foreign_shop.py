"""A database that was not made for Slipway: a shop's orders, with text keys, columns in mixed case, a column called
``order``, times with and without zone, days without any row, and a table without a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from databases import empty_postgres
from sqlalchemy import create_engine, text

FIRST = datetime(2024, 1, 1, tzinfo=UTC)
BOTH = ("sqlite", pytest.param("postgres", marks=pytest.mark.postgres))


@contextmanager
def shop_on(database: str, folder: Path, *, days: int = 60, orders: int = 30) -> Iterator[str]:
    """The URL of the shop's database, on either kind."""
    if database == "sqlite":
        url = f"sqlite:///{folder / 'shop.db'}"
        fill(url, days, orders)
        yield url
        return
    with empty_postgres() as url:
        fill(url, days, orders)
        yield url


def fill(url: str, days: int, orders: int) -> None:
    """Tables as a shop would make them, with ``orders`` a day but on Sundays."""
    native = url.startswith("postgresql")
    zoned, plain = ("TIMESTAMPTZ", "TIMESTAMP") if native else ("TEXT", "TEXT")
    engine = create_engine(url)
    with engine.begin() as connection:
        for statement in (
            'CREATE TABLE customers ("customerId" TEXT PRIMARY KEY, segment TEXT, "signedUp" DATE)',
            f'CREATE TABLE "Orders" ("OrderID" TEXT PRIMARY KEY, "customerId" TEXT, "placedAt" {zoned} NOT NULL, '
            f'"deliveredAt" {zoned}, channel TEXT, amount NUMERIC(10,2), "order" INTEGER, note TEXT, "isGift" BOOLEAN, '
            f'"wasLate" BOOLEAN, updated_at {plain})',
            "CREATE TABLE sizes (box INTEGER, weight REAL)",
        ):
            connection.execute(text(statement))
        customers = [
            {"a": f"C-{i:04d}", "b": ("gold", "silver", "new")[i % 3], "c": date(2023, 1, 1) + timedelta(days=i)}
            for i in range(200)
        ]
        connection.execute(text("INSERT INTO customers VALUES (:a, :b, :c)"), customers)
        rows = list(_orders(days, orders, native))
        connection.execute(text('INSERT INTO "Orders" VALUES (:a, :b, :c, :d, :e, :f, :g, :h, :i, :j, :k)'), rows)
        connection.execute(text("INSERT INTO sizes VALUES (1, 2.5), (2, 3.5)"))
    engine.dispose()


def _orders(days: int, orders: int, native: bool) -> Iterator[dict[str, Any]]:
    """An order is late the more often the more it costs, and most often by phone."""
    rng = np.random.default_rng(11)
    for day in (FIRST + timedelta(days=n) for n in range(days)):
        for k in range(orders) if day.weekday() != 6 else ():
            placed = day + timedelta(seconds=int(86400 * k / orders))
            channel, amount = ("web", "app", "phone")[int(rng.integers(3))], float(np.round(rng.gamma(2, 30), 2))
            chance = 1 / (1 + np.exp(2.4 - 2.4 * (channel == "phone") - amount / 30))
            late, known = bool(rng.random() < chance), bool(rng.random() > 0.03)
            done = placed + timedelta(hours=float(rng.uniform(20, 60)) + 30 * late)
            changed = done.replace(tzinfo=None)
            yield {
                "a": f"O-{day:%j}-{k:03d}",
                "b": f"C-{int(rng.integers(200)):04d}",
                "c": placed if native else placed.isoformat(),
                "d": None if not known else done if native else done.isoformat(),
                "e": channel,
                "f": amount,
                "g": int(rng.integers(1, 6)),
                "h": f"note of {day:%j} {k}",
                "i": bool(rng.random() < 0.1),
                "j": late if known else None,
                "k": changed if native else changed.isoformat(sep=" "),
            }
