"""Small declared models for the selftest: a few thousand made rows and linear estimators, quickly fitted."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from include.config import Declarations, loader

VIEW: dict[str, Any] = {
    "name": "claim",
    "description": "Claims as they come in.",
    "owner": "claims",
    "calendar": {"starts": "2024-01-01"},
    "keys": ["claim_id"],
    "ttl": "1d",
    "columns": [
        {"name": "region", "kind": "categorical"},
        {"name": "sex", "kind": "categorical"},
        {"name": "amount"},
        {"name": "age"},
        {"name": "known_customer", "kind": "boolean"},
        {"name": "claims_before"},
    ],
    "source": [{"table": "claims", "time": "made_at", "known": "known_at"}],
    "quality": {"expectations": [{"expectation": "expect_table_row_count_to_be_between", "kwargs": {"min_value": 1}}]},
}
VIEW_SQL = """
SELECT claim_id, region, sex, amount, age, known_customer, claims_before,
       made_at AS event_time, known_at AS available_time
FROM claims, interval_ WHERE made_at >= start AND made_at < "end"
"""
LABEL_SQL = "SELECT claim_id, outcome AS label, made_at AS event_time, known_at AS available_time FROM outcomes"
BINARY: dict[str, Any] = {
    "name": "fraud",
    "description": "Is a claim fraudulent?",
    "task": "binary",
    "tier": "standard",
    "owners": {"model": "claims-science", "data": "claims-data", "on_call": "claims-on-call"},
    "entity": {"view": "claim", "lead": "1h"},
    "label": {
        "name": "fraud",
        "delay": "1d",
        "classes": ["honest", "fraud"],
        "source": [{"table": "outcomes", "time": "made_at", "known": "known_at"}],
    },
    "views": [{"view": "claim", "features": [c["name"] for c in VIEW["columns"]]}],
    "estimator": {"path": "sklearn.linear_model.LogisticRegression", "encode": "one_hot", "impute": True},
    "training": {"window_days": 30, "holdout_days": 10, "min_rows": 2000, "seed": 3},
    "gates": {
        "leakage_gate": {"auc_at_most": 0.95},
        "threshold_gate": {"min_rows": 500, "criteria": [{"metric": "roc_auc", "at_least": 0.65}]},
        "champion_gate": {
            "min_rows": 500,
            "resamples": 200,
            "comparisons": [{"metric": "brier", "margin": 0.01}],
            "beat_baseline_on": "brier",
        },
        "slice_gate": {
            "by": ["region"],
            "metric": "brier",
            "strict": {"margin": 0.02},
            "small": {"floor": 0.03},
            "fairness": [{"groups": "sex", "measure": "demographic_parity", "margin": 0.1}],
        },
        "latency_gate": {"p50_ms_at_most": 2000, "times_champion_at_most": 5, "model_mb_at_most": 5, "repeats": 20},
        "signature_gate": {},
        "smoke_gate": {"rows": 50},
        "packed_gate": {"mode": "blocking", "rows": 100, "hard_rows": 200},
    },
    "shadow": {
        "min_rows": 1000,
        "min_days": 3,
        "max_days": 10,
        "disagreement": [0.0005, 0.2],
        "p99_delta_at_most": 0.5,
    },
    "drift": {"performance": {"metric": "brier", "tolerance": 0.01}},
}
REGRESSION: dict[str, Any] = {
    **BINARY,
    "name": "cost",
    "description": "What will a claim cost?",
    "task": "regression",
    "label": {k: v for k, v in BINARY["label"].items() if k != "classes"},
    "estimator": {"path": "sklearn.linear_model.Ridge", "encode": "ordinal", "impute": True},
    "gates": {
        "threshold_gate": {"min_rows": 500, "criteria": [{"metric": "mae", "at_most": 30.0}]},
        "champion_gate": {
            "min_rows": 500,
            "resamples": 200,
            "comparisons": [{"metric": "mae", "margin": 2.0}],
            "beat_baseline_on": "mae",
            "baseline_by": ["region"],
        },
        "slice_gate": {
            "by": ["age"],
            "metric": "mae",
            "strict": {"margin": 4.0},
            "small": {"floor": 6.0},
            "fairness": [{"groups": "sex", "measure": "group_loss", "margin": 4.0}],
        },
        "latency_gate": {"p50_ms_at_most": 2000, "model_mb_at_most": 5, "repeats": 20},
    },
    "shadow": {**BINARY["shadow"], "disagreement": [0.01, 20.0], "p99_delta_at_most": 60.0},
    "drift": {"performance": {"metric": "mae", "tolerance": 1.0}},
}
MULTICLASS: dict[str, Any] = {
    **BINARY,
    "name": "kind_of_claim",
    "description": "What kind of claim is it?",
    "task": "multiclass",
    "label": {**BINARY["label"], "classes": ["car", "home", "travel"]},
    "gates": {
        "threshold_gate": {"min_rows": 500, "criteria": [{"metric": "accuracy", "at_least": 0.5}]},
        "champion_gate": {
            "min_rows": 500,
            "resamples": 200,
            "comparisons": [{"metric": "log_loss", "margin": 0.03}],
            "beat_baseline_on": "log_loss",
        },
        "signature_gate": {},
    },
    "drift": {"performance": {"metric": "log_loss", "tolerance": 0.1}},
}


def with_gates(model: dict[str, Any], **gates: Any) -> dict[str, Any]:
    """The declaration with some gates declared otherwise; None leaves one out."""
    changed = copy.deepcopy(model)
    changed["gates"] = {name: gate for name, gate in {**changed["gates"], **gates}.items() if gate is not None}
    return changed


@contextmanager
def declared(root: Path, *models: dict[str, Any]) -> Iterator[Declarations]:
    """The whole process sees these models, in an empty home."""
    view = root / "declared" / "features" / "claim"
    view.mkdir(parents=True, exist_ok=True)
    (view / "view.yaml").write_text(yaml.safe_dump(VIEW), encoding="utf-8")
    (view / "features.sql").write_text(VIEW_SQL, encoding="utf-8")
    for model in models:
        folder = root / "declared" / "models" / model["name"]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "model.yaml").write_text(yaml.safe_dump(model), encoding="utf-8")
        (folder / "label.sql").write_text(LABEL_SQL, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("SLIPWAY_LEDGER_URL", "SLIPWAY_ONLINE_URL", "SLIPWAY_STORE"):
            patch.delenv(name, raising=False)
        patch.setenv("SLIPWAY_HOME", str(root / "home"))
        patch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
        patch.setattr(loader, "ROOT", root / "declared")
        loader.declarations.cache_clear()
        try:
            known = loader.declarations()
            if known.broken:
                raise ValueError(str(next(iter(known.broken.values()))))
            yield known
        finally:
            loader.declarations.cache_clear()
