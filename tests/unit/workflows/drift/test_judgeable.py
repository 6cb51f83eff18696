"""``slipway validate`` says what the drift sensor of a declared model can never judge."""

import json

import pytest

from include.adapters.ledger import Ledger, Partition, PartitionStatus
from include.cli import main
from include.config import ModelDeclaration, declarations
from include.config.settings import settings
from include.workflows.drift.can_judge import never_judged


def declared(**changed) -> ModelDeclaration:
    """``flight_delay`` (14 held-out days, judged from 3,000 rows on) with other values at some paths."""
    data = declarations().model("flight_delay").model_dump()
    for path, value in changed.items():
        *blocks, field = path.split("__")
        place = data
        for block in blocks:
            place = place[block]
        place[field] = value
    return ModelDeclaration.model_validate(data)


@pytest.mark.parametrize(
    ("changed", "rows", "lines"),
    [
        pytest.param({}, None, [], id="nobody knows the rows yet"),
        pytest.param({}, 900.0, [], id="enough of everything"),
        pytest.param({"drift__performance__min_rows": 12_600}, 900.0, [], id="the bound is inclusive"),
        pytest.param(
            {"drift__performance__min_rows": 20_000},
            900.0,
            [
                "drift.performance.min_rows is 20,000, but the holdout's 14 days have about 12,600 rows (900 a day), "
                "so realised performance is never judged. Set it to 10,080 or less, or training.holdout_days to 23 "
                "or more."
            ],
            id="a holdout too small",
        ),
        pytest.param(
            {"drift__inputs__min_rows": 1000, "drift__pool_days": 1},
            900.0,
            [
                "drift.inputs.min_rows is 1,000, but a day has about 900 rows, so input drift is never judged. "
                "Set it to 720 or less, or drift.pool_days to 2 or more."
            ],
            id="a day too small, and no days are pooled",
        ),
        pytest.param({"drift__inputs__min_rows": 1000}, 900.0, [], id="a day too small, and two are enough"),
        pytest.param(
            {"drift__inputs__min_rows": 100_000},
            900.0,
            [
                "drift.inputs.min_rows is 100,000, but 28 days, as many as drift.pool_days allows, have about 25,200 "
                "rows, so input drift is never judged. Set it to 20,160 or less."
            ],
            id="a pool too small",
        ),
        pytest.param(
            {"training__holdout_days": 1},
            None,
            [
                "training.holdout_days is 1, but realised performance is judged against at least 2 held-out days. "
                "Hold out 2 or more.",
                "training.holdout_days is 1, but performance is estimated against at least 6 held-out days. "
                "Hold out 6 or more, or set drift.estimated.acts to false.",
            ],
            id="one held-out day",
        ),
        pytest.param(
            {"training__holdout_days": 5, "drift__estimated__acts": False}, None, [], id="an estimate nobody acts on"
        ),
    ],
)
def test_what_can_never_be_judged_is_named_with_the_way_out(changed, rows, lines):
    assert list(never_judged(declared(**changed), rows)) == [f"flight_delay: {line}" for line in lines]


@pytest.fixture
def a_home(tmp_path, monkeypatch):
    monkeypatch.setenv("SLIPWAY_HOME", str(tmp_path))
    monkeypatch.delenv("SLIPWAY_LEDGER_URL", raising=False)
    return tmp_path


def validated(capsys) -> dict:
    assert main(["validate", "--offline", "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_validate_counts_the_published_days_and_still_succeeds(a_home, capsys):
    view = declarations().view(declarations().model("flight_delay").entity.view)
    with Ledger.open(settings().ledger_url) as ledger:
        ledger.partitions.record(
            Partition(
                view=view.name,
                view_version=view.version,
                day=f"2013-06-{day:02d}",
                status=PartitionStatus.PUBLISHED,
                rows=100,
                content_hash=f"sha256:{day}",
                code_hash="sha256:code",
                table_version=day,
                source_rows=100,
                source_watermark=None,
                run_id="features",
            )
            for day in range(1, 4)
        )
    notes = validated(capsys)["notes"]
    assert [n.partition(" is ")[0] for n in notes if n.startswith("flight_delay")] == [
        "flight_delay: drift.performance.min_rows",
    ]


def test_validate_makes_no_ledger(a_home, capsys):
    assert validated(capsys)["notes"] == []
    assert list(a_home.iterdir()) == []


def test_a_ledger_that_cannot_be_read_is_a_note(a_home, capsys):
    (a_home / "ledger.db").write_text("no database at all, and long enough to look like one", encoding="utf-8")
    (note,) = validated(capsys)["notes"]
    assert note.startswith("how many rows a day has is not known: ")
