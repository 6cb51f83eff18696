"""Compares every pair of stores. In: two stores that keep the same fact. Out: what differs, and
repairs.

``CHECKS`` is the list. A check is a module with ``compare(now)``, and with ``repair(now, only)`` where a program can
make the two agree again. ``housekeeping`` compares every pair at night, one task each; ``slipway repair`` lists what
differs, and repairs one pair.

To add a pair: a module with ``compare``, and a line in ``CHECKS``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import Enum
from importlib import import_module
from typing import Any, Protocol, cast

from include.domain.errors import NotYet, Refusal

MOST_TOLD = 20
"""How many findings one message names; the log has all."""


class PairState(Enum):
    """The result of comparing two stores."""

    AGREES = "agrees"
    DIFFERS = "differs"
    """The store does not hold what the ledger promised."""
    NOT_COMPARED = "not_compared"
    """One of the two did not answer, so nothing is known. Never taken for agreement."""


@dataclass(frozen=True, slots=True)
class PairFinding:
    """The result for one fact that two stores both keep."""

    pair: str
    """The check's name."""
    about: str
    """The subject: ``origin_weather v1 2013-03-04``, or a model, or a candidate."""
    state: PairState
    message: str
    """One line: what was promised, what was found, and the way out."""
    repaired: bool = False
    """Whether the two agree only because this comparison, or a repair, made them."""

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "state": self.state.value}

    @property
    def line(self) -> str:
        """For a log or a terminal."""
        how = f"{self.state.value.replace('_', ' ')}{', repaired' if self.repaired else ''}"
        return f"{self.pair}  {self.about}  {how}: {self.message}"


class PairModule(Protocol):
    """What the module of a check has."""

    def compare(self, now: datetime) -> list[PairFinding]:
        """Everything that differs, everything that could not be compared, and one finding that says what agrees."""
        ...


class Repaired(Protocol):
    """What the module of a check has too, when a program can make the two agree."""

    def repair(self, now: datetime, only: str | None) -> list[PairFinding]:
        """Make the store hold what the ledger promised. Keyed and repeatable: repairing twice changes nothing.

        Args:
            only: the one view or model to repair; None for all.

        Returns:
            What was fixed, and what still differs, with the way out.
        """
        ...


@dataclass(frozen=True, slots=True)
class PairCheck:
    """One pair of stores."""

    name: str
    """As in ``slipway repair NAME`` and in the task ``compare_NAME``."""
    title: str
    """The two, for a sentence."""
    module: str
    repairs: str | None
    """What its repair does, in a few words; None when only a person can repair."""
    repairs_at_once: bool = False
    """Whether comparing already repairs everything that a program may: what still differs afterwards needs a person."""

    @property
    def may_help(self) -> bool:
        """Whether the repair can do more about what differs than the comparison that found it."""
        return self.repairs is not None and not self.repairs_at_once

    def compare(self, now: datetime) -> list[PairFinding]:
        """The module's findings. An error is a finding too: one pair never ends the comparison of the others."""
        try:
            return cast("PairModule", import_module(self.module)).compare(now)
        except Exception as error:  # noqa: BLE001 - whatever stops a comparison, nothing was compared
            return [self.not_compared("all of it", error)]

    def repair(self, now: datetime, only: str | None) -> list[PairFinding]:
        """Repair the pair; what stops a repair is raised."""
        return cast("Repaired", import_module(self.module)).repair(now, only)

    def not_compared(self, about: str, error: Exception) -> PairFinding:
        """The finding about a store that did not answer."""
        said = " ".join(str(error).split()) or type(error).__name__
        expected = isinstance(error, Refusal | NotYet | ConnectionError)
        return PairFinding(
            self.name, about, PairState.NOT_COMPARED, said if expected else f"{type(error).__name__}: {said}"
        )


CHECKS: tuple[PairCheck, ...] = (
    PairCheck("history", "ledger and its chain of hashes", "include.workflows.pairs.history", None),
    PairCheck(
        "view",
        "ledger and Delta",
        "include.workflows.pairs.views",
        "takes lost days from an older version of the table, or else publishes them again from the source",
    ),
    PairCheck(
        "online",
        "ledger and online store",
        "include.workflows.pairs.online",
        "fills it from the newest published rows; a newer row is never replaced by an older one",
    ),
    PairCheck(
        "predictions",
        "ledger and prediction log",
        "include.workflows.pairs.predictions",
        "scores again the days that lost answers",
    ),
    PairCheck(
        "claims",
        "scoring claims and prediction log",
        "include.workflows.pairs.claims",
        "scores again the days that were not answered by whoever claimed them",
    ),
    PairCheck(
        "registry",
        "ledger and MLflow",
        "include.workflows.pairs.registry",
        "writes the aliases again as the ledger has them",
        repairs_at_once=True,
    ),
    PairCheck(
        "notices",
        "ledger and notices",
        "include.workflows.pairs.notices",
        "lets what was given up be tried again",
    ),
)


class StoresDiffer(Refusal):
    """A store does not hold what the ledger promised."""


class NotCompared(NotYet):
    """A store did not answer, so that nothing is known. Trying again may help."""


def check_named(name: str) -> PairCheck:
    """The check of that name.

    Raises:
        Refusal: when there is none; it names those there are.
    """
    for check in CHECKS:
        if check.name == name:
            return check
    raise Refusal(f"There is no pair {name!r}; there are: {', '.join(check.name for check in CHECKS)}.")


def compare(now: datetime, names: Iterable[str] | None = None) -> list[PairFinding]:
    """Compare the pairs of these names, or all; everything found."""
    chosen = CHECKS if names is None else [check_named(name) for name in names]
    return [finding for check in chosen for finding in check.compare(now)]


def compared(name: str, now: datetime) -> dict[str, Any]:
    """Compare one pair, as a task calls it: a line for each finding, red when the two differ.

    Raises:
        StoresDiffer: naming what, and the repair.
        NotCompared: when a store did not answer, so that the task is tried again.
    """
    check = check_named(name)
    found = check.compare(now)
    for finding in found:
        print(finding.line)
    differ = [f for f in found if f.state is PairState.DIFFERS]
    if differ:
        way_out = f"Then: slipway repair {name}" if check.may_help else "No program can repair this pair."
        raise StoresDiffer(f"{_told(differ)} {way_out} (docs/runbook/repair.md).")
    silent = [f for f in found if f.state is PairState.NOT_COMPARED]
    if silent:
        raise NotCompared(f"{check.title} could not be compared. {_told(silent)}")
    repaired = sum(f.repaired for f in found)
    return {"findings": [f.as_json() for f in found], "facts": {"compared": len(found), "repaired": repaired}}


def _told(findings: list[PairFinding]) -> str:
    shown = " ".join(f"{f.about}: {f.message}" for f in findings[:MOST_TOLD])
    more = f" And {len(findings) - MOST_TOLD} more; the log has all." if len(findings) > MOST_TOLD else ""
    return f"{shown}{more}"
