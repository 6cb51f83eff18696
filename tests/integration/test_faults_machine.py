"""What happens to the machine: no memory, no power, no place to write, a ledger that is locked or damaged."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from forking import KILLED, PROJECT, STOPPED, Forking
from hungry_training import SAID
from invariants import check_invariants
from journey_world import NOW, JourneyWorld, at, key
from ledger_fixtures import request
from release_story import Story, left

from include.adapters.ledger import Facts, Ledger, LedgerDamaged, LedgerUnavailable, Notice, Scope, in_force
from include.adapters.offline_store import OfflineStore, content_hash
from include.adapters.ports import free_ports
from include.adapters.processes import Lock
from include.config.settings import settings
from include.domain.intervals import Interval
from include.domain.lifecycle import Event
from include.workflows import tasks
from include.workflows.alerts import outbox

# --- f041: no memory -------------------------------------------------------------------------------------------------


@pytest.fixture
def set_built(world: JourneyWorld) -> dict[str, Any]:
    """A journey that is about to fit."""
    reference = world.open("r", 13)
    tasks.build_training_set(reference)
    assert world.judge("training_data_gate", reference)["passed"]
    return reference


def nothing_registered(world: JourneyWorld, reference: dict[str, Any]) -> None:
    assert world.candidate(reference).facts == Facts()
    assert world.versions_in_mlflow() == []
    assert world.registry.registered(world.model).aliases == {}


def test_f041_a_fit_out_of_memory_is_one_line_and_with_enough_memory_the_retry_goes_through(
    world, set_built, forking: Forking
):
    pid = forking.start("hungry_training:train_within", set_built, 1024)
    assert forking.wait(pid) == 1, forking.said(pid)
    last = forking.said(pid).splitlines()[-1]
    assert last.startswith(
        "FitOutOfMemory: LogisticRegression needs more memory than this process may have, on 648 rows and "
    )
    assert last.endswith(
        "Nothing was kept. Give the process more memory and run the step again, or make training.window_days smaller."
    )
    nothing_registered(world, set_built)
    with Ledger.open(settings().ledger_url) as ledger:
        (stop,) = ledger.stops.of_lap(set_built["candidate_id"])
    assert (stop.step, stop.said) == ("train", last)

    pid = forking.start("hungry_training:train_within", set_built, 8192)
    assert forking.wait(pid) == 0, forking.said(pid)
    with Ledger.open(settings().ledger_url) as ledger:
        assert in_force(ledger.stops.of_lap(set_built["candidate_id"])) == []
    assert world.candidate(set_built).facts.artifact_digest is not None
    assert len(world.runs_in_mlflow()) == 1
    tasks.close_journey(set_built)
    check_invariants(world)


def test_f041_wherever_in_the_step_the_memory_ends_nothing_is_half_registered(world, set_built, forking: Forking):
    """With next to nothing to spare it ends before the fit: in the ledger's driver, in a thread, in MLflow's client."""
    ended = []
    for spare_mb in (1, 8, 32, 128, 512):
        pid = forking.start("hungry_training:train_within", set_built, spare_mb)
        ended.append(forking.wait(pid))
        nothing_registered(world, set_built)
    assert 0 not in ended
    assert STOPPED not in ended
    pid = forking.start("hungry_training:train_within", set_built, 8192)
    assert forking.wait(pid) == 0, forking.said(pid)
    assert len(world.runs_in_mlflow()) == 1
    tasks.close_journey(set_built)
    check_invariants(world)


# --- f121: the ledger is locked, damaged or an old copy --------------------------------------------------------------

HOLDS_SQLITE = """
import sqlite3, sys, time
held = sqlite3.connect(sys.argv[1], isolation_level=None)
held.execute("BEGIN EXCLUSIVE")
print("locked", flush=True)
time.sleep(3600)
"""
HOLDS_POSTGRES = """
import sys, time
from sqlalchemy import create_engine, text
with create_engine(sys.argv[1]).begin() as held:
    held.execute(text("LOCK TABLE candidates, attempts IN ACCESS EXCLUSIVE MODE"))
    print("locked", flush=True)
    time.sleep(3600)
