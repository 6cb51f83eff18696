"""Registering, promoting and rolling back while something outside breaks, races, or is changed by hand."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
import skops.io
from forking import KILLED, STOPPED, Forking
from invariants import check_invariants
from journey_world import NOW
from ledger_fixtures import an_operator, challenger, promote
from losing_proxy import LosingProxy
from mlflow import MlflowClient
from release_story import Story, left
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer
from sqlalchemy import update

from include.adapters import model_files
from include.adapters.ledger import DigestMismatch, Ledger, NotCleared, NothingToRollBackTo, OverrideRequest
from include.adapters.ledger.tables import candidates
from include.adapters.registry import CHALLENGER, CHAMPION, RegistryUnreachable, VersionMissing
from include.cli import main
from include.config.settings import settings
from include.domain.authority import OPERATORS
from include.domain.errors import Refusal
from include.workflows import tasks
from include.workflows.journey.step import JourneyIsOver
from include.workflows.release import reconcile
from include.workflows.release.mlflow_aliases import LedgerBehind
from include.workflows.release.promotion import CannotRunHere
from include.workflows.release.reconcile import AliasFault, AliasRepair

PROMOTE = "include.workflows.tasks:promote"
REGISTER = "include.workflows.tasks:register_challenger"
GIVES_UP_WITHIN_S = 120.0
"""Far above what an impatient caller needs on a busy machine, far below the twenty minutes of MLflow's own defaults."""
IMPATIENT = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "2", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1"}
WHY = {"reason": "late flights missed"}


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """MLflow's client gives up after seconds, as it does after a minute or two in production."""
    for name, value in IMPATIENT.items():
        monkeypatch.setenv(name, value)


def mlflow_of(story: Story) -> MlflowClient:
    return MlflowClient(story.server.url, story.server.url)


def second(story: Story) -> dict[str, Any]:
    return story.references["second"]


def files_of(story: Story, name: str) -> list[Path]:
    """The second candidate's files of that name on the MLflow server's own disk."""
    run = str(story.world.candidate(second(story)).facts.mlflow_run_id)
    model = str(story.world.registry.logged_model(run)).rpartition("/")[2]
    return [f for f in (story.server.home / "artifacts").rglob(name) if model in str(f)]


@contextmanager
def changed(file: Path, content: bytes | None) -> Iterator[None]:
    """The file with another content, or gone, while the block lasts."""
    kept = file.read_bytes()
    if content is None:
        file.unlink()
    else:
        file.write_bytes(content)
    try:
        yield
    finally:
        file.write_bytes(kept)


def kinds(found: list[reconcile.AliasFinding]) -> list[tuple[AliasFault, AliasRepair]]:
    return [(f.kind, f.action) for f in found]


# --- killed in training -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("point", ["training.logged", "training.tagged"])
def test_f039_killed_after_the_model_was_logged_the_retry_takes_that_model(story, forking, point):
    story.back_to("rollback")
    reference = story.world.open("third", 17)
    tasks.build_training_set(reference)
    assert story.world.judge_after("build_training_set", reference)
    assert forking.run("include.workflows.tasks:train", reference, FAULT_CRASH=point) == KILLED
    trained = tasks.train(reference)
    runs = [r for r in story.world.runs_in_mlflow() if r.data.tags["slipway.candidate"] == reference["candidate_id"]]
    assert len(runs) == 1
    logged = mlflow_of(story).get_run(runs[0].info.run_id).outputs.model_outputs
    assert [f"models:/{o.model_id}" for o in logged] == [trained["model_uri"]]
    tasks.close_journey(reference)
    check_invariants(story.world)


