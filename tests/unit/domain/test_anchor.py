"""The champion that small losses are counted from."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from scipy import stats

from include.domain.attempts import FIRST, Attempts
from include.domain.day_means import DaySpread
from include.domain.gates import ChampionRules, ComparisonRule, Evidence, champion, champion_gate
from include.domain.gates.anchor import NO_ANCHOR, AnchorEvidence, AnchorStep, anchor_of
from include.domain.metrics import Task
from include.domain.verdicts import CriterionResult, GateResult, Mode, Verdict

START, SERIES, MARGIN = datetime(2013, 1, 1, tzinfo=UTC), 500, 1.0
RULES = ChampionRules((ComparisonRule("mae", 0.1),), "mae", min_rows=100)


def champions(*moved: bool, days: int = 30) -> list[AnchorStep]:
    return [AnchorStep(f"c{n}", START + timedelta(days=n * days), each) for n, each in enumerate(moved)]


def test_a_champion_that_was_not_shown_to_be_better_moves_nothing():
    crept = champions(True, False, False)
    assert anchor_of(crept, START + timedelta(days=90)) == "c0"


def test_one_that_was_shown_to_be_better_is_the_anchor_from_then_on():
    assert anchor_of(champions(True, True, False), START + timedelta(days=90)) == "c1"


def test_after_a_year_the_champion_of_a_year_ago_is_the_anchor():
    crept = champions(True, *[False] * 5, days=100)
    assert anchor_of(crept, START + timedelta(days=365 + 199)) == "c1"
    assert anchor_of(crept, START + timedelta(days=365 + 200)) == "c2"


def test_without_a_champion_there_is_none():
    assert anchor_of([], START) is None


def judged(
    candidate: float,
    champion: float,
    anchor: float | None,
    *,
    attempts: Attempts = FIRST,
    tried: int = 1,
    rules: ChampionRules = RULES,
    apart: float = 0.02,
) -> GateResult:
    """Models with these mean errors on 28 days of 50 rows; days of the anchor differ by ``apart``."""
    rng = np.random.default_rng(5)
    day = np.repeat(np.arange(28), 50)
    y = np.zeros(len(day))

    def errors(size: float, apart: float = 0.02) -> np.ndarray:
        return size + apart * rng.standard_normal(28)[day] + 0.2 * rng.standard_normal(len(day))

    def evidence(other: float, apart: float = 0.02) -> Evidence:
        return Evidence(Task.REGRESSION, y, ours, errors(other, apart), np.full(len(day), 5.0), day)

    ours = errors(candidate)
    seen = NO_ANCHOR if anchor is None else AnchorEvidence("c0", evidence(anchor, apart), attempts=tried)
    return champion_gate(
        rules, evidence(champion), mode=Mode.BLOCKING, has_champion=True, attempts=attempts, anchor=seen
    )


def test_a_candidate_within_the_margin_of_the_champion_and_beyond_it_from_the_anchor_is_stopped():
    found = judged(1.15, 1.1, 1.0)
    by_name = {c.criterion: c for c in found.criteria}
    assert (by_name["mae"].verdict, by_name["anchor mae"].verdict) == (Verdict.PASS, Verdict.FAIL)
    assert "against the anchor's" in by_name["anchor mae"].reason
    assert "The anchor is c0" in by_name["anchor mae"].reason
    assert judged(1.15, 1.1, 1.12).verdict is Verdict.PASS


class TestACandidateThatAnAlarmAskedFor:
    """It must gain on a champion that does harm. That it cannot be shown to be as good as the anchor is then no reason
    to go on serving the worse of the two."""

    ALARM = RULES.gaining("mae")

    def anchored(self, *errors: float, rules: ChampionRules = ALARM) -> CriterionResult:
        found = judged(*errors, rules=rules, apart=0.6)
        return next(c for c in found.criteria if c.criterion == "anchor mae")

    def test_shown_to_gain_on_the_champion_it_is_stopped_only_where_it_is_shown_to_be_worse_than_the_anchor(self):
        passed, stopped = self.anchored(1.1, 1.5, 0.95), self.anchored(1.1, 1.5, 0.3)
        assert passed.verdict is Verdict.PASS
        assert passed.high > 0.1 >= passed.low
        assert passed.allowed == "not shown to be worse than champion by > 0.1"
        assert passed.reason.endswith("It is shown to be better than the champion, so this does not stop it.")
        assert (stopped.verdict, stopped.low > 0.1) == (Verdict.FAIL, True)

    def test_without_an_alarm_the_anchor_must_be_met_however_much_better_than_the_champion_it_is(self):
        assert self.anchored(1.1, 1.5, 0.95, rules=RULES).verdict is Verdict.INCONCLUSIVE

    def test_a_gain_that_is_only_measured_excuses_nothing(self):
        undated = RULES.gaining("mae", dated=False)
        assert self.anchored(1.1, 1.5, 0.95, rules=undated).verdict is Verdict.INCONCLUSIVE

    def test_nor_does_one_that_is_not_shown(self):
        assert self.anchored(1.1, 1.1, 0.95).verdict is Verdict.INCONCLUSIVE

    def test_an_anchor_that_was_not_asked_stays_no_evidence(self):
        days = np.arange(200) % 10
        on = Evidence(
            Task.REGRESSION, np.zeros(200), np.ones(200) + 0.01 * days, np.full(200, 1.5), np.full(200, 5.0), days
        )
        found = champion_gate(
            self.ALARM,
            on,
            mode=Mode.BLOCKING,
            has_champion=True,
            anchor=AnchorEvidence("c0", missing="its file is gone"),
        )
        asked = next(c for c in found.criteria if c.criterion == "anchor comparison")
        assert asked.verdict is Verdict.INCONCLUSIVE

    def test_the_anchor_stays_where_it_was(self):
        found = judged(1.1, 1.5, 0.95, rules=self.ALARM, apart=0.6)
        assert found.notes["anchor"]["moves"] is False


def test_where_the_champion_is_the_anchor_nothing_is_added():
    assert [c.criterion for c in judged(1.0, 1.0, None).criteria] == ["mae", "baseline mae"]


def test_the_anchor_moves_to_what_is_shown_to_be_better_than_it():
    assert judged(0.8, 1.0, None).notes["anchor"]["moves"] is True
    assert judged(1.0, 1.0, None).notes["anchor"]["moves"] is False
    assert judged(0.8, 1.1, 1.0).notes["anchor"]["moves"] is True
    assert judged(1.05, 1.2, 1.05).notes["anchor"]["moves"] is False, "better than the champion is not enough"


def test_the_first_champion_is_an_anchor():
    rows = np.zeros(200)
    evidence = Evidence(Task.REGRESSION, rows, rows + 1, None, rows + 5, np.arange(200) % 10)
    first = champion_gate(RULES, evidence, mode=Mode.BLOCKING, has_champion=False)
    assert first.notes["anchor"] == {"candidate": None, "attempts": 1, "moves": True}


def test_the_anchor_moves_only_where_every_metric_is_shown_to_be_better_than_equal():
    def compared(high: float | None) -> CriterionResult:
        return CriterionResult("mae", Verdict.PASS, 1.0, "", 200, "", high=high)

    def moves(*high: float | None) -> bool:
        return champion._all_better([compared(each) for each in high])

    assert moves(-0.1, -0.2)
    assert not moves(-0.1, 0.1)
    assert not moves(0.0)
    assert not moves(None)


def test_a_candidate_that_is_the_anchor_itself_is_not_compared_with_it():
    rows, days = np.zeros(200), np.arange(200) % 10
    on = Evidence(Task.REGRESSION, rows, rows + 1, rows + 1.5, rows + 5, days)
    itself = AnchorEvidence("c0", Evidence(Task.REGRESSION, rows, rows + 1, rows + 1, None, days))
    found = champion_gate(RULES, on, mode=Mode.BLOCKING, has_champion=True, anchor=itself)
    assert [c.criterion for c in found.criteria] == ["mae", "baseline mae"]


def test_an_anchor_that_could_not_be_asked_is_no_evidence_and_named():
    found = champion_gate(
        RULES,
        Evidence(
            Task.REGRESSION, np.zeros(200), np.ones(200), np.full(200, 1.5), np.full(200, 5.0), np.arange(200) % 10
        ),
        mode=Mode.BLOCKING,
        has_champion=True,
        anchor=AnchorEvidence("c0", missing="its file is gone"),
    )
    asked = next(c for c in found.criteria if c.criterion == "anchor comparison")
    assert (asked.verdict, asked.rows, asked.measured) == (Verdict.INCONCLUSIVE, 0, None)
    assert "c0, the anchor that small losses are counted from, was not compared with: its file is gone" in asked.reason
    assert found.notes["anchor"]["moves"] is False


def test_each_candidate_against_one_anchor_has_less_of_alpha_and_never_more_than_its_days_have():
    def alpha(**given: object) -> float:
        return float(judged(1.0, 1.0, 1.0, **given).notes["comparisons"]["anchor mae"]["alpha"])  # type: ignore[arg-type]

    assert [alpha(), alpha(tried=4)] == pytest.approx([0.05, 0.0125])
    assert alpha(attempts=Attempts(2), tried=4) == pytest.approx(0.05 / 8)


@pytest.mark.slow
@pytest.mark.parametrize("lag", [0.2, 0.5])
def test_twenty_six_candidates_each_a_little_worse_end_within_the_margin_in_nineteen_series_of_twenty(lag):
    """Each 0.4 margins worse than its champion; without the anchor all but one in a hundred end beyond."""
    rng, beyond = np.random.default_rng([49, int(10 * lag)]), [0, 0]

    def high(mean: float, z: np.ndarray, alpha: float) -> float:
        seen = mean + 1.2 * z
        spread = DaySpread.of(seen - seen.mean())
        return float(seen.mean()) + spread.half(alpha, upper=True) if spread.why_too_few is None else np.inf

    def days() -> np.ndarray:
        z = rng.standard_normal(14)
        for i in range(1, 14):
            z[i] = lag * z[i - 1] + np.sqrt(1 - lag * lag) * z[i]
        return z

    for _ in range(SERIES):
        level, free, tried, anchor = 0.0, 0.0, None, 0.0
        for _ in range(26):
            z, other = days(), days()
            worse = high(0.4, z, 0.05)
            free += 0.4 * (worse <= MARGIN)
            passes, moves = worse <= MARGIN, worse < 0
            if tried is not None:
                tried += 1
                apart = high(level + 0.4 - anchor, 0.5 * z + np.sqrt(0.75) * other, 0.05 / tried)
                passes, moves = passes and apart <= MARGIN, apart < 0
            if passes:
                level += 0.4
                anchor, tried = (level, None) if moves else (anchor, tried or 0)
        beyond = [n + over for n, over in zip(beyond, (level > MARGIN, free > MARGIN), strict=True)]
    most = stats.binom.ppf(0.995, SERIES, 0.05)
    assert beyond[0] <= most < stats.binom.ppf(0.05, SERIES, 0.1), "twice the promise would be seen"
    assert beyond[1] >= 0.95 * SERIES
