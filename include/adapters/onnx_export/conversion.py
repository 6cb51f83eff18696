"""The process in the export environment: ``python conversion.py FOLDER`` reads ``request.json`` and leaves
``model.onnx``, the answers and ``told.json``. It imports nothing of the project, which is not installed there."""

from __future__ import annotations

import json
import sys
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

NEEDED = ("numpy", "sklearn", "skops", "onnx", "skl2onnx", "onnxruntime")
MISSING_TEXT = ""
"""What a missing category is for ONNX, whose texts cannot be missing."""


def main(folder: Path) -> None:
    """The process's whole life."""
    told: dict[str, Any] = {"missing": _missing(), "failed": None, "answers": {}, "releases": {}}
    if not told["missing"]:
        request = json.loads((folder / "request.json").read_text(encoding="utf-8"))
        try:
            told["answers"] = _converted(request, folder)
        except Exception as error:  # noqa: BLE001 - three libraries may raise anything, and the caller says it
            told["failed"] = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
        told["releases"] = {name: metadata.version(name) for name in ("skl2onnx", "onnx", "onnxruntime")}
    (folder / "told.json").write_text(json.dumps(told), encoding="utf-8")


def _missing() -> list[str]:
    found = []
    for name in NEEDED:
        try:
            import_module(name)
        except ImportError as error:
            found.append(f"{name} ({error})" if name in str(error) and "No module" not in str(error) else name)
    return found


def _converted(request: dict[str, Any], folder: Path) -> dict[str, str]:
    np, skops, skl2onnx = import_module("numpy"), import_module("skops.io"), import_module("skl2onnx")
    kinds, types = request["kinds"], import_module("skl2onnx.common.data_types")
    pipeline = skops.load(request["model_file"], trusted=request["trusted"])
    given = [
        (name, types.StringTensorType([None, 1]) if kind == "categorical" else types.FloatTensorType([None, 1]))
        for name, kind in kinds.items()
    ]
    classifier = hasattr(pipeline, "predict_proba")
    options = {id(pipeline): {"zipmap": False}} if classifier else None
    made = skl2onnx.convert_sklearn(pipeline, initial_types=given, options=options).SerializeToString()
    (folder / "model.onnx").write_bytes(made)
    session = import_module("onnxruntime").InferenceSession(made, providers=["CPUExecutionProvider"])
    answers = {}
    for number, (name, rows) in enumerate(request["rows"].items()):
        asked = {
            feature: np.array([[MISSING_TEXT if v is None else str(v)] for v in rows[feature]], dtype=object)
            if kind == "categorical"
            else np.array([[np.nan if v is None else v] for v in rows[feature]], dtype=np.float32)
            for feature, kind in kinds.items()
        }
        with np.errstate(all="ignore"):
            found = session.run(None, asked)[1 if classifier else 0]
        answers[name] = f"answers_{number}.npy"
        np.save(folder / answers[name], np.asarray(found, dtype=np.float64))
    return answers


if __name__ == "__main__":
    main(Path(sys.argv[1]))