# --- two copies -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("moment", "call", "point"),
    [
        ("registration", REGISTER, "step.begun"),
        ("registration", REGISTER, "registry.model.created"),
        ("registration", REGISTER, "release.registered"),
        ("promotion", PROMOTE, "step.begun"),
        ("promotion", PROMOTE, "release.checked"),
        ("promotion", PROMOTE, "release.promoted"),
        ("promotion", PROMOTE, "aliases.read"),
    ],
)
def test_f040_two_copies_of_a_task_overlap_and_the_older_one_leaves_nothing(story, forking, moment, call, point):
    story.back_to(moment)
    assert forking.run(call, second(story), NOW) == 0
    alone = left(story.world)
    story.back_to(moment)
    older = forking.start(call, second(story), NOW, FAULT_PAUSE=point)
    assert forking.wait(older) == STOPPED
    assert forking.run(call, second(story), NOW) == 0
    assert left(story.world) == alone
    code = forking.resume(older)
    if point == "aliases.read":
        assert code == 0, "what it still writes is what the ledger says"
    else:
        assert code == 1
        assert "Another copy of this task took over." in forking.said(older)
    assert left(story.world) == alone
    story.world.children = forking.pids
    check_invariants(story.world)


def test_f065_a_promoter_that_wakes_after_its_journey_was_superseded_writes_nothing(story, forking):
    story.back_to("promotion")
    sleeper = forking.start(PROMOTE, second(story), NOW, FAULT_PAUSE="release.checked")
    assert forking.wait(sleeper) == STOPPED
    newer = story.world.open("third", 17, supersede=True)
    tasks.close_journey(second(story))
    before = left(story.world)
    assert forking.resume(sleeper) == 1
    assert "'promote' may not happen to a candidate that is superseded" in forking.said(sleeper)
    assert left(story.world) == before
    tasks.close_journey(newer)
    check_invariants(story.world)


def test_f065_an_alias_written_by_a_promoter_that_wakes_after_a_rollback_is_put_right_by_itself(story, forking):
    story.back_to("promotion")
    sleeper = forking.start(PROMOTE, second(story), NOW, FAULT_PAUSE="aliases.read")
    assert forking.wait(sleeper) == STOPPED
    assert tasks.roll_back(story.world.model, "rollback-1", WHY, "ada")["revision"] == 3
    assert forking.resume(sleeper) == 0
    said = forking.said(sleeper)
    assert "champion: 1 -> 2" in said
    assert "champion: 2 -> 1" in said
    assert story.world.registry.alias(story.world.model, CHAMPION) == 1
    tasks.close_journey(second(story)) if story.world.candidate(second(story)).is_live else None
    check_invariants(story.world)


def held_rollback(story: Story, forking: Forking) -> int:
    """A rollback that has seen the champion of revision 2 and has not written yet; the pid."""
    story.back_to("rollback")
    call = "include.workflows.tasks:roll_back"
    pid = forking.start(call, story.world.model, "by-hand", WHY, "ada", FAULT_PAUSE="release.chosen")
    assert forking.wait(pid) == STOPPED
    return pid


def test_f063_a_rollback_overtaken_by_another_makes_one_epoch(story, forking):
    late = held_rollback(story, forking)
    assert tasks.roll_back(story.world.model, "automatic", WHY, "judge")["revision"] == 3
    assert forking.resume(late) == 0
    assert "was rolled back already, as revision 3" in forking.said(late)
    assert len(left(story.world)["epochs"]) == 3
    check_invariants(story.world)


def test_f063_a_rollback_overtaken_by_a_promotion_does_not_take_the_new_champion_out(story, forking):
    late = held_rollback(story, forking)
    with Ledger.open(settings().ledger_url) as ledger:
        head = ledger.deployments.champion(story.world.model)
        newer = challenger(ledger, "newer", model=story.world.model)
        promote(ledger, newer, effective_from=head.effective_from)
    assert forking.resume(late) == 1
    assert f"expected at revision 2 but it is 3, made by run newer with champion {newer.candidate_id}" in (
        forking.said(late)
    )
    assert len(left(story.world)["epochs"]) == 3
    story.back_to("rollback")  # the newer champion was never in MLflow
    check_invariants(story.world)


