"""The guard: reads what the workers write down, and takes a candidate's share away as soon as it does harm.

``python -m include.serving.guard CONFIG``; the supervisor starts it beside the keeper. It is a process of its own,
because the keeper may wait for minutes for a ledger or for MLflow, and it needs neither: it reads the journal, the
route and its own folder, and it writes the route. What it did is in that folder first, so that a process that is killed
at any line leaves either nothing done, or something that is finished at the next start.
"""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from include.adapters import files
from include.adapters.boot_clock import boot_id, boot_seconds
from include.adapters.journal import Entry, JournalReader
from include.adapters.route_file import RouteReader, RouteUnreadable, RouteWriter
from include.domain.canary.breaker import Breaker, Kind, RolloutRules
from include.domain.canary.counts import RolloutCounts
from include.domain.canary.figures import figures
from include.domain.canary.journal_rows import live_row, usual_us
from include.domain.canary.log_counts import LogCounts
from include.domain.canary.plan import CanaryPlan
from include.domain.canary.stretches import Stretch
from include.domain.faults import crashpoint
from include.domain.gates.canary import Following, guarded
from include.domain.journal.records import AnswerRecord
from include.domain.serving.route import CanaryArm, Route
from include.domain.verdicts import CriterionResult
from include.serving.breakers import SEEN, GuardConfig, GuardFiles, beat

LOOK_S = 0.25
"""How often it looks."""
SAVE_S = 5.0
"""How often it writes down where it is, while rows come."""
SHOW_S = 1.0
"""How often it says what it has counted."""
AT_ONCE = 5_000
"""Records that are read before it judges."""


class GuardedRollout(msgspec.Struct):
    """One rollout that is under way."""

    candidate: str
    number: int
    since_revision: int
    """Of the route when it was first seen; rows of earlier ones are another rollout's."""
    counts: RolloutCounts


class GuardState(msgspec.Struct):
    """Where a guard is: kept, so that the next one goes on there."""

    positions: dict[str, int] = {}
    followed: dict[str, GuardedRollout] = {}
    usual: dict[str, LogCounts] = {}
    """By champion, how long it took for a row."""


