"""What a registered file is asked in the smoke test, and its answers beside what ``evaluate`` saw."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from include.config import ModelDeclaration
from include.domain.gates import SmokeEvidence
from include.domain.metrics import Task
from include.workflows.evidence import smoke_process

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

UNSEEN_PROBE = "unseen categories"
REAL_PROBE = "real rows"
UNSEEN = "(a category nobody ever saw)"


class Smoked(NamedTuple):
    """What the registered file answered in a fresh process."""

    evidence: SmokeEvidence
    has_categories: bool


def rows_to_ask(held_out: int, count: int) -> np.ndarray[Any, Any]:
    """The positions of at most ``count`` held-out rows, spread over the whole holdout."""
    import numpy as np

    return np.unique(np.linspace(0, held_out - 1, min(count, held_out)).astype(int))


def probes_of(real: pd.DataFrame, kinds: Mapping[str, str]) -> dict[str, pd.DataFrame]:
    """What the artifact is asked, by name: real rows, rows with missing values, and unseen categories if there can
    be."""
    probes = {REAL_PROBE: real, "missing values": _with_missing(real)}
    if "categorical" in kinds.values():
        unseen = {f: UNSEEN for f, kind in kinds.items() if kind == "categorical"}
        probes[UNSEEN_PROBE] = real.assign(**unseen)
    return probes


def smoke_evidence(
    model: ModelDeclaration, said: smoke_process.Answered, expected: np.ndarray[Any, Any] | None
) -> SmokeEvidence:
    """The answers beside ``expected``, what ``evaluate`` saw of the real rows."""
    return SmokeEvidence(
        task=Task(model.task),
        load_error=said.load_error,
        real=said.probes.get(REAL_PROBE),
        expected=expected,
        others=tuple(probe for name, probe in said.probes.items() if name != REAL_PROBE),
    )


def _with_missing(real: pd.DataFrame) -> pd.DataFrame:
    """A row without any value, then for each feature a held-out row without that one."""
    import numpy as np

    rows = real.iloc[np.arange(1 + real.shape[1]) % len(real)].reset_index(drop=True)
    rows.iloc[0, :] = np.nan
    for i in range(real.shape[1]):
        rows.iloc[1 + i, i] = np.nan
    return rows