# --- MLflow hangs, is locked, loses replies ---------------------------------------------------------------------------


def test_f044_a_hung_mlflow_costs_seconds_and_what_it_does_late_is_done_once(story, forking):
    story.back_to("registration")
    caller = forking.start(REGISTER, second(story), NOW, FAULT_PAUSE="registry.model.created", **IMPATIENT)
    assert forking.wait(caller) == STOPPED
    hung = story.server.pids
    for pid in hung:
        os.kill(pid, signal.SIGSTOP)
    began = time.monotonic()
    try:
        assert forking.resume(caller) == 1
        assert time.monotonic() - began < GIVES_UP_WITHIN_S
    finally:
        for pid in hung:
            os.kill(pid, signal.SIGCONT)
    assert "RegistryUnreachable: MLflow at" in forking.said(caller)
    assert tasks.register_challenger(second(story), NOW)["version"] == 2
    assert len(story.world.versions_in_mlflow()) == 2
    check_invariants(story.world)


@pytest.mark.parametrize(("moment", "task"), [("registration", "register_challenger"), ("promotion", "promote")])
def test_f045_a_locked_mlflow_database_is_one_clear_error_and_the_retry_does_it_once(story, impatient, moment, task):
    story.back_to(moment)
    step: Callable[..., Any] = getattr(tasks, task)
    step(second(story), NOW)
    alone = left(story.world)
    story.back_to(moment)
    with closing(sqlite3.connect(story.server.home / "mlflow.db", timeout=30)) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        with pytest.raises(RegistryUnreachable, match="the task can be retried as it is"):
            step(second(story), NOW)
        holder.rollback()
    step(second(story), NOW)
    assert left(story.world) == alone
    check_invariants(story.world)


@pytest.mark.parametrize(
    ("moment", "call", "lose"),
    [
        pytest.param("registration", REGISTER, "model-versions/create", id="version made"),
        pytest.param("registration", REGISTER, "registered-models/alias", id="challenger alias set"),
        pytest.param("promotion", PROMOTE, "registered-models/alias", id="champion alias set"),
        pytest.param("promotion", PROMOTE, "registered-models/set-tag", id="mark written"),
    ],
)
@pytest.mark.parametrize("times", [1, 100])
def test_f064_a_reply_lost_after_the_write_leaves_one_version_and_one_epoch(story, forking, moment, call, lose, times):
    story.back_to(moment)
    assert forking.run(call, second(story), NOW) == 0
    alone = left(story.world)
    story.back_to(moment)
    with LosingProxy(story.server.port, lose, times) as proxy:
        caller = forking.start(call, second(story), NOW, MLFLOW_TRACKING_URI=proxy.url, **IMPATIENT)
        code = forking.wait(caller)
    assert proxy.lost >= 1
    if times > 1:
        assert code == 1
        assert "RegistryUnreachable" in forking.said(caller)
        assert forking.run(call, second(story), NOW) == 0
    else:
        assert code == 0, forking.said(caller)
    assert left(story.world) == alone
    check_invariants(story.world)


# --- changed by hand in MLflow ----------------------------------------------------------------------------------------


def test_f066_an_alias_moved_by_hand_is_found_reported_and_put_back(story, capsys):
    story.back_to("rollback")
    model, client = story.world.model, mlflow_of(story)
    client.set_registered_model_alias(model, CHAMPION, "1")
    client.set_registered_model_alias(model, CHALLENGER, "1")
    assert main(["reconcile", model, "--json"]) == 0
    shown = capsys.readouterr().out
    said = json.loads(shown[shown.index("{") :])
    assert [f["message"].partition(".")[0] for f in said["findings"]] == ["champion: 1 -> 2", "challenger: 1 -> none"]
    assert {(f["kind"], f["action"]) for f in said["findings"]} == {("alias_moved", "repaired")}
    assert reconcile.reconcile([model]) == []
    client.delete_registered_model_alias(model, CHAMPION)
    assert tasks.reconcile_aliases()["facts"] == {"repaired": 1}
    check_invariants(story.world)


