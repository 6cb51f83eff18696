"""A model registry without a server, for tests of use cases: it keeps the contract tests of the real one.

It holds what MLflow would show (``runs``, ``models``), so that a test can look at it, and can be ``down``.
"""

from __future__ import annotations

import copy
import io
import itertools
import json
import pickle
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from include.adapters.registry import (
    MODEL_FILE,
    REFITTED,
    ModelToLog,
    Registered,
    RegistryUnreachable,
    Version,
    VersionMissing,
    VersionSourceRefused,
)
from include.domain.gates import InputColumn, Signature

REQUIREMENTS = "requirements.txt"
LONGEST_TAG, LONGEST_PARAM = 5000, 6000


@dataclass
class Run:
    """One candidate's run page."""

    run_id: str
    experiment: str
    tags: dict[str, str]
    params: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    artifacts: dict[str, bytes] = field(default_factory=dict)
    figures: dict[str, bytes] = field(default_factory=dict)
    """Pickled: a world that is copied need not make the objects of a figure that nobody looks at."""
    datasets: list[dict[str, Any]] = field(default_factory=list)
    models: list[str] = field(default_factory=list)
    """Addresses of the models that were logged to it, in order."""
    status: str = "RUNNING"


@dataclass
class Logged:
    """One logged model: its files, and what it takes and gives."""

    files: dict[str, bytes]
    signature: Signature | None
    tags: dict[str, str]


@dataclass
class Held:
    """One registered version."""

    source: str
    run_id: str
    tags: dict[str, str]


@dataclass
class Model:
    """One registered model."""

    versions: dict[int, Held] = field(default_factory=dict)
    aliases: dict[str, int] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)


