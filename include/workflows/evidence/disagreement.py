"""Where challenger and champion answered differently in the shadow window, small enough for a page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from include.domain.errors import Refusal
from include.domain.intervals import Interval
from include.workflows.journey.facts import Apart, Disagreement
from include.workflows.journey.step import Journey
from include.workflows.scoring import point_in_time_rows
from include.workflows.scoring.request_ids import request_ids, scores_in

if TYPE_CHECKING:
    import pandas as pd

SHOWN_ROWS = 8
SHOWN_POINTS = 400
QUANTILES = (0.5, 0.9, 0.99)


def keep(journey: Journey, champion: pd.DataFrame, challenger: pd.DataFrame) -> None:
    """Keep how far apart the two are, a sample of both scores, and the rows that differ most with their features.

    Args:
        champion: logged rows by request id, in the order of ``challenger``.
        challenger: the same requests' rows.
    """
    import numpy as np

    if champion.empty:
        return
    model = journey.model
    ours, theirs = scores_in(model, challenger), scores_in(model, champion)
    apart = np.abs(ours - theirs)
    shown = 0
    if apart.ndim == 2:  # the class that moved most
        shown = int(apart.max(axis=0).argmax())
        apart = apart.max(axis=1)
        ours, theirs = ours[:, shown], theirs[:, shown]
    usable = np.flatnonzero(np.isfinite(apart))
    most = usable[np.argsort(-apart[usable], kind="stable")[:SHOWN_ROWS]]
    spread = usable[np.unique(np.linspace(0, len(usable) - 1, SHOWN_POINTS).astype(int))] if len(usable) else usable
    found = _features(journey, champion.iloc[most])
    journey.keep(
        Disagreement(
            rows=len(usable),
            mean=float(apart[usable].mean()) if len(usable) else None,
            quantiles={str(q): float(np.quantile(apart[usable], q)) for q in QUANTILES} if len(usable) else {},
            of_class=(model.label.classes or [])[shown] if model.task == "multiclass" else None,
            points=tuple((float(theirs[i]), float(ours[i])) for i in spread),
            most=tuple(
                Apart(
                    request_id=str(champion.index[i]),
                    event_time=champion["event_time"].iloc[i].isoformat(),
                    champion=float(theirs[i]),
                    challenger=float(ours[i]),
                    features=found.get(str(champion.index[i]), {}),
                )
                for i in most
            ),
        )
    )


def _features(journey: Journey, rows: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """The features of a few requests, by request id, as they were when they were scored."""
    model, found = journey.model, dict[str, dict[str, Any]]()
    for day in sorted(set(rows["event_time"].dt.strftime("%Y-%m-%d"))):
        interval = Interval.of_day(day)
        try:
            table = point_in_time_rows.features_for(model, interval, interval.end).to_pandas()
        except Refusal as refusal:
            print(f"The rows of {day} that differ most are kept without their features: {refusal}")
            continue
        ids = request_ids(model, table)
        for position, request_id in enumerate(ids):
            if request_id in rows.index:
                values = table.iloc[position]
                found[request_id] = {name: _plain(values[name]) for name in model.features}
    return found


def _plain(value: Any) -> Any:
    """A cell as JSON; what is missing is None."""
    import pandas as pd

    if pd.isna(value):
        return None
    return round(float(value), 4) if isinstance(value, (int, float)) or hasattr(value, "dtype") else str(value)