def test_f067_a_champion_deleted_in_mlflow_is_reported_still_serves_and_can_be_rolled_back(story, capsys):
    story.back_to("close of the winner")
    tasks.close_journey(second(story))
    model = story.world.model
    mlflow_of(story).delete_model_version(model, "2")
    assert story.world.score(17)["facts"]["rows"] == 120, "from this machine's copy"
    assert kinds(reconcile.reconcile([model])) == [(AliasFault.CHAMPION_LOST, AliasRepair.NEEDS_A_PERSON)]
    assert main(["reconcile", model]) == 1
    assert f"slipway rollback {model} --reason" in capsys.readouterr().out
    with pytest.raises(Refusal, match="MLflow has no version 2"):
        tasks.reconcile_aliases()
    assert tasks.roll_back(model, "rollback-1", WHY, "ada")["revision"] == 3
    assert story.world.registry.alias(model, CHAMPION) == 1
    assert reconcile.reconcile([model]) == []
    story.world.lost = {2}
    check_invariants(story.world)


def test_f067_a_former_champion_deleted_in_mlflow_is_no_rollback_target_even_with_a_copy_here(story):
    story.back_to("close of the winner")
    tasks.close_journey(second(story))
    mlflow_of(story).delete_model_version(story.world.model, "1")
    assert kinds(reconcile.reconcile([story.world.model])) == [(AliasFault.FALLBACK_LOST, AliasRepair.NOTED)]
    with pytest.raises(NothingToRollBackTo):
        tasks.roll_back(story.world.model, "rollback-1", WHY, "ada")
    story.world.lost = {1}
    check_invariants(story.world)


def test_f068_an_alias_that_looks_like_ours_is_never_used_and_is_removed(story):
    story.back_to("rollback")
    model, client = story.world.model, mlflow_of(story)
    client.set_registered_model_alias(model, "Champion", "1")
    client.set_registered_model_alias(model, "1", "2")
    client.set_registered_model_alias(model, "somebody_elses", "1")
    assert story.world.registry.alias(model, CHAMPION) == 2
    assert kinds(reconcile.reconcile([model])) == [
        (AliasFault.ALIAS_NUMERIC, AliasRepair.NOTED),
        (AliasFault.ALIAS_LOOKALIKE, AliasRepair.REPAIRED),
    ]
    assert dict(story.world.registry.registered(model).aliases) == {CHAMPION: 2, "1": 2, "somebody_elses": 1}
    check_invariants(story.world)


def test_a_version_registered_by_hand_is_noted_and_never_served(story):
    story.back_to("rollback")
    model, client = story.world.model, mlflow_of(story)
    source = client.get_model_version(model, "1").source
    client.create_model_version(model, source, model_id=source.removeprefix("models:/"))
    assert kinds(reconcile.reconcile([model])) == [(AliasFault.VERSION_UNKNOWN, AliasRepair.NOTED)]
    check_invariants(story.world)


# --- the artifact -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "error"),
    [
        pytest.param(None, VersionMissing, id="gone"),
        pytest.param(b"", DigestMismatch, id="empty"),
        pytest.param(b"PK\x03\x04 truncated", DigestMismatch, id="truncated"),
    ],
)
def test_f069_an_artifact_that_is_gone_or_broken_is_not_promoted(story, content, error):
    story.back_to("promotion")
    (file,) = files_of(story, "model.skops")
    with changed(file, content), pytest.raises(error):
        tasks.promote(second(story), NOW)
    assert story.world.registry.alias(story.world.model, CHAMPION) == 1
    assert tasks.promote(second(story), NOW)["revision"] == 2
    check_invariants(story.world)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("scikit-learn==0.24.2", r"scikit-learn is \S+, the model was made with 0\.24\.2"),
        ("a-library-nobody-has==1.0", "a-library-nobody-has is not installed"),
    ],
)
@pytest.mark.parametrize(("moment", "task"), [("registration", "register_challenger"), ("promotion", "promote")])
def test_f070_a_model_that_needs_other_libraries_is_refused(story, moment, task, line, said):
    story.back_to(moment)
    step: Callable[..., Any] = getattr(tasks, task)
    before = left(story.world)["epochs"]
    (file,) = files_of(story, "requirements.txt")
    with changed(file, f"{line}\n".encode()), pytest.raises(CannotRunHere, match=said):
        step(second(story), NOW)
    assert left(story.world)["epochs"] == before
    step(second(story), NOW)
    check_invariants(story.world)


