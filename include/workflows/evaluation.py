"""Candidate, champion and a naive baseline on the same held-out rows: the evidence every offline gate judges.

The rows are newer than both training windows. The champion is loaded by the digest its gates saw; when it cannot be,
its scores are missing and the champion gate is INCONCLUSIVE, never a first deployment.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from include.adapters import estimators
from include.adapters.registry import VersionMissing
from include.domain.curves import precision_recall_curve, reliability, residuals, roc_curve, score_histogram
from include.domain.drift.profile import Kind
from include.domain.drift.reference import reference_profile
from include.domain.gates import Evidence
from include.domain.metrics import Task, measure_all
from include.domain.performance import row_losses
from include.workflows import common, figures, gate_rules, models, training
from include.workflows.common import Journey

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

FACTS = "evaluation.json"
ROWS = "evaluation.parquet"
PROFILE = "reference_profile.json"
SLICE = "slice."
"""What stands before the names of the columns that the rows are sliced by."""


def evaluate(reference: Mapping[str, Any]) -> dict[str, Any]:
    """Score the holdout by candidate, champion and baseline; keep the scores, the curves and the reference profile."""
    import pandas as pd

    with common.step_of(reference, "evaluate") as journey:
        model, facts, registry = journey.model, journey.candidate.facts, common.registry()
        run, digest = str(facts.mlflow_run_id), str(facts.artifact_digest)
        features, y, days = training.frames(journey, "holdout")
        _, trained_on, _ = training.frames(journey, "train")
        logged = registry.logged_model(run)
        if logged is None:
            raise VersionMissing(
                f"MLflow run {run} of {journey.candidate_id} has no model. Clear the run from train on."
            )
        pipeline = models.load_logged(registry, logged, digest)
        candidate = estimators.predict(pipeline, features, classifier=model.is_classifier)

        head = journey.ledger.deployments.champion(model.name)
        if head is not None and head.to_candidate == journey.candidate_id:
            # The journey runs again after its promotion: what it was compared with then is what counts.
            kept = journey.kept(FACTS)
            return {"rows": kept["rows"], "metrics": kept["metrics"], "champion": kept["champion_id"]}
        champion, why_not = None, "the model has no champion"
        if head is not None:
            champion, why_not = _champion_scores(journey, head, features)
        baseline = _baseline(journey, features, trained_on)

        scores: dict[str, Any] = {
            "y": y,
            "day": days.to_numpy(),
            "candidate": list(candidate),
            "baseline": list(baseline),
        }
        if champion is not None:
            scores["champion"] = list(champion)
        if model.gates.slice_gate is not None:
            columns = gate_rules.columns_of(gate_rules.slices(model.gates.slice_gate, None))
            scores |= {f"{SLICE}{name}": features[name].to_numpy() for name in columns}
        pd.DataFrame(scores).to_parquet(journey.folder / ROWS)
        measured = _measured(model.task, y, {"candidate": candidate, "champion": champion, "baseline": baseline})
        journey.keep(
            FACTS,
            {
                "rows": len(y),
                "champion_revision": head.revision if head else 0,
                "champion_id": head.to_candidate if head else None,
                "champion_missing": None if champion is not None else why_not,
                "holdout": journey.kept(training.SETS)["holdout"]["start"],
                "metrics": measured,
            },
        )
        _keep_reference_profile(journey, pipeline, features, y, candidate, days)
        _show_on_run_page(journey, run, measured, y, candidate, champion)
        print(
            f"Held-out rows: {len(y):,}. "
            + "; ".join(f"{who}: {_line(values)}" for who, values in measured.items() if values)
        )
        return {"rows": len(y), "metrics": measured, "champion": head.to_candidate if head else None}


def evidence_of(journey: Journey) -> Evidence:
    """What ``evaluate`` kept, as the gates take it."""
    import numpy as np
    import pandas as pd

    journey.kept(FACTS)
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
    )


def slice_columns(journey: Journey, names: Iterable[str]) -> dict[str, pd.Series[Any]]:
    """The values ``evaluate`` kept of these columns, by name; one it did not keep is left out."""
    import pandas as pd

    rows = pd.read_parquet(journey.folder / ROWS)
    return {name: rows[f"{SLICE}{name}"] for name in names if f"{SLICE}{name}" in rows}


def attempts_on_holdout(journey: Journey) -> int:
    """How many candidates of the model were compared on this very holdout, this one included (STATISTICS 4)."""
    mine = journey.kept(FACTS)["holdout"]
    count = 1
    for other in journey.ledger.candidates.of(journey.model.name):
        if other.candidate_id == journey.candidate_id or other.opened_at >= journey.candidate.opened_at:
            continue
        sets = common.journey_folder(other.candidate_id) / FACTS
        if "champion_gate" in journey.ledger.gates.latest(other.candidate_id) and sets.is_file():
            same = common.Journey(journey.model, other, journey.ledger).kept(FACTS)["holdout"] == mine
            count += same
    return count


def _champion_scores(journey: Journey, head: Any, features: pd.DataFrame) -> tuple[np.ndarray[Any, Any] | None, str]:
    model = journey.model
    try:
        pipeline = models.load(common.registry(), model.name, int(head.model_version), head.digest)
        return estimators.predict(pipeline, features, classifier=model.is_classifier), ""
    except (estimators.ModelFileRefused, VersionMissing, ValueError, KeyError) as error:
        why = f"champion {head.to_candidate} could not answer: {error}"
        print(f"Not compared with the champion: {why}")
        return None, why


def _baseline(journey: Journey, features: pd.DataFrame, trained_on: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The mean label of the row's group in the training set; the overall mean where there is no group or it was not
    seen.

    For a multiclass model the share of each class.
    """
    import numpy as np
    import pandas as pd

    by = journey.model.gates.champion_gate.baseline_by
    if journey.model.task == "multiclass":
        shares = np.bincount(trained_on, minlength=len(journey.model.label.classes or [])) / len(trained_on)
        return np.tile(shares, (len(features), 1))
    overall = float(trained_on.mean())
    if not by:
        return np.full(len(features), overall)
    learned, _, _ = training.frames(journey, "train")
    means = (
        pd.Series(trained_on, index=learned.index)
        .groupby([learned[c] for c in by], observed=True)
        .mean()
        .rename("mean")
    )
    joined = features[by].merge(means.reset_index(), on=by, how="left")
    return joined["mean"].fillna(overall).to_numpy(dtype=float)


