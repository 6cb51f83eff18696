"""The files between guard and keeper: what a rollout is judged by, and what the guard ended by itself.

The keeper writes rules, the guard writes breakers, and each may be killed at any line: a breaker is on the disk before
a share ends, and stays until the ledger was told.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from include.adapters import files
from include.adapters.boot_clock import boot_seconds
from include.domain.canary.breaker import Breaker, RolloutRules

GUARD_FOLDER = "guard"
"""Beside the route's file."""
Form = TypeVar("Form", Breaker, RolloutRules)
_BREAKER, _RULES = ".breaker.json", ".rules.json"


BEAT = "beat"
SEEN = "seen.json"
"""What the guard has counted, by model."""


class GuardConfig(msgspec.Struct, frozen=True):
    """What the guard is told."""

    folder: str
    """Where it keeps what it did, and where it is."""
    route: str
    journal: str
    instance: str


@dataclass(frozen=True, slots=True)
class GuardFiles:
    """One folder of a home."""

    folder: Path

    def breakers(self) -> list[Breaker]:
        """Every one that is kept, oldest first; a file that cannot be read is left out."""
        found = [self._read(file, Breaker) for file in self.folder.glob(f"*{_BREAKER}")]
        return sorted((each for each in found if each is not None), key=lambda each: each.at)

    def of(self, candidate: str, number: int) -> Breaker | None:
        """The breaker of this rollout; None where none was kept."""
        return self._read(self._breaker(candidate, number), Breaker)

    def keep(self, breaker: Breaker) -> None:
        """Keep it, in the place of one of the same rollout."""
        files.write_text(self._breaker(breaker.candidate, breaker.number), msgspec.json.encode(breaker).decode())

    def forget(self, breaker: Breaker) -> None:
        """It is not needed any more."""
        self._breaker(breaker.candidate, breaker.number).unlink(missing_ok=True)

    def rules(self, candidate: str, number: int) -> RolloutRules | None:
        """What this rollout is judged by; None where it is not known."""
        return self._read(self._rules(candidate, number), RolloutRules)

    def keep_rules(self, rules: RolloutRules) -> None:
        """Keep them before the first share is published. What is there already is not written again."""
        if self.rules(rules.candidate, rules.number) != rules:
            files.write_text(self._rules(rules.candidate, rules.number), msgspec.json.encode(rules).decode())

    def forget_rules_but(self, kept: Collection[tuple[str, int]]) -> None:
        """Remove those of rollouts that are over."""
        names = {self._rules(*each).name for each in kept}
        for file in self.folder.glob(f"*{_RULES}"):
            if file.name not in names:
                file.unlink(missing_ok=True)

    def _breaker(self, candidate: str, number: int) -> Path:
        return self.folder / f"{_name(candidate, number)}{_BREAKER}"

    def _rules(self, candidate: str, number: int) -> Path:
        return self.folder / f"{_name(candidate, number)}{_RULES}"

    @staticmethod
    def _read(file: Path, form: type[Form]) -> Form | None:
        try:
            return msgspec.json.decode(file.read_bytes(), type=form)
        except (OSError, ValueError):
            return None


def _name(candidate: str, number: int) -> str:
    """A candidate's id may hold what no file's name can."""
    return f"{hashlib.sha256(candidate.encode()).hexdigest()[:16]}-{number}"


def beat(folder: Path) -> None:
    """Say by the time of a file that the guard looks. The time is the machine's since its start, which is never set."""
    file, now = folder / BEAT, boot_seconds()
    file.touch()
    os.utime(file, (now, now))


def silent_s(folder: Path) -> float:
    """For how long no guard has looked, in seconds; infinite where none ever did since the machine started."""
    try:
        silent = boot_seconds() - (folder / BEAT).stat().st_mtime
    except OSError:
        return math.inf
    return silent if silent >= 0 else math.inf


def seen_in(folder: Path) -> dict[str, Any]:
    """By model, what the guard has counted of its candidate; empty where it has said nothing."""
    try:
        return dict(msgspec.json.decode((folder / SEEN).read_bytes()))
    except (OSError, ValueError):
        return {}
