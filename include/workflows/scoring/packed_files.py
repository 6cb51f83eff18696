"""Packed files by digest: kept where the gate found them equal to their pipeline, and found again by a service.

Only a form that was equal is ever kept. Who finds none, or one that is not what the gate saw, answers by the pipeline.
"""

from __future__ import annotations

import hashlib
import tempfile
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from include.adapters import files
from include.adapters.ledger import Candidate, Ledger
from include.adapters.registry import ModelRegistry
from include.config.settings import settings
from include.domain.errors import Refusal
from include.domain.gates.packed import NAME as GATE
from include.domain.packed.reader import Packed
from include.domain.verdicts import Verdict


class PackedFileRefused(Refusal, ValueError):
    """A packed file that must not be loaded: it is gone, or another than the gate saw."""


def digest_of(content: bytes) -> str:
    """The sha256 of the bytes, in hex."""
    return hashlib.sha256(content).hexdigest()


def opened(content: bytes) -> Packed:
    """The packed model of a file's bytes, as every reader of the file sees it."""
    import numpy as np

    with np.load(BytesIO(content), allow_pickle=False) as file:
        return Packed({name: file[name] for name in file.files})


def keep(content: bytes) -> Path:
    """Keep a packed file on this machine under its digest, beside the models' own files; again changes nothing."""
    copy = _copy(digest_of(content))
    with files.whole(copy) as unfinished:
        unfinished.write_bytes(content)
    return copy


@dataclass(frozen=True, slots=True)
class ServedForm:
    """In which form a candidate's file is to answer: its packed file's ``digest``, or None and ``why_not`` in a
    sentence."""

    digest: str | None
    why_not: str | None = None


def served_form(ledger: Ledger, candidate: Candidate) -> ServedForm:
    """What the newest verdict of the gate says about the file that serves now; a verdict on another file counts for
    nothing."""
    record = ledger.gates.latest(candidate.candidate_id).get(GATE)
    if record is None:
        return ServedForm(None, "No gate has held its packed form against its pipeline, so the pipeline answers.")
    if record.digest != candidate.facts.serving_digest:
        return ServedForm(None, "Its packed form was made from another file than the one that serves.")
    if record.verdict is not Verdict.PASS:
        return ServedForm(None, record.result.reason)
    return ServedForm(str(record.result.notes["digest"]))


def file_of(digest: str, registry: ModelRegistry, run_id: str) -> Path:
    """The kept packed file of that digest, from this machine's copy or from the candidate's MLflow run.

    Raises:
        PackedFileRefused: when it is gone, or what is there has another digest.
    """
    copy = _copy(digest)
    if copy.is_file() and digest_of(copy.read_bytes()) == digest:
        return copy
    with tempfile.TemporaryDirectory(prefix="slipway-packed-") as folder:
        if not registry.download(run_id, copy.name, Path(folder)):
            raise PackedFileRefused(
                f"The packed file {digest[:12]} is not on this machine and gone from MLflow run {run_id}. "
                "Clear packed_gate of the journey to make it again; until then the pipeline answers."
            )
        content = (Path(folder) / copy.name).read_bytes()
    found = digest_of(content)
    if found != digest:
        raise PackedFileRefused(
            f"The registry gave a packed file with the digest {found[:12]}, but the gate saw {digest[:12]}: it was "
            "replaced. It was not loaded; the pipeline answers."
        )
    return keep(content)


def load(digest: str, registry: ModelRegistry, run_id: str) -> Packed:
    """The packed model of that digest, which answers its own rows here as where it was made.

    Raises:
        PackedFileRefused: as ``file_of``, and when it answers otherwise here.
    """
    model = opened(file_of(digest, registry, run_id).read_bytes())
    otherwise = model.check()
    if otherwise:
        raise PackedFileRefused(
            f"The packed file {digest[:12]} answers {otherwise} of the rows that came with it otherwise on this "
            "machine than where it was made: another numpy or processor. It is not used; the pipeline answers."
        )
    return model


def _copy(digest: str) -> Path:
    return settings().artifacts / "models" / f"{digest}.npz"