@dataclass(slots=True)
class Guard:
    """One guard of one service."""

    config: GuardConfig
    files: GuardFiles = field(init=False)
    state: GuardState = field(init=False)
    damaged: str = ""
    """Why the state of the guard before could not be read; empty where it could, or where there was none."""
    _journal: JournalReader = field(init=False)
    _route: RouteReader | None = None
    _writer: RouteWriter = field(init=False)
    _rules: dict[str, RolloutRules] = field(default_factory=dict)
    _changed: bool = False
    _save_at: float = 0.0
    _show_at: float = 0.0
    _shown: str = "{}"

    def __post_init__(self) -> None:
        self.files = GuardFiles(Path(self.config.folder))
        self._writer = RouteWriter(Path(self.config.route))
        self.state, is_new = self._kept()
        self._journal = JournalReader(Path(self.config.journal), self.state.positions)
        if is_new and not self._route_now().arms:
            # No rollout is under way, so what was written down before is of no use.
            self._journal.skip()

    def look(self) -> list[Breaker]:
        """Read what is new, judge, and end what did harm; what was ended now."""
        route = self._route_now()
        self._follow(route)
        done: list[Breaker] = []
        while True:
            entries = self._journal.read(AT_ONCE)
            for record in sorted(_answers(entries), key=lambda each: each.prediction_time):
                self._count(record)
            done += self._judge(route)
            if len(entries) < AT_ONCE:
                break
        if done or (self._changed and time.monotonic() >= self._save_at):
            self.save()
        self._beat()
        self._show()
        return done

    def save(self) -> None:
        """Write down where it is."""
        self.state.positions = self._journal.positions
        with files.whole(self._state_file) as unfinished:
            unfinished.write_bytes(msgspec.msgpack.encode(self.state))
        crashpoint("guard.saved")
        self._changed, self._save_at = False, time.monotonic() + SAVE_S

    # --- within ------------------------------------------------------------------------------------------------------

    @property
    def _state_file(self) -> Path:
        return Path(self.config.folder) / "state.bin"

    def _kept(self) -> tuple[GuardState, bool]:
        try:
            return msgspec.msgpack.decode(self._state_file.read_bytes(), type=GuardState), False
        except FileNotFoundError:
            pass
        except (OSError, ValueError) as error:
            self.damaged = f"what the guard before had counted cannot be read, and counting begins again: {error}"
        return GuardState(), True

    def _route_now(self) -> Route:
        if self._route is None:
            self._route = RouteReader(Path(self.config.route))
        try:
            return self._route.route()
        except RouteUnreadable:
            # Its writer was killed while it wrote. The one who publishes next repairs it, and this may be the one.
            return self._writer.current()

    def _beat(self) -> None:
        """That it looks, for the keeper: a candidate that no guard watches gets no traffic."""
        with contextlib.suppress(OSError):
            beat(Path(self.config.folder))

    def _show(self) -> None:
        """What was counted, for the keeper, which says it in the ledger, and for people on this host."""
        if time.monotonic() < self._show_at:
            return
        shown = {
            model: {
                "candidate": each.candidate,
                "number": each.number,
                **figures(CanaryPlan.from_json(self._rules[model].plan), each.counts),
            }
            for model, each in self.state.followed.items()
            if model in self._rules
        }
        text = msgspec.json.encode(shown).decode()
        if text != self._shown:
            files.write_text(self.files.folder / SEEN, text)
            self._shown = text
        self._show_at = time.monotonic() + SHOW_S

    def _follow(self, route: Route) -> None:
        """Begin with rollouts that are new in the route, and forget those that are gone from it."""
        for model in [each for each in self.state.followed if each not in route.arms]:
            del self.state.followed[model]
            self._changed = True
        champions = {served.candidate for served in route.models.values()}
        self.state.usual = {name: times for name, times in self.state.usual.items() if name in champions}
        self._rules = {}
        for model, arm in route.arms.items():
            broken = self.files.of(*arm.is_of)
            if broken is not None and broken.holds_against(*arm.is_of, arm.served.route_revision):
                self._end(broken)
                continue
            rules = self.files.rules(*arm.is_of)
            if rules is None:
                if arm.share_at(boot_id(), boot_seconds()) > 0:
                    self._broken(arm, "hold", "What it is judged by is not known to the guard of this host.", {})
                continue
            self._rules[model] = rules
            followed = self.state.followed.get(model)
            if followed is None or (followed.candidate, followed.number) != arm.is_of:
                followed = self._begun(arm, rules, route.models[model].candidate)
            if arm.share_ppm in followed.counts.shares:
                followed.counts.begin(Stretch(arm.served.route_revision, arm.share_ppm))

    def _begun(self, arm: CanaryArm, rules: RolloutRules, champion: str) -> GuardedRollout:
        plan = CanaryPlan.from_json(rules.plan)
        counts = RolloutCounts(rules.number, plan.wire, tuple(step.share_ppm for step in plan.steps))
        counts.champion_times = self.state.usual.get(champion, counts.champion_times)
        followed = GuardedRollout(rules.candidate, rules.number, arm.served.route_revision, counts)
        self.state.followed[arm.served.model], self._changed = followed, True
        return followed

    def _count(self, record: AnswerRecord) -> None:
        self._changed = True
        followed = self.state.followed.get(record.model)
        if followed is None or record.number != followed.number or record.route_revision < followed.since_revision:
            us = usual_us(record)
            if us is not None and followed is None:
                self.state.usual.setdefault(record.candidate, LogCounts()).add_recent(us)
            return
        rules = self._rules.get(record.model)
        followed.counts.add(live_row(record, decides=rules is None or rules.decides))

    def _judge(self, route: Route) -> list[Breaker]:
        done = []
        for model, arm in route.arms.items():
            followed = self.state.followed.get(model)
            if followed is None or (followed.candidate, followed.number) != arm.is_of:
                continue
            rules = self._rules.get(model)
            if rules is None or followed.counts.newest is None or self._is_ended(arm):
                continue
            found = guarded(CanaryPlan.from_json(rules.plan), followed.counts.evidence(timedelta(0)))
            if found is not None:
                following, because = found
                kind: Kind = "trip" if following is Following.END else "hold"
                done.append(self._broken(arm, kind, because.reason, _evidence(because, followed.counts)))
        return done

    def _is_ended(self, arm: CanaryArm) -> bool:
        broken = self.files.of(*arm.is_of)
        return broken is not None and broken.holds_against(*arm.is_of, arm.served.route_revision)

    def _broken(self, arm: CanaryArm, kind: Kind, reason: str, evidence: dict[str, object]) -> Breaker:
        """On the disk first, then out of the route: whoever starts next finds it, wherever this process was killed."""
        breaker = Breaker(
            model=arm.served.model,
            candidate=arm.served.candidate,
            number=arm.number,
            kind=kind,
            reason=reason,
            route_revision=arm.served.route_revision,
            instance=self.config.instance,
            at=datetime.now(UTC),
            evidence=evidence,
        )
        crashpoint("guard.decided")
        self.files.keep(breaker)
        crashpoint("guard.kept")
        self._end(breaker)
        crashpoint("guard.ended")
        print(f"{breaker.model}: {breaker.candidate} has no share on this host any more. {reason}", flush=True)
        return breaker

    def _end(self, breaker: Breaker) -> None:
        self._writer.end_share(breaker.model, breaker.number, breaker.reason, datetime.now(UTC))


def _answers(entries: list[Entry]) -> list[AnswerRecord]:
    return [entry.record for entry in entries if isinstance(entry.record, AnswerRecord)]


def _evidence(because: CriterionResult, counts: RolloutCounts) -> dict[str, object]:
    """What a person looks at later."""
    now = counts.now
    return {
        "criterion": because.criterion,
        "measured": because.measured,
        "allowed": because.allowed,
        "rows": now.rows,
        "share_ppm": counts.stretch.share_ppm,
        "canary": list(now.rate(is_canary=True)),
        "champion": list(now.rate(is_canary=False)),
    }


def run(config: GuardConfig) -> None:
    """Look until SIGTERM."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    guard = Guard(config)
    if guard.damaged:
        print(guard.damaged, flush=True)
    while not stop.is_set():
        guard.look()
        stop.wait(LOOK_S)
    guard.save()


if __name__ == "__main__":
    run(msgspec.json.decode(sys.argv[1], type=GuardConfig))
