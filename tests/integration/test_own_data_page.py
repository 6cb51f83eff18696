"""docs/your-own-data.md, followed block by block on a database that was not made for Slipway, of both kinds: its five
commands up to the first champion, without Airflow, and each of its pieces of SQL and YAML."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from doc_examples import examples
from foreign_shop import BOTH, shop_on
from journey_world import registry_in_memory

from include.adapters.registry import CHAMPION
from include.cli import main, parser
from include.config import loader
from include.config.settings import settings
from include.domain.intervals import Interval
from include.workflows import stores, tasks
from include.workflows.features import staging
from include.workflows.features.source_days import read as read_source
from include.workflows.services import own_past

pytestmark = pytest.mark.slow
PAGE = "docs/your-own-data.md > "
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def block(section: str) -> str:
    return examples()[PAGE + section].text


@dataclass
class Begun:
    """A project in which the page's declaring commands were run, and what they said."""

    root: Path
    said: dict[str, str]
    run: list[str]
    """The page's last command, which needs an Airflow."""

    def declare(self, view: str, text: str, sql: str) -> None:
        folder = self.root / "features" / view
        folder.mkdir(exist_ok=True)
        (folder / "view.yaml").write_text(text)
        (folder / "features.sql").write_text(sql)
        loader.declarations.cache_clear()

    def changed(self, file: str, **parts: object) -> None:
        path = self.root / file
        path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), **parts}, sort_keys=False))
        loader.declarations.cache_clear()

    def history(self, view: str, start: str, end: str) -> None:
        """As the bulk run of the view's Dag."""
        staged = tasks.materialize(view, None, {"start": start, "end": end}, f"history-{end}", NOW)
        judged = tasks.audit(staged, NOW)
        assert judged["passed"], judged["reason"]
        tasks.publish(staged, {})


@pytest.fixture(params=BOTH)
def begun(request, tmp_path, monkeypatch, capsys) -> Iterator[Begun]:
    """The commands of the page's first block as they are written, with another folder and another address."""
    with shop_on(request.param, tmp_path, days=150, orders=60) as url, registry_in_memory():
        text = block("Five commands").replace("../shop", str(tmp_path / "shop"))
        text = text.replace("postgresql+psycopg://ana:secret@db.example.org/shop", f"'{url}'")
        for name in ("SLIPWAY_SOURCE_URL", "SLIPWAY_LEDGER_URL", "SLIPWAY_ONLINE_URL", "SLIPWAY_STORE"):
            monkeypatch.delenv(name, raising=False)
        said: dict[str, str] = {}
        run: list[str] = []
        for command in re.split(r"\n|&&", text):
            words = shlex.split(command)
            if not words:
                continue
            if words[0] == ".":
                for line in Path(words[1]).read_text().splitlines():
                    named = re.fullmatch(r"export (SLIPWAY_\w+)=(.*)", line)
                    if named:
                        monkeypatch.setenv(named[1], shlex.split(named[2])[0])
                monkeypatch.setattr(loader, "ROOT", tmp_path / "shop")
                loader.declarations.cache_clear()
            elif words[1] == "new":
                assert main(words[1:]) == 0, capsys.readouterr().err
                said[words[2]] = capsys.readouterr().out
            else:
                run = words[1:]
        loader.declarations.cache_clear()
        yield Begun(tmp_path / "shop", said, run)
        loader.declarations.cache_clear()


def test_the_five_commands_lead_to_a_first_champion_that_scores_the_next_day(begun, capsys):
    assert main(["validate"]) == 0, capsys.readouterr().out
    assert f"`slipway {' '.join(begun.run)}`" in begun.said["model"], "the page's days are those that are printed"
    asked = parser().parse_args(begun.run)
    these = own_past.chosen(asked.model or ())
    plan = own_past.plan_of(these, asked.start, asked.end, asked.history_from)
    for view in these.views:
        begun.history(view.ref, plan.history_from, plan.start)
    conf = {"as_of": plan.start, "reason": "first champion"}
    reference = dict(tasks.open_journey("late_order", "first", "manual", conf, NOW, "ada"))
    model = loader.declarations().model("late_order")

    def passes(step: str) -> None:
        for gate in tasks.gates_after(model, step):
            judged = tasks.judge(gate)(reference, NOW)
            assert judged["passed"], judged["table"]

    tasks.build_training_set(reference)
    passes("build_training_set")
    tasks.train(reference)
    tasks.evaluate(reference)
    passes("evaluate")
    tasks.register_challenger(reference, NOW)
    passes("register_challenger")
    tasks.open_shadow_window(reference)
    assert tasks.judge("shadow_gate")(reference, NOW)["passed"]
    tasks.promote(reference, NOW)
    assert tasks.close_journey(reference)["state"] == "champion"
    assert stores.registry().alias("late_order", CHAMPION) == 1
    begun.history("orders", plan.start, "2024-03-21")
    assert tasks.score("late_order", "2024-03-20T00:00:00", "score-1")["facts"]["rows"] == 60


def test_the_trailing_window_is_valid_right_for_a_day_and_a_range_and_read_by_the_model(begun, capsys):
    begun.declare("customer_record", block("Trailing windows"), block("Trailing windows > 2"))
    begun.changed("models/late_order/model.yaml", **yaml.safe_load(block("Trailing windows > 3")))
    assert main(["validate"]) == 0, capsys.readouterr().out
    view = loader.declarations().view("customer_record")

    def rows(start: str, end: str):
        interval = Interval.between(start, end)
        return staging.computed(view, interval, read_source(view, interval, interval.end)).rows.to_pylist()

    alone = rows("2024-03-01", "2024-03-02")
    assert len(alone) > 100
    assert [row for row in rows("2024-02-01", "2024-03-10") if row["day"] == alone[0]["day"]] == alone
    begun.history("customer_record", "2024-01-01", "2024-03-20")


def test_a_label_of_what_did_not_happen_is_dated_by_the_end_of_its_time(begun, capsys):
    (begun.root / "models/late_order/label.sql").write_text(block("How to date a label"))
    declared = yaml.safe_load((begun.root / "models/late_order/model.yaml").read_text())
    for each in declared["label"]["source"]:
        del each["known"]
    begun.changed("models/late_order/model.yaml", label=declared["label"])
    assert main(["validate"]) == 0, capsys.readouterr().out


def test_a_table_without_a_time_is_joined_in_a_view_that_has_one(begun, capsys):
    begun.changed("features/orders/view.yaml", **yaml.safe_load(block("No natural time")))
    (begun.root / "features/orders/features.sql").write_text(block("No natural time > 2"))
    begun.changed(
        "models/late_order/model.yaml", views=[{"view": "orders", "features": ["channel", "amount", "segment"]}]
    )
    assert main(["validate"]) == 0, capsys.readouterr().out
    begun.history("orders", "2024-01-01", "2024-01-08")


def test_nothing_is_written_to_the_database(begun):
    from sqlalchemy import create_engine, inspect

    engine = create_engine(settings().source_url)
    begun.history("orders", "2024-01-01", "2024-01-08")
    assert set(inspect(engine).get_table_names()) == {"Orders", "customers", "sizes"}
    engine.dispose()
