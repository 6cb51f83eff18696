"""A champion's reference is held against the same loss, and against no other: what is watched may be declared anew."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from include.config import ModelDeclaration, declarations
from include.domain.drift.profile import Profile
from include.domain.losses import DayLoss
from include.workflows.drift import reference as references
from include.workflows.scoring.row_values import name_of_loss

FIRST = date(2013, 5, 1)


def days(of: float, count: int = 14, first: int = 0) -> tuple[DayLoss, ...]:
    """Days of 500 rows whose mean losses go up and down around ``of``."""
    means = [of * (1 + 0.05 * (-1) ** d) for d in range(first, first + count)]
    named = [(FIRST + timedelta(days=d)).isoformat() for d in range(first, first + count)]
    return tuple(DayLoss(n, 500, 500 * m, 500 * (m * m + 0.001)) for n, m in zip(named, means, strict=True))


def watching(metric: str, tolerance: float | str = 0.01) -> ModelDeclaration:
    model = declarations().model("flight_delay")
    performance = model.drift.performance.model_copy(
        update={"metric": metric, "tolerance": tolerance, "unit": "day", "min_rows": 100}
    )
    return model.model_copy(update={"drift": model.drift.model_copy(update={"performance": performance})})


def kept(loss: str | None, of: float = 0.2) -> references.Reference:
    profile = Profile(features=(), scores=(), rows=7000, losses=days(of))
    return references.Reference(profile, {}, None, None, naive=1.5 * of, loss=loss)


def test_losses_of_the_loss_that_is_watched_are_judged():
    found = references.realised(watching("brier"), kept("brier"), days(0.2, first=14))
    assert found.out_of_band is False


def test_where_another_is_watched_since_then_nothing_is_judged_and_the_reason_names_both():
    """A Brier score of 0.2 and a log loss of 0.6 are the same model, and no rise."""
    found = references.realised(watching("log_loss"), kept("brier"), days(0.6, first=14))
    assert (found.out_of_band, found.changed_on) == (None, None)
    assert found.reason.startswith("Not judged: log_loss is watched now, and what this champion is held against was ")
    assert "measured as brier" in found.reason


def test_a_lower_loss_of_another_kind_is_not_called_quiet_either():
    found = references.realised(watching("error"), kept("log_loss", of=0.6), days(0.2, first=14))
    assert found.out_of_band is None


def test_a_version_from_before_it_was_kept_is_judged_as_it_was():
    assert references.realised(watching("brier"), kept(None), days(0.2, first=14)).out_of_band is False


def test_a_level_that_was_accepted_since_is_of_the_loss_that_is_watched():
    at_level = references.Reference(
        Profile(features=(), scores=(), rows=7000, losses=days(0.6)),
        {},
        None,
        None,
        naive=0.3,
        loss="brier",
        accepted_on="2013-05-31",
    )
    assert references.realised(watching("log_loss"), at_level, days(0.6, first=14)).out_of_band is False


def test_no_share_is_taken_of_a_gap_in_another_unit():
    band = references.band_of(watching("log_loss", "10%"), kept("brier"))
    assert (band.tolerance, band.gap) == (0.0, None)
    assert references.band_of(watching("brier", "10%"), kept("brier")).tolerance == pytest.approx(0.01)


def test_the_name_of_declared_sql_changes_with_the_sql(monkeypatch):
    model = declarations().model("flight_delay")
    assert name_of_loss(model) == model.drift.performance.metric
    declared = type("Declared", (), {"name": "lost"})()
    monkeypatch.setattr("include.workflows.scoring.row_values.watched_metric", lambda _: declared)
    texts = iter(("SELECT 1", "SELECT 1", "SELECT 2"))
    monkeypatch.setattr(type(model), "business_sql", lambda *_: next(texts))
    first, again, other = (name_of_loss(model) for _ in range(3))
    assert first == again != other
    assert first.startswith("lost (SQL ")