def test_f130_an_artifact_swapped_by_an_anonymous_put_after_the_gates_is_refused(story):
    story.back_to("promotion")
    (file,) = files_of(story, "model.skops")
    where = file.relative_to(story.server.home / "artifacts")
    with changed(file, file.read_bytes()):
        swapped = requests.put(
            f"{story.server.url}/api/2.0/mlflow-artifacts/artifacts/{where}", data=b"another model", timeout=10
        )
        assert swapped.status_code == 200
        with pytest.raises(DigestMismatch, match="Somebody replaced the artifact"):
            tasks.promote(second(story), NOW)
    with changed(file, b"another champion"):
        shutil.rmtree(settings().artifacts / "models")
        found = reconcile.reconcile([story.world.model])
    assert found == [], "the second is no champion yet, and the first is untouched"
    check_invariants(story.world)


class Bomb:
    def __reduce__(self):
        return Path.touch, (Path(os.environ["SLIPWAY_TEST_MARKER"]),)


def skops_of_a_command(file: Path) -> bytes:
    skops.io.dump(Pipeline([("step", FunctionTransformer(os.system))]), file)
    return file.read_bytes()


@pytest.mark.parametrize("hostile", ["pickle", "skops"])
def test_f129_a_challenger_that_is_a_bomb_is_refused_unread_even_if_its_digest_is_the_recorded_one(
    story, hostile, tmp_path, monkeypatch
):
    story.back_to("registration")
    marker = tmp_path / "exploded"
    monkeypatch.setenv("SLIPWAY_TEST_MARKER", str(marker))
    bomb = pickle.dumps(Bomb()) if hostile == "pickle" else skops_of_a_command(tmp_path / "hostile.skops")
    (file,) = files_of(story, "model.skops")
    with changed(file, bomb):
        digest = model_files.digest(file)
        with Ledger.open(settings().ledger_url) as ledger, ledger.database.writing() as connection:
            mine = candidates.c.candidate_id == second(story)["candidate_id"]
            connection.execute(update(candidates).where(mine).values(artifact_digest=digest))
        with pytest.raises(Refusal):
            tasks.register_challenger(second(story), NOW)
        monkeypatch.setattr("include.workflows.gates.required", lambda model: [])
        with pytest.raises(Refusal, match=r"is not registered|readable skops|wants to construct"):
            tasks.register_challenger(second(story), NOW)
    assert not marker.exists()
    story.back_to("registration")
    check_invariants(story.world)


@pytest.mark.parametrize("name", ["../../trip_late", "/etc/passwd", "trip_late/../x", "trip_late\x00"])
def test_f133_a_model_name_that_is_a_path_is_refused(story, name):
    story.back_to("rollback")
    with pytest.raises(Refusal, match="There is no model"):
        tasks.roll_back(name, "r", WHY, "ada")
    assert main(["reconcile", name]) == 64
    check_invariants(story.world)


# --- the ledger -------------------------------------------------------------------------------------------------------


def test_f058_evidence_older_than_the_policy_allows_promotes_nothing(story):
    story.back_to("promotion")
    with pytest.raises(NotCleared, match="over the limit of 45 days"):
        tasks.promote(second(story), datetime.now(UTC) + timedelta(days=46))
    assert tasks.promote(second(story), NOW)["revision"] == 2
    check_invariants(story.world)


