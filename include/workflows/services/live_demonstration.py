"""The replay whose days are answered live: each flight is asked about over HTTP at its prediction time, with features
that the streams brought, and Airflow's part of a day begins when the day is over.

While Airflow publishes, collects, judges and trains, the data's clock is held. So a retrain has, in the data's time,
the same moment as in the replay of batch days, and a challenger is in shadow before the next request comes.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from include.adapters import files
from include.config.settings import PROJECT
from include.domain.errors import Refusal
from include.domain.intervals import Interval
from include.workflows import stores
from include.workflows.services.demonstration import Demonstration
from include.workflows.services.live_traffic import JournalSeen, LiveTraffic

ONLINE = "flight_delay"
ASKED_ONLINE = """
serving: # of `make run ARGS=--serve` only: a long deadline, for the machine is busy with everything else
  mode: online
  deadline: 2s
canary: null # its traffic is of days that are over within seconds, and a share must last some time
"""


class DaysOfBatch(Refusal):
    """A home whose days were scored in batch: they cannot be answered again online."""

    def __init__(self, home: Path, model: str, days: int) -> None:
        super().__init__(
            f"{home} has {days} days of {model} that were scored in batch, and a day is answered once. Name an empty "
            "folder for the live replay: SLIPWAY_HOME=$PWD/.slipway-live make run ARGS=--serve"
        )


@dataclass(slots=True)
class LiveDemonstration(Demonstration):
    """One live replay over one running Airflow and one running service."""

    traffic: LiveTraffic | None = None
    seen: JournalSeen | None = None

    def replay_day(self, day: str, following: str | None = None) -> bool:
        """Answer the day live, then let Airflow publish, collect and judge it. Nothing of the ``following`` day is
        prepared: its rows would be online before their time."""
        if self.traffic is None or self.seen is None:
            raise RuntimeError("a live replay needs its traffic")
        self.tell.now(f"{day}: asking {', '.join(m.name for m in self.traffic.models)}")
        self.traffic.day(Interval.of_day(day), self.seen)
        self._check_stop()
        return super(LiveDemonstration, self).replay_day(day, None)


def declare_online(home: Path) -> Path:
    """The project's declarations as a folder of this home, in which the example is asked online; the same for every
    start of the home."""
    folder = home / "declared"
    for name in ("models", "features"):
        shutil.copytree(PROJECT / "include" / name, folder / name, dirs_exist_ok=True)
    file = folder / "models" / ONLINE / "model.yaml"
    said = (PROJECT / "include" / "models" / ONLINE / "model.yaml").read_text("utf-8")
    # A model answers ahead, or when it is asked.
    asked = "".join(line for line in said.splitlines(keepends=True) if not line.startswith("score:"))
    files.write_text(file, asked + ASKED_ONLINE)
    return folder


def require_no_batch_days(home: Path) -> None:
    """
    Raises:
        DaysOfBatch: when the home's days were replayed in batch.
    """
    with stores.open_ledger() as ledger:
        made = ledger.lineage.scorings(ONLINE)
    if made and not (home / "live").is_dir():
        raise DaysOfBatch(home, ONLINE, len({each.day for each in made}))
