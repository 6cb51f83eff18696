"""Runs ``conversion.py`` by the interpreter of the export environment, and reads what it left."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from include.config.settings import PROJECT
from include.domain.errors import NotDone, Unavailable

if TYPE_CHECKING:
    import numpy as np

ENVIRONMENT = "SLIPWAY_EXPORT_PYTHON"
"""The environment variable that names the interpreter; left out, that of ``.venv-export`` in the project."""
REQUIREMENTS = "requirements-export.txt"
TIMEOUT_S = 600
_SCRIPT = Path(__file__).with_name("conversion.py")

Rows = Mapping[str, Sequence[Any]]


class EnvironmentMissing(Unavailable):
    """The interpreter of the export environment is not there, or lacks a library."""


class ConversionFailed(NotDone):
    """skl2onnx could not convert the model, or onnxruntime could not load what it made."""


@dataclass(frozen=True, slots=True, eq=False)
class OnnxAnswers:
    """A converted model.

    Attributes:
        content: the ONNX file.
        answers: by name of the rows, ``(n,)`` or ``(n, k)`` as the runtime gave them.
        releases: of the libraries that made it, by name.
    """

    content: bytes
    answers: Mapping[str, np.ndarray[Any, Any]]
    releases: Mapping[str, str]


def python_of(project: Path = PROJECT) -> Path:
    """The interpreter of the export environment.

    Raises:
        EnvironmentMissing: naming how it is made.
    """
    named = os.environ.get(ENVIRONMENT)
    found = Path(named) if named else project / ".venv-export" / "bin" / "python"
    if not found.is_file():
        where = f"{ENVIRONMENT} names {found}, which is not there" if named else "there is no .venv-export yet"
        raise EnvironmentMissing(
            f"ONNX needs an environment of its own, and {where}. Make it: python -m venv .venv-export && "
            f".venv-export/bin/pip install -r {REQUIREMENTS}"
        )
    return found


def converted(
    python: Path, model_file: Path, trusted: Sequence[str], kinds: Mapping[str, str], rows: Mapping[str, Rows]
) -> OnnxAnswers:
    """Convert a model file whose digest and types were checked here, and ask the result the rows.

    Args:
        trusted: the types that the file may construct.
        kinds: the kind of each feature, in order.
        rows: by name, a list a feature; None is a missing value. A classifier answers a column a learned class.

    Raises:
        EnvironmentMissing: when the environment lacks a library.
        ConversionFailed: with the library's reason.
    """
    import numpy as np

    with tempfile.TemporaryDirectory(prefix="slipway-onnx-") as made:
        folder = Path(made)
        request = {"model_file": str(model_file), "trusted": list(trusted), "kinds": dict(kinds), "rows": rows}
        (folder / "request.json").write_text(json.dumps(request), encoding="utf-8")
        clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        try:
            ended = subprocess.run(
                [str(python), "-I", str(_SCRIPT), str(folder)],
                cwd=folder,
                env=clean,
                capture_output=True,
                text=True,
                timeout=TIMEOUT_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise ConversionFailed(f"The conversion to ONNX had not ended after {TIMEOUT_S} s.") from None
        told = folder / "told.json"
        if not told.is_file():
            last = (ended.stderr.strip().splitlines() or ["it said nothing"])[-1]
            raise ConversionFailed(f"The conversion to ONNX ended with {ended.returncode}: {last}")
        said = json.loads(told.read_text(encoding="utf-8"))
        if said["missing"]:
            raise EnvironmentMissing(
                f"{python} lacks {', '.join(said['missing'])}. Install it: {python} -m pip install -r {REQUIREMENTS}"
            )
        if said["failed"]:
            raise ConversionFailed(f"The conversion to ONNX failed: {said['failed']}")
        answers = {name: np.load(folder / file, allow_pickle=False) for name, file in said["answers"].items()}
        return OnnxAnswers((folder / "model.onnx").read_bytes(), answers, said["releases"])