def _measured(task: str, y: Any, scores: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    return {
        who: {name: m.value for name, m in measure_all(Task(task), y, s).items() if m.value is not None}
        if s is not None
        else {}
        for who, s in scores.items()
    }


def _keep_reference_profile(
    journey: Journey, pipeline: Any, features: pd.DataFrame, y: Any, scores: Any, days: Any
) -> None:
    """What no drift looks like for this version: the inputs it learned from, its scores and losses on held-out days,
    and
    how much each feature matters to it."""
    model = journey.model
    kinds = {name: Kind(kind) for name, kind in models.kinds_of(model).items()}
    learned, _, learned_days = training.frames(journey, "train")
    held_out = days.tolist()
    profile = reference_profile(
        learned,
        kinds,
        learned_days.tolist(),
        scores=scores,
        score_days=held_out,
        losses=row_losses(model.drift.performance.metric, y, scores),
        classes=model.label.classes or [] if model.task == "multiclass" else [],
        bins=model.drift.inputs.bins,
    )
    importances = estimators.importances(pipeline, features, y, task=model.task, seed=model.training.seed)
    journey.keep(PROFILE, {"profile": profile.as_json(), "importances": importances})


def _show_on_run_page(
    journey: Journey, run: str, measured: Mapping[str, Mapping[str, float]], y: Any, candidate: Any, champion: Any
) -> None:
    registry = common.registry()
    registry.log_metrics(
        run, {f"{who}_{name}": value for who, values in measured.items() for name, value in values.items()}
    )
    registry.log_json(run, journey.kept(PROFILE), PROFILE)
    registry.log_json(run, journey.kept(FACTS), FACTS)
    overlaid: dict[str, Any] = {"candidate": candidate, "champion": champion}
    if journey.model.task == "regression":
        shown = {who: residuals(y.astype(float), s) for who, s in overlaid.items() if s is not None}
        registry.log_figure(run, figures.residual_histogram(shown, journey.model.label.name), "curves/residuals.png")
        registry.log_json(run, {who: _as_json(r) for who, r in shown.items()}, "curves/residuals.json")
    elif journey.model.task == "binary":
        truth = y.astype(float)
        curves = {
            "roc": {who: roc_curve(truth, s) for who, s in overlaid.items() if s is not None},
            "precision_recall": {who: precision_recall_curve(truth, s) for who, s in overlaid.items() if s is not None},
        }
        for name, shown_curves in curves.items():
            registry.log_figure(run, figures.overlaid(shown_curves), f"curves/{name}.png")
        calibration = {who: reliability(truth, s) for who, s in overlaid.items() if s is not None}
        registry.log_figure(run, figures.calibration(calibration), "curves/calibration.png")
        histograms = {who: score_histogram(s) for who, s in overlaid.items() if s is not None}
        everything: dict[str, dict[str, Any]] = {**curves, "calibration": calibration, "scores": histograms}
        registry.log_json(
            run,
            {name: {who: _as_json(c) for who, c in found.items()} for name, found in everything.items()},
            "curves/curves.json",
        )


def _as_json(value: Any) -> Any:
    from dataclasses import asdict

    return None if value is None else asdict(value)


def _line(values: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.4f}" for name, value in values.items())
