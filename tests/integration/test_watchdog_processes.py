"""The watchdog on real processes: what is killed or stopped comes back, what works is left alone; a full disk too."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from include.adapters.airflow_api import Health
from include.adapters.processes import Child, Command, cpu_s, end_sessions
from include.workflows.services.watchdog import Patience, Watchdog

BUSY = "while True: pass"
IDLE = "import time\nwhile True: time.sleep(0.01); sum(range(20000))"


class Processes:
    """Two processes, of which neither has a heart that beats."""

    def __init__(self, log: Path) -> None:
        self.names = ("scheduler", "triggerer")
        self.log = log
        self.children = {name: self._child(name) for name in self.names}

    def _child(self, name: str) -> Child:
        code = BUSY if name == "scheduler" else IDLE
        return Child(Command(name, (sys.executable, "-c", code), Path("/"), dict(os.environ), self.log))

    def exit_code(self, name):
        return self.children[name].exit_code()

    def age_s(self, name):
        return self.children[name].age_s

    def cpu_s(self, name):
        return cpu_s(self.children[name].pid)

    def restart(self, name):
        end_sessions([self.children[name].pid], 0.0)
        self.children[name].wait(5)
        self.children[name] = self._child(name)

    def health(self):
        return Health("healthy", dict.fromkeys(self.names, "unhealthy"), dict.fromkeys(self.names))

    def mlflow_answers(self):
        return True


@pytest.fixture
def processes(tmp_path):
    # Every write to it says that the disk is full.
    made = Processes(Path("/dev/full"))
    yield made
    for child in made.children.values():
        end_sessions([child.pid], 0.0)
        child.wait(5)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a file that is always full")
def test_f119_on_a_full_disk_what_is_killed_or_stopped_comes_back_and_what_works_is_left_alone(processes, tmp_path):
    patience = Patience(look_every_s=0.02, check_every_s=0.1, young_for_s=1.0, idle_for_s=2.0, idle_below_s=0.02)
    watchdog = Watchdog(processes, lambda line: None, time.time, Path("/dev/full"), patience)
    working, stopped = processes.children["scheduler"].pid, processes.children["triggerer"].pid
    watchdog.start()
    try:
        until = time.monotonic() + 60
        # Unwell all the time, but at work: neither is restarted.
        while processes.age_s("triggerer") < 4:
            assert time.monotonic() < until
            time.sleep(0.05)
        assert watchdog.restarts == {}
        os.kill(stopped, signal.SIGSTOP)
        while "triggerer" not in watchdog.restarts:
            assert time.monotonic() < until
            time.sleep(0.05)
        assert processes.children["scheduler"].pid == working
        os.kill(working, signal.SIGKILL)
        while "scheduler" not in watchdog.restarts:
            assert time.monotonic() < until
            time.sleep(0.05)
    finally:
        watchdog.stop()
    assert watchdog.given_up == {}
    assert processes.children["scheduler"].pid != working
    assert processes.children["triggerer"].pid != stopped


def test_the_time_a_process_has_used_grows_while_it_works_and_not_while_it_is_stopped(processes):
    pid = processes.children["scheduler"].pid
    until = time.monotonic() + 60
    while (cpu_s(pid) or 0.0) < 0.2:
        assert time.monotonic() < until
    os.kill(pid, signal.SIGSTOP)
    settled = cpu_s(pid)
    while (now := cpu_s(pid)) != settled:
        settled = now
    assert cpu_s(pid) == settled
