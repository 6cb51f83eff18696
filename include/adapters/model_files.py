"""Model files in the skops format: written, identified by digest, and loaded only against *our* allow-list.

A model file names the types it wants to construct. That list is the file's own claim, so it is never used as
permission: what may be constructed is ``TRUSTED`` here and a team's own reviewed list (``trusted_types.yaml``), and
pickles are not read at all.
"""

from __future__ import annotations

import hashlib
import json
import stat
import warnings
import zipfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from include.config import BadDeclaration, loader
from include.domain.errors import Refusal

TRUSTED = frozenset(
    {
        "numpy.dtype",
        "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
        "sklearn.metrics._dist_metrics.EuclideanDistance64",
        "sklearn.neighbors._ball_tree.BallTree",
        "sklearn.neighbors._kd_tree.KDTree",
        "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
        "sklearn.tree._tree.Tree",
    }
)
"""Types beyond skops' own defaults that a model file may construct; compiled parts of scikit-learn estimators."""

MAX_MODEL_BYTES = 1_000_000_000
"""A model file larger than this is not read: a small file can unpack to much more."""


class ModelFileRefused(Refusal, ValueError):
    """A model file that must not be loaded: another digest than the gates saw, or types outside the allow-list, which
    ``types`` names."""

    def __init__(self, message: str, types: Sequence[str] = ()) -> None:
        self.types = tuple(types)
        super().__init__(message)


def trusted_types(path: Path, models: Path | None = None) -> list[str]:
    """The types the file needs, when all of them are on our allow-list or on the team's.

    Args:
        path: the model file.
        models: the folder of the team's list; None for the project's.

    Raises:
        ModelFileRefused: naming the types that are not.
    """
    import skops.io

    _no_paths_out(path)
    try:
        wanted = skops.io.get_untrusted_types(file=path)
    except (KeyError, ValueError, OSError, zipfile.BadZipFile) as error:
        raise ModelFileRefused(f"{path.name} is no readable skops file ({type(error).__name__}: {error}).") from None
    foreign = sorted(set(wanted) - TRUSTED)
    if foreign:
        # Read only now: a mistake in that file does not stop the models that need nothing of it.
        foreign = _not_on_the_teams_list(path, foreign, models)
    if foreign:
        are = "which is not" if len(foreign) == 1 else "which are not"
        lists = f"{are} on Slipway's list of trusted types and not in {loader.trusted_file(models)}"
        raise ModelFileRefused(
            f"{path.name} wants to construct {', '.join(foreign)}, {lists}. It was not loaded.", foreign
        )
    return list(wanted)


def _not_on_the_teams_list(path: Path, foreign: list[str], models: Path | None) -> list[str]:
    try:
        own = loader.trusted_types(models)
    except BadDeclaration as error:
        raise ModelFileRefused(
            f"{path.name} wants to construct {', '.join(foreign)}, and the team's list cannot be read: "
            f"{error.problems[0]} It was not loaded.",
            foreign,
        ) from None
    return [name for name in foreign if name not in own]


def _no_paths_out(path: Path) -> None:
    """Refuse an archive with a member that is a link or leads out of a folder, before anything else reads it."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except (OSError, zipfile.BadZipFile) as error:
        raise ModelFileRefused(f"{path.name} is no readable skops file ({type(error).__name__}: {error}).") from None
    for member in members:
        parts = PurePosixPath(member.filename.replace("\\", "/"))
        if stat.S_ISLNK(member.external_attr >> 16) or parts.is_absolute() or ".." in parts.parts:
            raise ModelFileRefused(
                f"{path.name} holds {member.filename[:100]!a}, a link or a path out of the archive. It was not read."
            )


def untrusted_free(pipeline: Any, path: Path, models: Path | None = None) -> list[str]:
    """Write the pipeline to ``path`` and return the types it needs, checked as in ``trusted_types``."""
    import skops.io

    skops.io.dump(pipeline, path)
    return trusted_types(path, models)


def digest(path: Path) -> str:
    """The sha256 of the file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def canonical_digest(path: Path) -> str:
    """The sha256 of a model file's content, in hex: equal for equal models, whenever and wherever they were written.

    A skops file names its parts after addresses in memory and carries the time; both are left out here. A served file
    must still have ``digest``, the hash of the bytes that the gates saw.
    """
    with zipfile.ZipFile(path) as file:
        schema, members = json.loads(file.read("schema.json")), set(file.namelist())
        names: dict[object, str] = {}

        def is_name(key: str, value: object) -> bool:
            return (key == "__id__" and isinstance(value, int)) or (
                key == "file" and isinstance(value, str) and value in members
            )

        def plain(node: Any) -> Any:
            if isinstance(node, list):
                return [plain(item) for item in node]
            if not isinstance(node, dict):
                return node
            return {
                key: names.setdefault(value, f"{key}{len(names)}") if is_name(key, value) else plain(value)
                for key, value in node.items()
            }

        found = hashlib.sha256(json.dumps(plain(schema)).encode())
        for name in names:
            if isinstance(name, str):
                found.update(hashlib.sha256(file.read(name)).digest())
    return found.hexdigest()


def load(path: Path, expected_digest: str) -> Any:
    """Load a model file after its digest and its types were checked.

    Raises:
        ModelFileRefused: when either does not hold.
    """
    import skops.io

    size = path.stat().st_size
    if size > MAX_MODEL_BYTES:
        raise ModelFileRefused(f"{path.name} has {size} bytes; at most {MAX_MODEL_BYTES} are read.")
    found = digest(path)
    if found != expected_digest:
        raise ModelFileRefused(
            f"{path.name} has the digest {found[:12]}, but the gates judged {expected_digest[:12]}: the "
            "artifact was replaced."
        )
    with warnings.catch_warnings():
        # Another patch release of scikit-learn warns; whether it answers the same is tested by the smoke gate.
        warnings.simplefilter("ignore")
        trusted = trusted_types(path)
        try:
            return skops.io.load(path, trusted=trusted)
        except (ImportError, AttributeError, TypeError, KeyError, ValueError) as error:
            raise ModelFileRefused(
                f"{path.name} cannot be loaded with the libraries here ({type(error).__name__}: {error})."
            ) from None


def unmet(requirements: str) -> list[str]:
    """The ``name==version`` requirements of a model that are not met here, a phrase each; empty when all are met.

    Another release of scikit-learn or skops counts as unmet: neither promises to read the files of another. Another
    patch release, and another release of the other libraries, is left to the smoke gate.
    """
    from importlib.metadata import PackageNotFoundError, version

    found = []
    for line in requirements.splitlines():
        name, _, wanted = line.partition("#")[0].partition(";")[0].strip().partition("==")
        name = name.strip()
        if not name or name.startswith("-"):
            continue
        try:
            here = version(name)
        except (PackageNotFoundError, ValueError):
            found.append(f"{name} is not installed")
            continue
        if name in ("scikit-learn", "skops") and wanted and _release(wanted) != _release(here):
            found.append(f"{name} is {here}, the model was made with {wanted.strip()}")
    return found


def _release(version: str) -> list[str]:
    return version.strip().split(".")[:2]


def library_versions(names: Sequence[str] = ("scikit-learn", "skops", "numpy", "pandas", "scipy")) -> list[str]:
    """``name==version`` of what a model file needs in order to answer as it does here."""
    from importlib.metadata import version

    return [f"{name}=={version(name)}" for name in names]
