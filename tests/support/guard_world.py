"""A home with a route, a journal and the guard's folder, and nothing else: neither a ledger nor a model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from include.adapters.boot_clock import boot_id, boot_seconds
from include.adapters.journal import Journal
from include.adapters.route_file import RouteWriter
from include.domain.canary.breaker import RolloutRules
from include.domain.canary.plan import CanaryPlan, CanaryStep
from include.domain.canary.units import place, within
from include.domain.canary.wires import Wire
from include.domain.journal.records import AnswerRecord, Beside
from include.domain.serving.route import CanaryArm, ServedModel
from include.serving.breakers import GUARD_FOLDER, GuardConfig, GuardFiles
from include.serving.guard import Guard

MODEL, CANDIDATE, CHAMPION = "wind", "wind-2", "wind-1"
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
SHARES = (50_000, 500_000)
PLAN = CanaryPlan(tuple(CanaryStep(share, 500, HOUR, 24 * HOUR) for share in SHARES), 0.005, Wire(5, 20), 0.05)
FAILS = "its answer is no finite number"

Sick = Callable[[int, bool], bool]
"""Whether the model fails on the n-th row of which it is told whether it is in the canary's share."""


def never(_n: int, _in_canary: bool) -> bool:
    return False


@dataclass
class GuardWorld:
    """One home."""

    home: Path
    asked: int = 0
    times_us: dict[str, int] = field(default_factory=lambda: {"canary": 100, "champion": 100})

    def __post_init__(self) -> None:
        self.writer = RouteWriter(self.home / "serve" / "route.bin")
        self.files = GuardFiles(self.home / "serve" / GUARD_FOLDER)
        self.journal = Journal(self.home / "journal", "here-8100", NOON, lambda: NOON)

    @property
    def config(self) -> GuardConfig:
        serve = self.home / "serve"
        return GuardConfig(str(serve / GUARD_FOLDER), str(serve / "route.bin"), str(self.home / "journal"), "here-8100")

    def guard(self) -> Guard:
        return Guard(self.config)

    def publish(self, revision: int = 2, share: int = SHARES[0], *, number: int = 1, rules: bool = True) -> None:
        """The champion, and the candidate with a share."""
        if rules:
            self.files.keep_rules(RolloutRules(MODEL, CANDIDATE, number, PLAN.as_json()))
        arm = CanaryArm(
            served=served(CANDIDATE, revision),
            number=number,
            salt="salt",
            share_ppm=share,
            lease_s=120.0,
            until_s=boot_seconds() + 119.0,
            boot=boot_id(),
        )
        self.writer.publish({MODEL: served(CHAMPION, revision)}, NOON, {MODEL: arm})

    def share(self) -> int:
        """What a worker would draw by now, in millionths."""
        arm = self.writer.current().arms[MODEL]
        return arm.share_at(boot_id(), boot_seconds())

    def traffic(
        self, rows: int, *, canary: Sick = never, champion: Sick = never, revision: int = 2, unit: str = ""
    ) -> None:
        """Rows of as many units, drawn and written as a worker does."""
        share = self.share()
        self.journal.append([self._record(canary, champion, revision, share, unit) for _ in range(rows)])

    def traffic_without_share(self, rows: int) -> None:
        """Rows of the champion alone."""
        self.journal.append([self._record(never, never, 1, 0, "") for _ in range(rows)])

    def _record(self, canary: Sick, champion: Sick, revision: int, share: int, unit: str) -> AnswerRecord:
        self.asked += 1
        n, unit = self.asked, unit or f"unit {self.asked}"
        at = place("salt", unit)
        inside = within(at, share)
        own = {
            "candidate": CHAMPION,
            "digest": "d1",
            "us_model": self.times_us["champion"],
            **({"error": FAILS} if champion(n, inside) else {"score": 0.25, "predicted": "0"}),
        }
        record = AnswerRecord(
            asked_id=f"asked {n}",
            request_id=f"asked {n}",
            model=MODEL,
            prediction_time=NOON + n * timedelta(milliseconds=10),
            revision=1,
            route_revision=revision,
            **({"number": 1, "unit": unit, "bucket": at / 2**64, "share_ppm": share} if share else {}),
            arm="canary" if inside else "champion",
            **own,  # type: ignore[arg-type]  # of one form
        )
        if not inside:
            return record
        failed = canary(n, True)
        said = {"error": FAILS} if failed else {"score": 0.25, "predicted": "0"}
        beside = Beside(CANDIDATE, "d2", "canary", us_model=self.times_us["canary"], **said)  # type: ignore[arg-type]
        if failed or record.error is not None:
            return msgspec.structs.replace(record, beside=beside)
        other = Beside(CHAMPION, "d1", "champion", score=0.25, predicted="0", us_model=record.us_model)
        return msgspec.structs.replace(
            record, candidate=CANDIDATE, digest="d2", role="canary", us_model=beside.us_model, beside=other
        )


def served(candidate: str, revision: int, model: str = "") -> ServedModel:
    return ServedModel(model or MODEL, "binary", ["0", "1"], [], [], candidate, "d", 1, revision, 1, "/1.npz", "s")
