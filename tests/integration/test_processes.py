"""Child processes that never outlive their parent, and ports that are checked before anything starts."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from waiting import PATIENCE_S, eventually

from include.adapters.ports import PortTaken, PortUse, check_ports, free_ports
from include.adapters.processes import AlreadyHeld, Child, Command, Lock, ProcessGuard, end_sessions, members

PROJECT = Path(__file__).resolve().parents[2]

# A parent with a child in a process group of its own that takes no SIGTERM, as Airflow's tasks are.
FAMILY = """
import os, signal, sys, time
if os.fork() == 0:
    os.setpgid(0, 0)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print("grandchild", os.getpid(), flush=True)
    time.sleep(3600)
print("ready", flush=True)
time.sleep(3600)
"""


def a_command(tmp_path: Path, code: str) -> Command:
    return Command("toy", (sys.executable, "-c", code), tmp_path, dict(os.environ), tmp_path / "logs" / "toy.log")


def its_grandchild(log: Path) -> int:
    """The grandchild's process id, when child and grandchild both have said that they are there."""

    def said() -> dict[str, str]:
        return {words[0]: words[-1] for line in log.read_text().splitlines() if (words := line.split())}

    assert eventually(lambda: log.exists() and {"grandchild", "ready"} <= set(said()))
    return int(said()["grandchild"])


def a_family(tmp_path: Path) -> tuple[Child, int]:
    """A child with a grandchild; the grandchild's process id."""
    child = Child(a_command(tmp_path, FAMILY))
    return child, its_grandchild(child.command.log)


def runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


# --- ports -----------------------------------------------------------------------------------------------------------


def test_free_ports_can_be_used():
    one, other = free_ports(2)
    check_ports("127.0.0.1", [PortUse(one, "Airflow", "--airflow-port"), PortUse(other, "MLflow", "--mlflow-port")])


@pytest.mark.parametrize("listens_on", ["127.0.0.1", "0.0.0.0"])
def test_a_port_in_use_is_named_with_what_changes_it(listens_on):
    with socket.socket() as taken:
        taken.bind((listens_on, 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(PortTaken) as caught:
            check_ports("127.0.0.1", [PortUse(port, "Airflow", "--airflow-port or SLIPWAY_AIRFLOW_PORT")])
    expected = f"Port {port} for Airflow is in use (choose another with --airflow-port or SLIPWAY_AIRFLOW_PORT)."
    assert str(caught.value) == expected


def test_all_ports_are_checked_before_one_is_complained_about():
    with socket.socket() as one, socket.socket() as other:
        for taken in (one, other):
            taken.bind(("127.0.0.1", 0))
            taken.listen()
        uses = [PortUse(one.getsockname()[1], "Airflow", "a"), PortUse(other.getsockname()[1], "MLflow", "m")]
        with pytest.raises(PortTaken, match=r"Port .* for Airflow is in use \(.*\); port .* for MLflow is in use"):
            check_ports("127.0.0.1", uses)


def test_one_port_for_two_purposes_is_refused():
    (port,) = free_ports(1)
    with pytest.raises(PortTaken, match="for MLflow is also meant for Airflow"):
        check_ports("127.0.0.1", [PortUse(port, "Airflow", "a"), PortUse(port, "MLflow", "m")])


# --- lock ------------------------------------------------------------------------------------------------------------


def test_a_lock_is_held_once_and_names_its_holder(tmp_path):
    held = Lock(tmp_path / "home" / "services.lock")
    with pytest.raises(AlreadyHeld) as caught:
        Lock(tmp_path / "home" / "services.lock")
    assert caught.value.pid == os.getpid()
    held.release()
    Lock(tmp_path / "home" / "services.lock").release()


# --- children --------------------------------------------------------------------------------------------------------


def test_a_child_says_why_it_ended(tmp_path):
    child = Child(a_command(tmp_path, "import sys; print('no such table', file=sys.stderr); sys.exit(3)"))
    assert child.wait(PATIENCE_S) == 3
    assert child.last_words() == "no such table"


def test_ending_a_session_ends_grandchildren_in_groups_of_their_own(tmp_path):
    child, grandchild = a_family(tmp_path)
    assert grandchild in members([child.pid])
    end_sessions([child.pid], grace_s=0.2)
    assert child.wait(PATIENCE_S) == -signal.SIGTERM
    assert not runs(grandchild)
    assert members([child.pid]) == set()


def test_a_stopped_process_is_ended_too(tmp_path):
    child, grandchild = a_family(tmp_path)
    os.kill(child.pid, signal.SIGSTOP)
    os.kill(grandchild, signal.SIGSTOP)
    end_sessions([child.pid], grace_s=0.1)
    assert child.wait(PATIENCE_S) is not None
    assert not runs(grandchild)


def test_nothing_outlives_a_parent_that_is_killed(tmp_path):
    log = tmp_path / "toy.log"
    script = textwrap.dedent(
        f"""
        import os, sys, time
        from pathlib import Path
        from include.adapters.processes import Child, Command, ProcessGuard
        folder = Path({str(tmp_path)!r})
        guard = ProcessGuard(grace_s=0.2)
        child = Child(Command("toy", (sys.executable, "-c", {FAMILY!r}), folder, dict(os.environ), folder / "toy.log"))
        guard.watch(child.pid)
        print(child.pid, guard.pid, flush=True)
        time.sleep(3600)
        """
    )
    parent = subprocess.Popen([sys.executable, "-c", script], cwd=PROJECT, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child, guard = (int(word) for word in parent.stdout.readline().split())
    grandchild = its_grandchild(log)
    everybody = members([child])
    assert everybody == {child, grandchild}
    parent.kill()
    parent.wait()
    parent.stdout.close()
    assert eventually(lambda: not any(runs(pid) for pid in everybody))
    assert eventually(lambda: not runs(guard))


def test_a_guard_that_has_nothing_left_to_do_ends_at_once(tmp_path):
    guard = ProcessGuard(grace_s=3600)
    guard.watch(2**22 + 1)
    guard.forget(2**22 + 1)
    guard.close()
    assert not guard.alive()


def test_the_guard_holds_the_lock_until_everything_has_ended(tmp_path):
    lock = Lock(tmp_path / "lock")
    guard = ProcessGuard(keeps_open=[lock.fileno()])
    lock.release()
    with pytest.raises(AlreadyHeld):
        Lock(tmp_path / "lock")
    guard.close()
    Lock(tmp_path / "lock").release()


def test_f126_a_log_in_a_place_that_is_no_folder_keeps_nothing_from_being_started(tmp_path):
    (tmp_path / "logs").write_text("a file", encoding="utf-8")
    child = Child(a_command(tmp_path, "raise SystemExit(3)"))
    assert child.wait(PATIENCE_S) == 3
    assert child.last_words() == "its log cannot be read (Not a directory)"
