"""What is so of a model: the colour of its page and of its line, worst first."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from include.adapters.ledger import IncidentRecord, JudgedRisk
from include.domain.incident import Stage
from include.domain.incident_log import IncidentCause
from include.domain.promotion import Epoch, EpochKind
from include.workflows.pages.standing import STATES, standings

AT = datetime(2013, 6, 1, tzinfo=UTC)
CHAMPION = Epoch("m", 1, EpochKind.BOOTSTRAP, None, "m-1", "1", "d", AT, "journey", "the first", "r", {}, AT)
ROLLED = replace(CHAMPION, revision=3, kind=EpochKind.ROLLBACK, reason="late flights missed")
OPEN = IncidentRecord(
    "m-1", "m", IncidentCause.PERFORMANCE, "2013-06-03", "m-1", Stage.OPEN, "2013-06-03", 1, {}, None, None, None, AT
)
RECOVERING = replace(OPEN, stage=Stage.RECOVERING)
BEFORE = "2013-05-31"


def risk(flag: bool | None, day: str = "2013-06-04") -> JudgedRisk:
    return JudgedRisk(day, "brier", flag, 0.19, 0.17, 0.01, "as measured")


def found(champion=CHAMPION, flag: bool | None = False, *, incidents=(), waits="", late=(), day="2013-06-04"):
    return standings(champion, [risk(flag, day)], incidents, waits, late)


@pytest.mark.parametrize(
    ("given", "tone", "words"),
    [
        pytest.param({}, "good", ["in its band"], id="in its band"),
        pytest.param({"flag": None}, "", ["not judged"], id="not judged is never green"),
        pytest.param({"champion": None}, "", ["no champion"], id="nothing serves"),
        pytest.param({"flag": True}, "waits", ["out of its band"], id="out of its band"),
        pytest.param({"incidents": [OPEN]}, "bad", ["incident open", "in its band"], id="an incident"),
        pytest.param(
            {"incidents": [replace(OPEN, acknowledged_by="ann")], "flag": True},
            "waits",
            ["incident open", "out of its band"],
            id="an incident that somebody looks at",
        ),
        pytest.param(
            {"incidents": [RECOVERING]},
            "waits",
            ["incident open", "in its band"],
            id="healing",
        ),
        pytest.param({"waits": "A gate asks"}, "waits", ["waits for a person", "in its band"], id="a person is asked"),
        pytest.param({"late": ["weather is late"]}, "waits", ["late", "in its band"], id="features are late"),
        pytest.param({"champion": ROLLED, "flag": None}, "waits", ["rolled back", "not judged"], id="rolled back"),
        pytest.param({"champion": ROLLED, "day": BEFORE}, "waits", ["rolled back", "in its band"], id="and before"),
        pytest.param({"champion": ROLLED}, "good", ["in its band"], id="rolled back, and judged in its band since"),
    ],
)
def test_the_colour_is_that_of_the_worst_and_everything_is_named(given, tone, words):
    standing = found(**given)
    assert [each.word for each in standing] == words
    assert standing[0].tone == tone
    assert all(each.word in STATES and each.why for each in standing)


def test_a_model_without_a_report_is_not_judged_and_says_so():
    (only,) = standings(CHAMPION, [], [], "", ())
    assert (only.word, only.tone, only.verdict, only.why) == ("not judged", "", "NONE", "No day was judged yet.")
