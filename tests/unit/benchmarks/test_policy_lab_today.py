"""The laboratory's "today" is the product's: ``slipway simulate`` comes to the same journeys and cost on one world."""

from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

from benchmarks.policy_lab.models import Shelf
from benchmarks.policy_lab.study import outcomes
from benchmarks.policy_lab.today import today
from benchmarks.policy_lab.worlds import Stream, World, make
from benchmarks.policy_lab.yardsticks import every
from include.domain.simulation.outcome import PolicyKind
from include.workflows.simulation.run import range_of, simulate
from include.workflows.simulation.settings import TableModel, declared_for, variants
from include.workflows.simulation.stream import Columns, from_frame
from include.workflows.simulation.yardsticks import Yardsticks

LOGISTIC = "sklearn.linear_model.LogisticRegression"


def as_table(stream: Stream) -> pd.DataFrame:
    counts = np.diff(stream.start)
    day = np.repeat(np.arange(stream.days), counts)
    within = np.concatenate([np.arange(c) / c for c in counts])
    frame = pd.DataFrame(stream.x, columns=[f"x{i}" for i in range(stream.x.shape[1])])
    seconds = np.round((day + 0.99 * within) * 86_400)
    frame["t"] = pd.Timestamp("2021-01-01") + pd.to_timedelta(seconds, unit="s")
    frame["y"] = stream.y.astype(int)
    return frame


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "seed"), [("creep", 1), ("creep", 2), ("turned", 0)])
def test_today_is_the_products_default_policy(kind, seed):
    """Creep's seed 0 is left out: there an incident closes at .1899 of a band up to .19 or not, by the fit's digits."""
    stream = make(World(kind, rows_a_day=60, days=330), seed)
    shelf = Shelf(stream)
    numeric = {f"x{i}": "numeric" for i in range(stream.x.shape[1])}
    past = from_frame(as_table(stream), Columns("t", "y"), numeric, classifier=True)
    model = declared_for(TableModel(LOGISTIC, {}, "y", timedelta(days=stream.delay_days)), past.stream)
    rows = past.delayed(model.label.delay)
    found = simulate(
        "world",
        variants(model, [], None),
        lambda _: rows,
        range_of(rows, model, None, None),
        yardsticks=Yardsticks((), 0, False),
    )
    by_kind = {o.kind: o for o in found.policies}
    run = today(shelf)
    assert by_kind[PolicyKind.NEVER].total_loss == pytest.approx(every(shelf, None).loss.sum(), rel=1e-4)
    assert by_kind[PolicyKind.DECLARED].retrains == run.retrains
    assert by_kind[PolicyKind.DECLARED].total_loss == pytest.approx(run.loss.sum(), rel=0.005)


@pytest.mark.slow
def test_the_default_policy_beats_a_cron_and_leaves_quiet_worlds_alone():
    """Seeds that no setting was chosen on. Before incidents, the turned world cost 1.15 of a monthly cron."""
    ratios, learned = {}, {}
    for kind in ("turned", "faded", "prior", "seasonal", "quiet"):
        found = [o for seed in (201, 202) for o in outcomes(World(kind), seed, [today]) if o.policy == "today"]
        ratios[kind] = float(np.mean([o.against_cheaper for o in found]))
        learned[kind] = max(o.learned_after_days for o in found)
        quiet = [o.against_never for o in found]
    assert max(ratios.values()) <= 1.02, ratios
    assert np.median([*ratios.values()]) <= 1.0, ratios
    assert max(quiet) <= 1.005
    assert learned["turned"] <= 21
