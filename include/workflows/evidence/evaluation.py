"""Candidate, champion and a naive baseline on the same held-out rows: the evidence every offline gate judges.

The rows are newer than both training windows. The champion is loaded by the digest its gates saw; when it cannot be,
its scores are missing and the champion gate is INCONCLUSIVE, never a first deployment.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from include.adapters import estimators, files
from include.adapters.registry import VersionMissing
from include.config import ModelDeclaration
from include.config.measured_by import metrics_of, with_settings
from include.domain.curves import (
    confusion,
    precision_recall_curve,
    reliability,
    residuals,
    roc_against_rest,
    roc_curve,
    score_histogram,
)
from include.domain.gates import Evidence, RowValues
from include.domain.metrics import METRICS, Measurement, Task
from include.domain.weighted_metrics import measure_weighted
from include.workflows import stores
from include.workflows.evidence import (
    anchors,
    business,
    champion_model,
    curves_on_mlflow,
    earlier_windows,
    journey_rows,
)
from include.workflows.evidence.baselines import LabelledRows, naive_baseline
from include.workflows.evidence.version_reference import keep_reference_profile
from include.workflows.journey import fact_files, step
from include.workflows.journey.by_products import ByProducts
from include.workflows.journey.facts import (
    ROC_OF_CLASS,
    Curves,
    Evaluated,
    JourneyReference,
    TrainingSets,
)
from include.workflows.journey.step import Journey
from include.workflows.scoring import fitted_models

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

ROWS = "evaluation.parquet"
WEIGHT = "weight"
"""The column that says how much each row counts; there only where the model declares a weight."""
CLASSES_DRAWN = 12
"""How many classes have a curve of their own."""
SLICE = "slice."
"""The prefix of the names of the columns that the rows are sliced by."""


def evaluate(reference: JourneyReference) -> dict[str, Any]:
    """Score the holdout by candidate, champion and baseline; keep the scores, the curves and the reference profile."""
    import pandas as pd

    with step.step_of(reference, "evaluate") as journey:
        model, known, registry = journey.model, journey.candidate.facts, stores.registry()
        run, digest = str(known.mlflow_run_id), str(known.artifact_digest)
        features, y, days = journey_rows.frames(journey, "holdout")
        learned, trained_on, _ = journey_rows.reference_frames(journey)
        weight = journey_rows.weights(journey, "holdout")
        logged = registry.logged_model(run)
        if logged is None:
            raise VersionMissing(
                f"MLflow run {run} of {journey.candidate_id} has no model. Clear the run from train on."
            )
        pipeline = fitted_models.load_logged(registry, logged, digest)
        candidate = estimators.predict(pipeline, features, classes=model.class_count)

        head = journey.ledger.deployments.champion(model.name)
        if head is not None and head.to_candidate == journey.candidate_id:
            # The journey runs again after its promotion: it keeps the comparison it was promoted by.
            kept = journey.kept(Evaluated)
            return {"rows": kept.rows, "metrics": dict(kept.metrics), "champion": kept.champion_id}
        opponent: champion_model.Opponent | None = None
        champion, why_not = None, "the model has no champion"
        if head is not None:
            try:
                tables = _tables_read(journey, head.to_candidate)
                opponent = champion_model.load_unseeing(journey, head, tables)
                champion, why_not = opponent.scores(journey, journey.kept(TrainingSets).holdout, features), ""
            except champion_model.UNABLE as error:
                opponent, why_not = None, f"champion {head.to_candidate} could not answer: {error}"
                print(f"Not compared with the champion: {why_not}")
        sets = journey.kept(TrainingSets)
        baseline = naive_baseline(
            model,
            LabelledRows(
                learned, trained_on, journey_rows.times_of(sets.train), journey_rows.reference_weights(journey)
            ),
            LabelledRows(features, y, journey_rows.times_of(sets.holdout)),
        )

        scores: dict[str, Any] = {
            "y": y,
            "day": days.to_numpy(),
            "candidate": list(candidate),
            "baseline": list(baseline),
        }
        if champion is not None:
            scores["champion"] = list(champion)
        if weight is not None:
            scores[WEIGHT] = weight
        if model.gates.slice_gate is not None:
            columns = model.gates.slice_gate.columns
            scores |= {f"{SLICE}{name}": features[name].to_numpy() for name in columns}
        answers = {"candidate": candidate, "champion": champion, "baseline": baseline}
        anchor = anchors.score(journey, features, head)
        scores |= anchor.scores
        values: dict[str, RowValues] = {}
        if model.business_metrics:
            values = business.values_of(model, held_out_rows(journey), y, answers)
            scores |= business.as_columns(values)
        with files.whole(journey.folder / ROWS) as unfinished:
            pd.DataFrame(scores).to_parquet(unfinished)
        replayed = earlier_windows.score(journey, pipeline, head.to_candidate, opponent) if head else None
        judged = Evidence(Task(model.task), y, candidate, champion, baseline, values=values).weighted(weight)
        measured = measured_by(model, judged)
        evaluated = Evaluated(
            rows=len(y),
            champion_revision=head.revision if head else 0,
            champion_id=head.to_candidate if head else None,
            champion_missing=None if champion is not None else why_not,
            champion_tables=opponent.tables if opponent is not None else None,
            holdout=journey.kept(TrainingSets).holdout.start,
            metrics=measured,
            replay=replayed,
            anchor_id=anchor.candidate_id,
            anchor_missing=anchor.missing,
        )
        journey.keep(evaluated)
        made = ByProducts()
        profile = keep_reference_profile(journey, pipeline, features, y, answers, days, made)
        if replayed is not None and replayed.metrics:
            measured_there = "; ".join(f"{who}: {_line(values)}" for who, values in replayed.metrics.items())
            print(f"Replay rows: {replayed.rows:,}. {measured_there}")
        # Not a by-product: a machine without a copy reads the profile from there.
        registry.log_json(run, fact_files.as_json(profile), profile.FILE)
        _show_on_run_page(run, evaluated, made)
        _draw(journey, run, y, {"candidate": candidate, "champion": champion}, made)
        made.keep(journey, "evaluate")
        print(
            f"Held-out rows: {len(y):,}. "
            + "; ".join(f"{who}: {_line(values)}" for who, values in measured.items() if values)
        )
        return {"rows": len(y), "metrics": measured, "champion": head.to_candidate if head else None}


def evidence_of(journey: Journey) -> Evidence:
    """What ``evaluate`` kept, as the gates take it."""
    import numpy as np
    import pandas as pd

    journey.kept(Evaluated)
    rows = pd.read_parquet(journey.folder / ROWS)

    def scores(who: str) -> np.ndarray[Any, Any] | None:
        return np.array(rows[who].tolist(), dtype=float) if who in rows else None

    candidate = np.array(rows["candidate"].tolist(), dtype=float)
    return Evidence(
        Task(journey.model.task),
        rows["y"].to_numpy(),
        candidate,
        scores("champion"),
        scores("baseline"),
        rows["day"].to_numpy(),
        business.kept_in(journey.model, rows),
    ).weighted(rows[WEIGHT].to_numpy(dtype=float) if WEIGHT in rows else None)


def anchored_evidence(journey: Journey) -> Evidence | None:
    """The same rows with the anchor's scores in the champion's place; None where it has none."""
    import numpy as np
    import pandas as pd

    rows, model = pd.read_parquet(journey.folder / ROWS), journey.model
    if anchors.SCORES not in rows:
        return None
    candidate, anchor = (np.array(rows[who].tolist(), dtype=float) for who in ("candidate", anchors.SCORES))
    found = Evidence(Task(model.task), rows["y"].to_numpy(), candidate, anchor, days=rows["day"].to_numpy()).weighted(
        rows[WEIGHT].to_numpy(dtype=float) if WEIGHT in rows else None
    )
    return business.valued(model, held_out_rows(journey), found) if model.business_metrics else found


def held_out_rows(journey: Journey) -> pd.DataFrame:
    """The keys, ``event_time`` and features of the held-out rows, in the order of ``evidence_of``."""
    return journey_rows.known_rows(journey, journey.kept(TrainingSets).holdout)


def slice_columns(journey: Journey, names: Iterable[str]) -> dict[str, pd.Series[Any]]:
    """The values ``evaluate`` kept of these columns, by name; one it did not keep is left out."""
    import pandas as pd

    rows = pd.read_parquet(journey.folder / ROWS)
    return {name: rows[f"{SLICE}{name}"] for name in names if f"{SLICE}{name}" in rows}


def _tables_read(journey: Journey, champion_id: str) -> dict[str, int] | None:
    """The table versions this champion was read from before, so that the same evidence is judged again."""
    kept = journey.found(Evaluated)
    return kept.champion_tables if kept is not None and kept.champion_id == champion_id else None


def measured_by(model: ModelDeclaration, evidence: Evidence) -> dict[str, dict[str, float]]:
    """Every metric of the task, and those of the team's own that the gates use, of candidate, champion and baseline;
    without those that have no value."""
    found = {}
    for who in ("candidate", "champion", "baseline"):
        answers = getattr(evidence, who)
        names = [*METRICS[evidence.task], *with_settings(model)]
        measured = {} if answers is None else measured_all(evidence, answers, names)
        for metric in metrics_of(model).values():
            seen = evidence.seen_by(metric)
            if getattr(seen, who) is not None:
                measured[metric.name] = measure_weighted(seen.task, metric, seen.y, getattr(seen, who), seen.weight)
        found[who] = {name: m.value for name, m in measured.items() if m.value is not None}
    return found


def measured_all(evidence: Evidence, answers: Any, names: Iterable[str]) -> dict[str, Measurement]:
    """Each of the metrics of these answers, by the weights of the rows where they have any."""
    task, y, weight = evidence.task, evidence.y, evidence.weight
    return {name: measure_weighted(task, name, y, answers, weight) for name in names}


def _show_on_run_page(run: str, evaluated: Evaluated, made: ByProducts) -> None:
    registry, measured = stores.registry(), dict(evaluated.metrics)
    if evaluated.replay is not None:
        measured |= {f"replay_{who}": values for who, values in evaluated.replay.metrics.items()}
    metrics = {f"{who}_{as_key(name)}": value for who, values in measured.items() for name, value in values.items()}
    made.attempt("The metrics on the MLflow run", lambda: registry.log_metrics(run, metrics))
    made.attempt(
        "The facts on the MLflow run", lambda: registry.log_json(run, fact_files.as_json(evaluated), evaluated.FILE)
    )


def as_key(metric: str) -> str:
    """A metric's name with the signs that MLflow takes: ``f_beta.beta_2.threshold_0.3``.

    >>> as_key("cost(matrix=[[0, 1], [5, 0]], threshold=0.2)")
    'cost.matrix_0.1.5.0.threshold_0.2'
    """
    name, _, settings = metric.partition("(")
    return ".".join([name, *re.findall(r"[\w.]+", settings.replace("=[[", "_").replace("=", "_"))])


def _draw(journey: Journey, run: str, y: Any, scores: Mapping[str, Any], made: ByProducts) -> None:
    """The curves of candidate and champion overlaid: kept for the page of the journey, drawn for the MLflow run."""
    registry, truth = stores.registry(), y.astype(float)
    answered = {who: s for who, s in scores.items() if s is not None}
    pictures: dict[str, Callable[[], Any]] = {}
    found: dict[str, Mapping[str, Any]] = {}

    def curves_of(name: str, curve: Callable[[Any], Any], picture: Callable[[Any], Any] | None = None) -> None:
        curves = made.attempt(f"The curve {name}", lambda: {who: curve(s) for who, s in answered.items()})
        if curves is not None:
            found[name] = curves
            if picture is not None and any(c is not None for c in curves.values()):
                pictures[name] = lambda: picture(curves)

    if journey.model.task == "regression":
        unit = journey.model.label.name
        curves_of("residuals", lambda s: residuals(truth, s), lambda c: curves_on_mlflow.residual_histogram(c, unit))
    elif journey.model.task == "binary":
        curves_of("roc", lambda s: roc_curve(truth, s), curves_on_mlflow.overlaid)
        curves_of("precision_recall", lambda s: precision_recall_curve(truth, s), curves_on_mlflow.overlaid)
        curves_of("calibration", lambda s: reliability(truth, s), curves_on_mlflow.calibration)
        curves_of("scores", score_histogram)
    else:
        classes = [str(name) for name in journey.model.label.classes or []]
        for position, name in enumerate(classes[:CLASSES_DRAWN]):
            against_rest = partial(roc_against_rest, truth, position=position)
            curves_of(f"{ROC_OF_CLASS}{name}", against_rest, curves_on_mlflow.overlaid)
        curves_of("confusion", lambda s: confusion(truth, s, classes), curves_on_mlflow.confusions)
    if not found:
        return
    drawn = {name: {who: _as_json(c) for who, c in curves.items()} for name, curves in found.items()}
    made.attempt("The curves of the page", lambda: journey.keep(Curves(drawn)))
    file = "residuals" if journey.model.task == "regression" else "curves"
    made.attempt("The curves on the MLflow run", lambda: registry.log_json(run, drawn, f"curves/{file}.json"))
    for name, picture in pictures.items():
        file_name = re.sub(r"[^\w.-]", "_", name)
        made.attempt(f"The picture {name}", partial(_drawn, run, f"curves/{file_name}.png", picture))


def _drawn(run: str, path: str, picture: Callable[[], Any]) -> None:
    stores.registry().log_figure(run, picture(), path)


def _as_json(value: Any) -> Any:
    from dataclasses import asdict

    return None if value is None else asdict(value)


def _line(values: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.4f}" for name, value in values.items())