"""


@contextmanager
def locked_by_another_process(url: str) -> Iterator[None]:
    """Every table that opening a journey writes, held by a process that does nothing; killed at the end."""
    code, where = (HOLDS_SQLITE, url.removeprefix("sqlite:///")) if url.startswith("sqlite") else (HOLDS_POSTGRES, url)
    holder = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", code, where], stdout=subprocess.PIPE, text=True, cwd=PROJECT
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "locked\n"
        yield
    finally:
        holder.kill()
        holder.communicate()


def test_f121_a_locked_ledger_is_one_line_within_the_promised_time_and_works_again_afterwards(
    ledger, ledger_url, monkeypatch
):
    monkeypatch.setenv("SLIPWAY_DATABASE_TIMEOUT_S", "2")
    with Ledger.open(ledger_url) as mine:
        first = mine.candidates.open(request("run-1"))
        with locked_by_another_process(ledger_url):
            began = time.monotonic()
            with pytest.raises(LedgerUnavailable) as refused:
                mine.candidates.close(first.candidate_id, Event.FAIL, outcome="x", actor="x")
            # The promise is the wait; the rest is for a machine that is busy.
            assert 1.5 < time.monotonic() - began < 2 + 20
        said = str(refused.value)
        assert "did not answer within 2 s or failed: " in said
        assert said.endswith("It can be tried again as it is.")
        assert "\n" not in said
        assert mine.candidates.get(first.candidate_id) == first
        closed = mine.candidates.close(first.candidate_id, Event.FAIL, outcome="x", actor="x")
        assert mine.candidates.get(first.candidate_id) == closed


@pytest.mark.slow
def test_f121_a_ledger_locked_for_a_minute_costs_a_task_its_tries_and_no_more(world, monkeypatch):
    """As Airflow does it: the task is tried until it goes through."""
    monkeypatch.setenv("SLIPWAY_DATABASE_TIMEOUT_S", "20")
    reference = world.open("r", 13)
    refused = []
    with locked_by_another_process(settings().ledger_url):
        began = time.monotonic()
        while time.monotonic() - began < 60:
            with pytest.raises(LedgerUnavailable) as failed:
                tasks.build_training_set(reference)
            refused.append(str(failed.value))
    assert 2 <= len(refused) <= 4
    assert all("did not answer within 20 s or failed: database is locked" in said for said in refused)
    assert tasks.build_training_set(reference)["rows"] == 648
    assert world.judge("training_data_gate", reference)["passed"]
    tasks.close_journey(reference)
    check_invariants(world)


DAMAGE = {
    "written over": lambda whole: b"<html>not found</html>" * 400,
    "beginning lost": lambda whole: bytes(4096) + whole[4096:],
    "cut off": lambda whole: whole[: len(whole) // 3],
    "a page of zeros in every table": lambda whole: whole[:4096] + bytes(len(whole) - 4096),
}


@pytest.mark.parametrize("how", DAMAGE)
def test_f121_a_damaged_ledger_is_one_line_with_the_way_out_and_nothing_is_written_to_it(tmp_path, how):
    file, backup = tmp_path / "ledger.db", tmp_path / "backup.db"
    with Ledger.open(f"sqlite:///{file}") as ledger:
        first = ledger.candidates.open(request("run-1"))
        with closing(sqlite3.connect(file)) as live, closing(sqlite3.connect(backup)) as copy:
            live.backup(copy)
            live.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    damaged = DAMAGE[how](file.read_bytes())
    file.write_bytes(damaged)
    with pytest.raises(LedgerDamaged) as refused, Ledger.open(f"sqlite:///{file}") as ledger:
        ledger.candidates.close(first.candidate_id, Event.FAIL, outcome="x", actor="x")
    said = str(refused.value)
    assert said.startswith(f"The ledger at sqlite:///{file} cannot be read: ")
    assert "put the newest backup in its place" in said
    assert "\n" not in said
    assert file.read_bytes() == damaged

    done = slipway("history", "flight_delay", SLIPWAY_LEDGER_URL=f"sqlite:///{file}")
    assert (done.returncode, done.stdout) == (69, "")
    assert done.stderr == f"slipway: {said}\n"
    assert file.read_bytes() == damaged

    # The way out, as the line has it.
    for each in tmp_path.glob("ledger.db*"):
        each.unlink()
    shutil.copyfile(backup, file)
    with Ledger.open(f"sqlite:///{file}") as ledger:
        assert ledger.candidates.get(first.candidate_id) == first


def slipway(*arguments: str, stdout: Any = subprocess.PIPE, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "include.cli", *arguments],
        cwd=PROJECT,
        env={**os.environ, **environment},
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        timeout=300,
        check=False,
    )


def test_f121_a_copy_of_an_older_ledger_moves_nothing_until_the_newer_one_is_back(story: Story):
    """The file as it was before the second promotion, copied over the live one without what lies beside it."""
    story.back_to("promotion")
    older = story.moments["promotion"].folder / "home" / "ledger.db"
    tasks.promote(story.references["second"], NOW)
    tasks.close_journey(story.references["second"])
    ahead = left(story.world)
    ledger = settings().home / "ledger.db"
    kept = {file.name: file.read_bytes() for file in ledger.parent.glob("ledger.db*")}
    with closing(sqlite3.connect(older)) as source, closing(sqlite3.connect(ledger.with_name("copy.db"))) as copy:
        source.backup(copy)
    for name in kept:
        (ledger.parent / name).unlink()
    ledger.with_name("copy.db").rename(ledger)

    for step in (
        lambda: tasks.roll_back(story.world.model, "rollback-1", {"reason": "late flights missed"}, "ada"),
        lambda: tasks.promote(story.references["second"], NOW),
    ):
        with pytest.raises(Exception, match="is not the one its registry knows") as refused:
            step()
        assert "\n" not in str(refused.value)
    behind = left(story.world)
    assert {name: behind[name] for name in ("aliases", "tags", "versions")} == {
        name: ahead[name] for name in ("aliases", "tags", "versions")
    }
    for file in ledger.parent.glob("ledger.db*"):
        file.unlink()
    for name, content in kept.items():
        (ledger.parent / name).write_bytes(content)
    assert left(story.world) == ahead
    check_invariants(story.world)


# --- f122: no power --------------------------------------------------------------------------------------------------

POWER_CUTS = {
    # Each is what was under way: the task, and the point that it had reached.
    "publishing, scoring and promoting": (
        ("publish", "features.publish.committed"),
        ("score", "scoring.served.kept"),
        ("promote", "ledger.promote.committed"),
    ),
    "a promotion inside its transaction": (("promote", "ledger.promote.written"),),
    "answers written, alias moved": (("score", "scoring.served.written"), ("promote", "aliases.champion")),
    "a claim inside its transaction": (("score", "ledger.claim.written"),),
    "everything just done": (
        ("publish", "features.publish.recorded"),
        ("promote", "release.tagged"),
    ),
}


@pytest.fixture
def before_the_cut(story: Story) -> dict[str, tuple[str, list[Any]]]:
    """A moment at which one day is to be published, another one to be scored, and a candidate to be promoted."""
    if "power" not in story.moments:
        story.back_to("promotion")
        story.world.next_day(18, score=False)
        story.world.fill_days(19, 20)
        staged = tasks.materialize("trip_plan", key(19), {}, "features-19", NOW)
        assert tasks.audit(staged, NOW)["passed"]
        story.references["staged"] = dict(staged)
        story.keep("power")
    story.back_to("power")
    return {
        "publish": ("include.workflows.tasks:publish", [story.references["staged"], {}]),
        "score": ("include.workflows.tasks:score", [story.world.model, key(18), "score-18"]),
        "promote": ("include.workflows.tasks:promote", [story.references["second"], NOW]),
    }


def what_is_there(story: Story) -> tuple[dict[str, Any], str, str]:
    store = OfflineStore(settings().store)
    answers = store.read_predictions(story.world.model, Interval(at(18), at(19)))
    roles = sorted(zip(answers.column("role").to_pylist(), answers.column("candidate_id").to_pylist(), strict=True))
    view = story.world.declared.view("trip_plan")
    return left(story.world), content_hash(store.read(view, Interval(at(19), at(20)))), repr(roles)


@pytest.mark.slow
@pytest.mark.parametrize("cut", POWER_CUTS)
def test_f122_after_a_power_cut_the_same_tasks_finish_without_anybody_s_help(
    story: Story, forking: Forking, before_the_cut, cut
):
    under_way = POWER_CUTS[cut]
    pids = []
    for task, point in under_way:
        call, args = before_the_cut[task]
        pids.append(forking.start(call, *args, FAULT_PAUSE=f"{point}:"))
        assert forking.wait(pids[-1]) == STOPPED, f"{task} at {point}: {forking.said(pids[-1])}"
    # At once: whatever runs, MLflow too.
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    story.server.kill()
    assert [forking.wait(pid) for pid in pids] == [KILLED] * len(pids)
    for beside in settings().home.glob("ledger.db-shm"):
        beside.unlink()  # memory, as the name says: it does not outlive the machine

    story.server.start()
    for task, _ in under_way:
        call, args = before_the_cut[task]
        pid = forking.start(call, *args)
        assert forking.wait(pid) == 0, f"{task}: {forking.said(pid)}"
    finished = what_is_there(story)
    for task, _ in under_way:
        call, args = before_the_cut[task]
        assert forking.run(call, *args) == 0
    assert what_is_there(story) == finished
    tasks.close_journey(story.references["second"])
    story.world.children = list(pids)
    check_invariants(story.world)


# --- f126: no place for logs and output -------------------------------------------------------------------------------

BUFFERED = {"PYTHONUNBUFFERED": ""}
"""As most people have it: what could not be written is tried again when the process ends."""
needs_dev_full = pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a file that is always full")


@needs_dev_full
@pytest.mark.parametrize("json", [[], ["--json"]])
def test_f126_an_answer_that_finds_no_room_is_no_success_and_no_stack_trace(tmp_path, json):
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        own = {"SLIPWAY_HOME": str(tmp_path), "SLIPWAY_DECLARATIONS": str(PROJECT / "include")}
        done = slipway("history", "flight_delay", *json, stdout=full, **own, **BUFFERED)
    assert done.stderr == "slipway: it is done, but its answer could not be written (No space left on device).\n"
    assert done.returncode == 70


def test_f126_a_reader_that_left_is_neither_a_failure_nor_a_stack_trace(tmp_path):
    ours, theirs = os.pipe()
    os.close(ours)
    with os.fdopen(theirs, "w") as nobody:
        own = {"SLIPWAY_HOME": str(tmp_path), "SLIPWAY_DECLARATIONS": str(PROJECT / "include")}
        done = slipway("history", "flight_delay", stdout=nobody, **own, **BUFFERED)
    assert (done.returncode, done.stderr) == (0, "")


def test_f126_an_answer_beyond_the_limit_of_a_file_is_no_success_either(tmp_path):
    with (tmp_path / "answer").open("w", encoding="utf-8") as stream:
        done = subprocess.run(
            ["/bin/sh", "-c", 'ulimit -f 0 && exec "$@"', "sh", sys.executable, "-m", "include.cli", "--version"],
            cwd=PROJECT,
            stdout=stream,
            stderr=subprocess.PIPE,
            text=True,
            timeout=300,
            check=False,
        )
    assert "Traceback" not in done.stderr
    assert done.returncode != 0


def test_f126_a_file_in_place_of_the_folder_of_logs_is_one_line_before_anything_is_started(tmp_path):
    (tmp_path / "logs").write_text("a log of somebody else", encoding="utf-8")
    airflow, mlflow = free_ports(2)
    ports = [f"--airflow-port={airflow}", f"--mlflow-port={mlflow}"]
    done = slipway("up", *ports, SLIPWAY_HOME=str(tmp_path))
    (last,) = [line for line in done.stderr.splitlines() if not line.startswith("Warning: ")]
    assert last == (
        f"slipway: {tmp_path / 'logs'} cannot be made a folder (File exists). Move away what is in its place, or set "
        "SLIPWAY_HOME to a folder that can be written. Nothing was started."
    )
    assert done.returncode == 69
    assert (tmp_path / "logs").read_text(encoding="utf-8") == "a log of somebody else"
    Lock(tmp_path / "services.lock").release()


@needs_dev_full
@pytest.mark.parametrize("what", ["a full disk", "a folder in place of the file"])
def test_f126_a_notice_that_finds_no_room_in_its_file_waits_with_the_reason_and_is_told_later(
    ledger, tmp_path, monkeypatch, what
):
    monkeypatch.setenv("SLIPWAY_HOME", str(tmp_path))
    file = tmp_path / outbox.FILE
    if what == "a full disk":
        file.symlink_to("/dev/full")
    else:
        file.mkdir()
    told = Notice("promoted/flight_delay/1", Scope.MODEL, "flight_delay", "promoted", "model", "ada", "v1", "/")
    ledger.notices.put(told, NOW)
    (said,) = outbox.sweep(ledger, outbox.to_file, NOW)
    assert "could not be notified (promoted, try 1): " in said
    assert "\n" not in said
    file.unlink() if file.is_symlink() else file.rmdir()
    outbox.sweep(ledger, outbox.to_file, ledger.notices.unsent()[0].due_at)
    assert len(file.read_text(encoding="utf-8").splitlines()) == 1
    assert ledger.notices.unsent() == []


@pytest.mark.parametrize(("most_bytes", "ends"), [(0, {SAID}), (5_000, {SAID}), (1_000_000, {0})])
def test_f126_a_score_on_a_full_disk_is_one_line_and_the_retry_leaves_what_a_quiet_day_leaves(
    story: Story, forking: Forking, before_the_cut, most_bytes, ends
):
    _, args = before_the_cut["score"]
    pid = forking.start("hungry_training:score_writing_at_most", *args, most_bytes)
    assert forking.wait(pid) in ends, forking.said(pid)
    tasks.score(*args)
    retried = what_is_there_of_the_18th(story)
    story.back_to("power")
    tasks.score(*args)
    assert retried == what_is_there_of_the_18th(story)
    check_invariants(story.world)


def what_is_there_of_the_18th(story: Story) -> tuple[dict[str, Any], str]:
    answers = OfflineStore(settings().store).read_predictions(story.world.model, Interval(at(18), at(19)))
    return left(story.world), content_hash(answers)
