"""From a database's address to declarations that are valid at once: ``slipway new project``, ``source``, ``view`` and
``model``, on a database that others made."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from foreign_shop import BOTH, shop_on

from include.cli import main
from include.config import loader
from include.config.settings import PROJECT, settings
from include.domain.intervals import Interval
from include.workflows.features import staging
from include.workflows.features.source_days import read as read_source


@pytest.fixture(scope="module", params=BOTH)
def shop(request, tmp_path_factory) -> Iterator[str]:
    with shop_on(request.param, tmp_path_factory.mktemp("shop")) as url:
        yield url


@pytest.fixture
def project(tmp_path, monkeypatch) -> Path:
    """An empty project, as a shell that read its environment has it."""
    assert main(["new", "project", str(tmp_path / "shop")]) == 0
    monkeypatch.delenv("SLIPWAY_SOURCE_URL", raising=False)
    monkeypatch.setenv("SLIPWAY_HOME", str(tmp_path / "shop/.slipway"))
    monkeypatch.setenv("SLIPWAY_DECLARATIONS", str(tmp_path / "shop"))
    monkeypatch.setattr(loader, "ROOT", tmp_path / "shop")
    loader.declarations.cache_clear()
    yield tmp_path / "shop"
    loader.declarations.cache_clear()


@pytest.fixture
def said(capsys):
    """Runs a command that does what it is asked for, and gives what it said."""

    def run(*words: str) -> str:
        capsys.readouterr()
        code = main(["new", *words])
        told = capsys.readouterr()
        assert code == 0, told.err
        return told.out

    return run


@pytest.fixture
def refused(capsys):
    """Runs a command that is refused, and gives the one line that says why."""

    def run(*words: str, code: int = 64) -> str:
        capsys.readouterr()
        assert main(["new", *words]) == code
        told = capsys.readouterr().err.strip()
        assert len(told.splitlines()) == 1
        assert "SLIPWAY_DEBUG" not in told
        return told

    return run


class TestNewProject:
    def test_its_environment_is_what_a_shell_needs(self, project):
        text = (project / "slipway.env").read_text()
        assert f"SLIPWAY_DECLARATIONS={project}" in text
        assert f"SLIPWAY_HOME={project}/.slipway" in text
        assert "export PATH=" in text

    def test_a_folder_with_something_in_it_is_left_alone(self, project, refused):
        assert "is there already and is not empty" in refused("project", str(project))

    def test_the_address_of_the_database_is_not_for_git(self, project):
        assert "database.url" in (project / ".gitignore").read_text()


class TestNewSource:
    def test_it_lists_tables_with_rows_keys_times_and_types(self, shop, project, said):
        told = said("source", shop)
        assert "Orders: 1,560 rows" in told
        assert "key: OrderID (the table's primary key)" in told
        assert "event time: `placedAt` (guessed from its type and name; others: updated_at, deliveredAt" in told
        assert "with zone, 2024-01-01 00:00 to 2024-02-29" in told
        assert "amount number, order integer" in told

    def test_a_table_without_a_time_says_so(self, shop, project, said):
        told = said("source", shop, "--table", "sizes")
        assert "key: none found, say --key" in told
        assert "event time: none" in told

    def test_a_guess_is_called_one_in_the_file(self, shop, project, said):
        said("source", shop)
        tables = {each["table"]: each for each in yaml.safe_load((project / "source.yaml").read_text())["tables"]}
        assert tables["Orders"] == {"table": "Orders", "keys": ["OrderID"], "time": "placedAt", "guessed": ["time"]}
        assert tables["sizes"] == {"table": "sizes"}

    def test_the_address_is_the_projects_from_then_on_and_its_owners_alone(self, shop, project, said):
        said("source", shop)
        assert settings().source_url == shop
        assert stat.S_IMODE((project / "database.url").stat().st_mode) == 0o600

    def test_what_the_shell_says_comes_first_and_that_is_told(self, shop, project, said, monkeypatch):
        monkeypatch.setenv("SLIPWAY_SOURCE_URL", "sqlite:////elsewhere.db")
        assert "SLIPWAY_SOURCE_URL of this shell is sqlite:////elsewhere.db and comes first" in said("source", shop)

    def test_the_demonstration_is_left_alone(self, shop, refused, monkeypatch):
        monkeypatch.setattr(loader, "ROOT", PROJECT / "include")
        assert "works with the demonstration" in refused("source", shop)

    @pytest.mark.parametrize(
        ("url", "line"),
        [
            pytest.param("sqlite:////no/such.db", "there is no file /no/such.db", id="no such database"),
            pytest.param("mysql://ana:secret@db/x", "its driver MySQLdb is not installed", id="no driver"),
            pytest.param("nonsense", "which is no SQLAlchemy URL", id="no address"),
        ],
    )
    def test_a_database_that_does_not_answer_is_one_line(self, project, refused, url, line):
        told = refused("source", url, code=69)
        assert line in told
        assert "secret" not in told
        assert not (project / "source.yaml").exists()


@pytest.fixture
def begun(shop, project, said) -> Path:
    """A project that knows its source."""
    said("source", shop)
    return project


class TestNewView:
    def test_it_is_valid_at_once_and_says_how_each_part_was_come_by(self, begun, said, capsys):
        told = said("view", "orders", "--from-table", "Orders", "--without", "wasLate")
        assert "key: `OrderID` (the table's primary key)" in told
        assert "event time: `placedAt` (guessed from its type and name" in told
        assert "available time: `placedAt` (guessed: no column says when a row was known" in told
        assert "features: channel categorical, amount numeric, order numeric, isGift boolean" in told
        assert "left out: note (text with 1,560 values in 1,560 rows)" in told
        assert main(["validate"]) == 0
        assert "note:" not in capsys.readouterr().out

    def test_a_day_has_the_same_rows_alone_as_within_a_range_and_each_its_own_time(self, begun, said):
        said("view", "orders", "--from-table", "Orders")
        view = loader.read_declarations(begun).view("orders")

        def rows(start: str, end: str):
            interval = Interval.between(start, end)
            return staging.computed(view, interval, read_source(view, interval, interval.end)).rows

        whole, alone = rows("2024-01-08", "2024-01-13"), rows("2024-01-10", "2024-01-11")
        assert (whole.num_rows, alone.num_rows) == (150, 30)
        of_day = [row for row in whole.to_pylist() if row["day"] == alone.to_pylist()[0]["day"]]
        assert of_day == alone.to_pylist()
        assert len({row["event_time"] for row in of_day}) == 30

    def test_what_a_person_says_is_no_guess(self, begun, said):
        told = json.loads(said("view", "x", "--from-table", "Orders", "--event-time", "deliveredAt", "--json"))
        assert told["event_time"] == {"columns": ["deliveredAt"], "how": "as you say", "guess": False}
        assert told["key"]["guess"] is False

    def test_what_was_corrected_in_the_file_is_taken_and_no_guess(self, begun, said):
        file = begun / "source.yaml"
        file.write_text(file.read_text().replace("time: placedAt", "time: updated_at").replace("[time]", "[]", 1))
        assert "event time: `updated_at` (as source.yaml says)" in said("view", "x", "--from-table", "Orders")

    def test_columns_that_may_come_later_are_named(self, begun, said):
        told = said("view", "x", "--from-table", "Orders")
        assert "not always filled in: wasLate (3% missing)" in told
        assert "`updated_at` says that rows change" in told

    @pytest.mark.parametrize(
        ("words", "line"),
        [
            (["x", "--from-table", "orders"], "The source has no table 'orders'; it has: "),
            (["x", "--from-table", "sizes"], "declares no primary key, and no column looks like one"),
            (["x", "--from-table", "sizes", "--key", "box"], "sizes has no column of times"),
            (
                ["x", "--from-table", "Orders", "--event-time", "amount"],
                "which is number and no time; times are: placed",
            ),
            (["x", "--from-table", "Orders", "--event-time", "placedat"], "Did you mean 'placedAt'?"),
            (["x", "--from-table", "Orders", "--starts", "2024-13-01"], "--starts is '2024-13-01'"),
            (["x", "--from-table", "Orders", "--key", "nr"], "--key is 'nr', and Orders has no such column"),
            (["X y", "--from-table", "Orders"], "is no name for a view"),
            (["x"], "needs --from-table TABLE"),
            (["x", "--from-table", "Orders", "--label", "amount"], "--label is of `slipway new model`"),
        ],
        ids=lambda each: " ".join(each) if isinstance(each, list) else "",
    )
    def test_a_mistake_is_one_line_and_writes_nothing(self, begun, refused, words, line):
        assert line in refused("view", *words)
        assert list((begun / "features").iterdir()) == []


@pytest.fixture
def with_view(begun, said) -> Path:
    said("view", "orders", "--from-table", "Orders")
    return begun


class TestNewModelFromAView:
    @pytest.mark.parametrize(
        ("label", "task"), [("wasLate", "binary"), ("amount", "regression"), ("channel", "multiclass")]
    )
    def test_it_is_valid_at_once_whatever_is_predicted(self, with_view, said, capsys, label, task):
        told = json.loads(said("model", "m", "--from-view", "orders", "--label", label, "--json"))
        assert told["task"] == task
        assert label not in told["features"]
        assert main(["validate"]) == 0, capsys.readouterr().out
        assert "note:" not in capsys.readouterr().out

    def test_delay_and_windows_are_measured_and_the_command_that_runs_it_is_told(self, with_view, said):
        told = said("model", "late", "--from-view", "orders", "--label", "wasLate")
        assert "label known: `deliveredAt` (guessed from its type and name" in told
        assert "label delay: 4d (measured: 99 of 100 of the newest" in told
        assert "windows: 28 days learned, 9 held out (guessed: 26 rows a day)" in told
        assert "`wasLate` is a feature of orders, too" in told
        assert "`slipway run --from 2024-02-12 --to 2024-02-26`" in told

    @pytest.mark.parametrize(
        ("words", "line"),
        [
            ([], "Which column is the outcome? Say --label COLUMN, of: customerId, channel"),
            (["--label", "placedAt"], "which is a key or a time and no outcome"),
            (["--label", "note"], "a text of 1,560 values, which are too many classes"),
            (["--label", "wasLate", "--label-known", "placedAt"], "the time of the event itself"),
            (["--label", "wasLate", "--task", "regression"], "wasLate is boolean and no number"),
            (["--label", "amount", "--task", "binary"], "say multiclass"),
            (["--label", "waslate"], "Did you mean 'wasLate'?"),
        ],
        ids=lambda each: " ".join(each) if isinstance(each, list) else "",
    )
    def test_a_mistake_is_one_line_and_writes_nothing(self, with_view, refused, words, line):
        assert line in refused("model", "m", "--from-view", "orders", *words)
        assert list((with_view / "models").iterdir()) == [with_view / "models/tiers.yaml"]

    def test_a_misspelt_view_is_told(self, with_view, refused):
        assert "Did you mean 'orders'?" in refused("model", "m", "--from-view", "ordrs", "--label", "wasLate")