@dataclass
class MemoryRegistry:
    """Runs, logged models and registered versions in this process."""

    url: str = "memory://registry"
    down: bool = False
    """Whether every call finds nobody there."""
    runs: dict[str, Run] = field(default_factory=dict)
    logged: dict[str, Logged] = field(default_factory=dict)
    models: dict[str, Model] = field(default_factory=dict)

    def copied(self) -> MemoryRegistry:
        """One that holds the same and goes its own way from here on."""
        return copy.deepcopy(self)

    # --- run pages ---------------------------------------------------------------------------------------------------

    def candidate_run(self, model: str, candidate_id: str, tags: Mapping[str, str]) -> str:
        self._answers()
        for run in self.runs.values():
            if run.experiment == model and run.tags.get("slipway.candidate") == candidate_id:
                return run.run_id
        made = Run(
            uuid.uuid4().hex, model, {**tags, "slipway.candidate": candidate_id, "mlflow.source.name": "slipway"}
        )
        self.runs[made.run_id] = made
        return made.run_id

    def log_params(self, run_id: str, params: Mapping[str, Any]) -> None:
        self._run(run_id).params |= {name: str(value)[:LONGEST_PARAM] for name, value in params.items()}

    def log_metrics(self, run_id: str, metrics: Mapping[str, float]) -> None:
        self._run(run_id).metrics |= {name: float(value) for name, value in metrics.items()}

    def tag(self, run_id: str, tags: Mapping[str, str]) -> None:
        self._run(run_id).tags |= {name: value[:LONGEST_TAG] for name, value in tags.items()}

    def log_json(self, run_id: str, data: Mapping[str, Any], path: str) -> None:
        self._run(run_id).artifacts[path] = json.dumps(dict(data)).encode()

    def put_json(self, run_id: str, data: Mapping[str, Any], path: str) -> None:
        self.log_json(run_id, data, path)

    def log_file(self, run_id: str, file: Path) -> None:
        self._run(run_id).artifacts[file.name] = file.read_bytes()

    def download(self, run_id: str, path: str, folder: Path) -> bool:
        self._answers()
        run = self.runs.get(run_id)
        if run is None or not (path in run.artifacts or path in run.figures):
            return False
        (folder / Path(path).name).write_bytes(
            run.artifacts[path] if path in run.artifacts else _drawn(run.figures[path])
        )
        return True

    def log_figure(self, run_id: str, figure: Any, path: str) -> None:
        self._run(run_id).figures[path] = pickle.dumps(figure)

    def log_dataset(
        self, run_id: str, name: str, digest: str, source: Mapping[str, Any], profile: Mapping[str, Any]
    ) -> None:
        made = {"name": name, "digest": digest[:36], "source": json.dumps(source), "profile": json.dumps(profile)}
        self._run(run_id).datasets.append(made)

    def finish_run(self, run_id: str, *, succeeded: bool) -> None:
        self._run(run_id).status = "FINISHED" if succeeded else "FAILED"

    def run_page(self, experiment: str, run_id: str) -> str:
        self._answers()
        known = any(run.experiment == experiment for run in self.runs.values())
        return f"{self.url}/#/experiments/{experiment}/runs/{run_id}" if known else self.url

    # --- logged models -----------------------------------------------------------------------------------------------

    def logged_model(self, run_id: str, *, refitted: bool = False) -> str | None:
        run = self._run(run_id)
        for uri in run.models:
            tags = self.logged[uri].tags
            own = tags.get("slipway.candidate") == run.tags.get("slipway.candidate")
            if (own and REFITTED in tags) == refitted:
                return uri
        return None

    def log_model(self, run_id: str, model: ModelToLog, tags: Mapping[str, str]) -> str:
        import skops.io

        run = self._run(run_id)
        written = skops.io.dumps(model.pipeline)
        foreign = set(skops.io.get_untrusted_types(data=written)) - set(model.trusted)
        if foreign:
            raise ValueError(f"The model needs types that are not trusted: {sorted(foreign)}.")
        example, output, classes = model.example, model.output, model.classes
        columns = [InputColumn(str(c), "string" if example[c].dtype == object else "double", True) for c in example]
        shape = (-1, *output.shape[1:])
        signature = Signature(tuple(columns), f"{output.dtype} {shape}", tuple(map(str, classes)) if classes else None)
        address = f"models:/m-{uuid.uuid4().hex}"
        libraries = [f"mlflow=={metadata.version('mlflow')}", *model.requirements]
        files = {MODEL_FILE: written, REQUIREMENTS: "\n".join(libraries).encode()}
        self.logged[address] = Logged(files, signature, dict(tags))
        run.models.append(address)
        return address

    def adopt_model(self, run_id: str, uri: str) -> None:
        self._logged(uri)
        models = self._run(run_id).models
        if uri not in models:
            models.append(uri)

    def signature(self, uri: str) -> Signature | None:
        return self._logged(uri).signature

    @contextmanager
    def model_file(self, uri: str, name: str = MODEL_FILE) -> Iterator[Path]:
        content = self._logged(uri).files.get(name)
        if content is None:
            raise VersionMissing(f"The file {name} of {uri} is gone from MLflow at {self.url}.")
        with tempfile.TemporaryDirectory(prefix="slipway-model-") as folder:
            file = Path(folder) / name
            file.write_bytes(content)
            yield file

    def requirements(self, uri: str) -> str:
        try:
            with self.model_file(uri, REQUIREMENTS) as file:
                return file.read_text(encoding="utf-8")
        except VersionMissing:
            return ""

    # --- registered versions -----------------------------------------------------------------------------------------

    def register(self, model: str, uri: str, run_id: str, candidate_id: str, tags: Mapping[str, str]) -> int:
        self._answers()
        held = self.models.setdefault(model, Model(tags={"slipway.managed": "true"})).versions
        mine = [n for n, v in held.items() if v.run_id == run_id and v.tags.get("slipway.candidate") == candidate_id]
        if not mine:
            mine = [self.add_version(model, uri, run_id, {**tags, "slipway.candidate": candidate_id})]
        for twin in mine[1:]:
            del held[twin]
        return mine[0]

    def add_version(self, model: str, source: str, run_id: str = "", tags: Mapping[str, str] | None = None) -> int:
        """A version as somebody may register it by hand."""
        held = self.models.setdefault(model, Model()).versions
        number = next(n for n in itertools.count(1 + max(held, default=0)))
        held[number] = Held(source, run_id, dict(tags or {}))
        return number

    def versions(self, model: str) -> list[Version]:
        self._answers()
        held = self.models[model].versions if model in self.models else {}
        return [Version(number, held[number].tags.get("slipway.candidate")) for number in sorted(held)]

    def tag_version(self, model: str, version: int, tags: Mapping[str, str]) -> None:
        self._version(model, version).tags |= {name: value[:LONGEST_TAG] for name, value in tags.items()}

    @contextmanager
    def fetched(self, model: str, version: int) -> Iterator[Path]:
        with self.model_file(self.source(model, version)) as file:
            yield file

    def source(self, model: str, version: int) -> str:
        source = self._version(model, version).source
        if not source.startswith("models:/m-"):
            raise VersionSourceRefused(
                f"Version {version} of {model} leads to {source[:100]!r}, which is no model logged to this MLflow. "
                "It was registered by hand; delete it there."
            )
        return source

    def registered(self, model: str) -> Registered:
        self._answers()
        known = self.models.get(model, Model())
        return Registered(dict(known.aliases), dict(known.tags))

    def alias(self, model: str, alias: str) -> int | None:
        return self.registered(model).aliases.get(alias)

    def point(self, model: str, alias: str, version: int) -> None:
        self._version(model, version)
        self.models[model].aliases[alias] = version

    def tag_model(self, model: str, tags: Mapping[str, str]) -> None:
        self._answers()
        self.models[model].tags |= {name: value[:LONGEST_TAG] for name, value in tags.items()}

    def drop(self, model: str, alias: str, version: int) -> None:
        if self.alias(model, alias) == version:
            del self.models[model].aliases[alias]

    # --- what a test may do to it ------------------------------------------------------------------------------------

    def lose_files(self, model: str, version: int) -> None:
        """As when the artifacts of a version were deleted behind its back."""
        self.logged[self._version(model, version).source].files.clear()

    def replace_file(self, model: str, version: int, content: bytes) -> None:
        """As when somebody put another model file in the place of the one that was judged."""
        self.logged[self._version(model, version).source].files[MODEL_FILE] = content

    def _answers(self) -> None:
        if self.down:
            raise RegistryUnreachable(
                f"MLflow at {self.url} did not answer (ConnectionError). Start it, or set MLFLOW_TRACKING_URI to where "
                "it is; the task can be retried as it is."
            )

    def _run(self, run_id: str) -> Run:
        self._answers()
        return self.runs[run_id]

    def _logged(self, uri: str) -> Logged:
        self._answers()
        if uri not in self.logged:
            raise VersionMissing(f"The file {MODEL_FILE} of {uri} is gone from MLflow at {self.url}.")
        return self.logged[uri]

    def _version(self, model: str, version: int) -> Held:
        self._answers()
        held = self.models[model].versions if model in self.models else {}
        if version not in held:
            raise VersionMissing(f"MLflow has no version {version} of {model}: it was never registered.")
        return held[version]


def _drawn(figure: bytes) -> bytes:
    written = io.BytesIO()
    pickle.loads(figure).savefig(written, format="png")
    return written.getvalue()