def test_f071_a_ledger_restored_from_an_older_backup_promotes_and_moves_nothing_until_a_person_decides(story, capsys):
    story.back_to("close of the winner")
    tasks.close_journey(second(story))
    backup = story.moments["promotion"].folder / "home"
    for file in settings().home.glob("ledger.db*"):
        file.unlink()
    for file in backup.glob("ledger.db*"):
        shutil.copy(file, settings().home / file.name)
    model = story.world.model
    for step in (
        lambda: tasks.promote(second(story), NOW),
        lambda: tasks.register_challenger(second(story), NOW),
        lambda: tasks.roll_back(model, "r", WHY, "ada"),
    ):
        with pytest.raises(LedgerBehind, match="the registry has seen revision 2"):
            step()
    assert kinds(reconcile.reconcile([model])) == [(AliasFault.LEDGER_BEHIND, AliasRepair.NEEDS_A_PERSON)]
    assert story.world.registry.alias(model, CHAMPION) == 2, "nothing was moved"
    assert main(["reconcile", model, "--accept-ledger"]) == 64
    accept = ["reconcile", model, "--accept-ledger", "--reason", "the disk is gone", "--by", "ada"]
    assert main(accept) == 0
    assert main(accept) == 64, "there is nothing left to accept"
    capsys.readouterr()
    registered = story.world.registry.registered(model)
    assert dict(registered.aliases) == {CHAMPION: 1, CHALLENGER: 2}
    assert "by ada, giving up '2 " in registered.tags["slipway.accepted"]
    check_invariants(story.world)
    assert tasks.promote(second(story), NOW)["revision"] == 2
    check_invariants(story.world)


def test_f072_a_promotion_cleared_and_run_again_is_the_same_epoch_and_never_undoes_a_rollback(story):
    story.back_to("close of the winner")
    tasks.close_journey(second(story))
    before = left(story.world)
    assert tasks.promote(second(story), NOW)["revision"] == 2
    tasks.close_journey(second(story))
    assert left(story.world) == before
    tasks.roll_back(story.world.model, "rollback-1", WHY, "ada")
    with pytest.raises(JourneyIsOver):
        tasks.promote(second(story), NOW)
    assert story.world.registry.alias(story.world.model, CHAMPION) == 1
    check_invariants(story.world)


# --- rolling back at once ---------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_rollback_does_not_wait_for_mlflow_and_the_alias_follows(story, impatient):
    story.back_to("close of the winner")
    tasks.close_journey(second(story))
    story.server.kill()
    try:
        with pytest.raises(RegistryUnreachable):
            tasks.roll_back(story.world.model, "rollback-1", WHY, "ada")
        with Ledger.open(settings().ledger_url) as ledger:
            head = ledger.deployments.champion(story.world.model)
        assert (head.revision, head.model_version) == (3, "1"), "who is served is decided"
    finally:
        story.server.start()
    assert tasks.roll_back(story.world.model, "rollback-1", WHY, "ada")["revision"] == 3
    assert story.world.registry.alias(story.world.model, CHAMPION) == 1
    check_invariants(story.world)


def test_an_override_that_lapsed_under_a_journey_is_reported(story):
    story.back_to("promotion")
    with Ledger.open(settings().ledger_url) as ledger:
        ledger.gates.override(
            OverrideRequest(second(story)["candidate_id"], "slice_gate", "small", NOW + timedelta(1)),
            by=an_operator("eve"),
            approvers=OPERATORS,
            now=NOW,
        )
    assert tasks.report_lapsed_overrides(NOW)["lapsed"] == []
    (lapsed,) = tasks.report_lapsed_overrides(NOW + timedelta(days=2))["lapsed"]
    assert (lapsed["gate"], lapsed["who"]) == ("slice_gate", "eve")
