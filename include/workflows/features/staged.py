"""Between materializing and publishing: a staged file, the audit's verdict on it, and who may read it.

A reference to it is small JSON that goes from task to task; the file and the audit's receipt lie beside each other.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from include.adapters import files
from include.config.declared import Declarations
from include.config.loader import declarations
from include.config.settings import settings
from include.config.types import FeatureView
from include.domain.errors import Refusal
from include.domain.intervals import Interval, instant
from include.domain.verdicts import GateResult, Verdict
from include.workflows.features.source_days import SourceDay
from include.workflows.features.staged_file import StagedFile
from include.workflows.features.staged_file import StagedFileDamaged as StagedFileDamaged


class NotAudited(Refusal, PermissionError):
    """A staged interval that no audit has let through."""

    def __init__(self, view: str, start: str, end: str, reason: str) -> None:
        super().__init__(f"{view} [{start}, {end}) is not published: {reason}. Nothing readable has changed.")


@dataclass(frozen=True, slots=True)
class Staged:
    """A reference to a staged interval: small JSON for XCom. ``rows``, ``content`` and ``source`` are per day, for
    every day; ``notes`` counts what was settled on the way."""

    view: str
    view_version: int
    start: str
    end: str
    as_of: str
    run_id: str
    path: str
    code_hash: str
    rows: dict[str, int]
    content: dict[str, str]
    source: dict[str, SourceDay]
    notes: dict[str, Any] = field(default_factory=dict)
    corrections: tuple[Staged, ...] = ()
    """Earlier days staged again because their source rows changed, each on its own."""
    source_columns: dict[str, list[str]] = field(default_factory=dict)
    """The columns of each source table, in its order, as they were read."""
    reason: str | None = None
    """Why a correction was staged; None for a run's own interval."""

    @property
    def interval(self) -> Interval:
        return Interval(instant(self.start), instant(self.end))

    @property
    def is_empty(self) -> bool:
        """Whether there is no row in the whole interval."""
        return not any(self.rows.values())

    @property
    def digest(self) -> str:
        """One sha256 for the content of all days."""
        return hashlib.sha256(json.dumps(self.content, sort_keys=True).encode()).hexdigest()

    def as_reference(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_reference(cls, data: Mapping[str, Any]) -> Staged:
        source = {day: SourceDay(**facts) for day, facts in data["source"].items()}
        corrections = tuple(cls.from_reference(each) for each in data.get("corrections", ()))
        return cls(**{**data, "source": source, "corrections": corrections})


def declared_view(staged: Staged, declared: Declarations | None) -> FeatureView:
    """The view that was staged.

    Raises:
        StagedFileDamaged: when another version of it is declared by now.
    """
    known = declared or declarations()
    view = known.version(staged.view, staged.view_version)
    if view is None:
        now = known.view(staged.view).version
        raise StagedFileDamaged(
            staged.path,
            f"it was staged for version {staged.view_version}, and the view is now declared in version {now}",
        )
    return view


def file_of(staged: Staged) -> StagedFile:
    """The staged file, to be read.

    Raises:
        StagedFileDamaged: when it is missing or cut off.
    """
    return StagedFile(staged.path, staged.rows, staged.content)


def new_source_columns(view: FeatureView, columns: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """The columns that the source's tables did not have at the last publish on this machine, by table; none where
    nothing is known of it."""
    try:
        known = json.loads(_columns_file(view).read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return {}
    added = {table: [c for c in has if c not in known.get(table, has)] for table, has in columns.items()}
    return {table: names for table, names in added.items() if names}


def keep_source_columns(view: FeatureView, columns: Mapping[str, list[str]]) -> None:
    """Remember which columns the source's tables have: from now on they are known."""
    files.write_text(_columns_file(view), json.dumps(columns))


def _columns_file(view: FeatureView) -> Path:
    return settings().artifacts / "source_columns" / view.name / f"v{view.version}.json"


def _receipt(staged: Staged) -> Path:
    return Path(f"{staged.path}.audit.json")


def write_receipt(staged: Staged, result: GateResult) -> None:
    """Write the audit's verdict beside the staged file, bound to its content."""
    files.write_text(_receipt(staged), json.dumps({"digest": staged.digest, **result.as_json()}))


def require_audit(staged: Staged, accepted_by: str | None) -> None:
    """Accept what passed its audit: never a FAIL; an INCONCLUSIVE only when ``accepted_by`` says who accepted it.

    Raises:
        NotAudited: when no audit of exactly this content passed.
    """
    try:
        receipt = json.loads(_receipt(staged).read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        raise NotAudited(staged.view, staged.start, staged.end, "it was not audited; run its audit_gate") from None
    if receipt["digest"] != staged.digest:
        raise NotAudited(staged.view, staged.start, staged.end, "the audit judged other rows; run its audit_gate again")
    verdict = Verdict(receipt["verdict"])
    if verdict is Verdict.PASS or staged.is_empty:
        return
    if verdict is Verdict.INCONCLUSIVE and accepted_by:
        return
    raise NotAudited(
        staged.view,
        staged.start,
        staged.end,
        f"its audit_gate says {verdict.value}: {receipt['reason'].rstrip('.')}",
    )
