"""Every example of the documentation is run by a test that is named here, or it is said why it cannot be."""

from __future__ import annotations

import ast
import json
import re
import shlex
import shutil
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from doc_examples import PAGES, examples, outside_of_blocks

from include.adapters.hotel_rates import FOLDER
from include.cli import main, parser, verbs
from include.config import read_declarations
from include.config.settings import PROJECT
from include.config.views import AUDIT_GATE
from include.workflows.gates import GATES

HERE = "tests/unit/docs/test_doc_examples.py::"
EXPORT = "tests/integration/days/test_export.py::"
RUNS = "tests/integration/test_documented_runs.py::"
JUDGE = "tests/unit/docs/test_judge_page.py::test_the_example_runs_and_prints_what_the_page_shows"
EXTENDING = "tests/unit/docs/test_extending_page.py::"
METRIC = "test_the_metrics_are_used_where_a_metric_of_the_project_is"
BUSINESS = "test_the_business_metric_compares_what_the_rows_are_worth"
ENCODER = "test_the_encoder_is_fitted_and_its_model_is_loaded_again_where_its_type_is_listed"
NOTIFIER = "test_the_notifier_hands_its_message_to_the_pager_and_raises_when_that_did_not_take_it"
OWN_DATA = "tests/integration/test_own_data_page.py::"
TREE = "tests/unit/docs/test_citations.py::test_a_tree_of_the_repository_names_what_is_there"
E2E = "tests/e2e/test_zz_doc_examples.py::"

RUN_HERE = {
    "README.md > How it works": f"{HERE}test_the_picture_has_every_gate_there_is",
    "README.md > Try it on your own file": f"{RUNS}test_the_readme_s_try_on_a_file_runs_on_a_file",
    "docs/add-a-model.md > Add a model > 3": f"{HERE}test_the_model_to_add_is_validated_and_its_retrain_is_a_command",
    "docs/extending.md > A gate": f"{EXTENDING}test_the_gate_is_declared_and_judges",
    "docs/extending.md > A gate > 2": f"{EXTENDING}test_the_gate_is_declared_and_judges",
    "docs/extending.md > A metric": f"{EXTENDING}{METRIC}",
    "docs/extending.md > A metric > 2": f"{EXTENDING}{METRIC}",
    "docs/extending.md > A business metric": f"{EXTENDING}{BUSINESS}",
    "docs/extending.md > A business metric > 2": f"{EXTENDING}{BUSINESS}",
    "docs/extending.md > An encoder": f"{EXTENDING}{ENCODER}",
    "docs/extending.md > An encoder > 2": f"{EXTENDING}{ENCODER}",
    "docs/extending.md > Types a model file may hold": f"{EXTENDING}{ENCODER}",
    "docs/extending.md > A notifier": f"{EXTENDING}{NOTIFIER}",
    "docs/extending.md > A notifier > 2": f"{EXTENDING}{NOTIFIER}",
    "CONTRIBUTING.md > Where things go": TREE,
    "docs/design.md > Layers": TREE,
    "docs/drift.md > Drift between two tables": f"{HERE}test_the_drift_example_prints_the_last_lines_that_are_shown",
    "docs/drift.md > What the answer says": f"{HERE}test_the_drift_example_prints_the_last_lines_that_are_shown",
    "docs/judge.md > `slipway judge`: the gates on anyone's predictions": f"{HERE}test_the_judge_synopsis_is_the_verbs",
    "docs/judge.md > An example": JUDGE,
    "docs/judge.md > An example > 3": JUDGE,
    "docs/judge.md > Without a gates file": JUDGE,
    "docs/pages.md > REST > 2": f"{HERE}test_an_errors_form_is_the_one_that_is_shown",
    "docs/pages.md > Notices > 2": f"{RUNS}test_the_connections_are_those_airflow_reads",
    "docs/packed.md > Exporting one": f"{EXPORT}test_the_command_says_what_it_wrote_and_the_same_as_json",
    "docs/packed.md > On a device": f"{EXPORT}test_the_documentations_code_for_a_device_runs_with_numpy_alone",
    "docs/selftest.md > The selftest: can each gate fail?": f"{HERE}test_the_selftests_commands_run",
    "docs/selftest.md > A real run": f"{HERE}test_the_selftest_prints_the_matrix_that_is_shown",
    "docs/simulate.md > `slipway simulate`: choose thresholds from your own past": (
        f"{HERE}test_a_simulation_without_published_days_names_the_dag_and_the_range"
    ),
    "docs/simulate.md > The example to begin with": f"{HERE}test_the_example_to_begin_with_prints_what_is_shown",
    "docs/simulate.md > Your own table first": f"{HERE}test_the_simulation_prints_what_is_shown",
    "docs/simulate.md > An example, and how to read it": f"{HERE}test_the_simulation_prints_what_is_shown",
    "docs/simulate.md > An example, and how to read it > 2": f"{HERE}test_the_simulation_prints_what_is_shown",
    "docs/your-own-data.md > Five commands": (
        f"{OWN_DATA}test_the_five_commands_lead_to_a_first_champion_that_scores_the_next_day"
    ),
}
"""Run without services."""

DECLARED = {
    "docs/add-a-model.md > Add a model": "tests/integration/test_readme_model.py::"
    "test_the_model_to_add_as_it_is_written_trains_passes_its_gates_and_is_promoted",
    "docs/add-a-model.md > Add a model > 2": "tests/integration/test_readme_model.py::"
    "test_the_model_to_add_as_it_is_written_trains_passes_its_gates_and_is_promoted",
    "docs/retrain.md > What a candidate learns from": f"{HERE}test_a_part_of_a_declaration_is_one",
    "docs/retrain.md > Retrain by API > 2": f"{HERE}test_a_part_of_a_declaration_is_one",
    "docs/feature-store.md > How fresh a view is": f"{HERE}test_a_part_of_a_declaration_is_one",
    "docs/feature-store.md > Late and corrected rows": f"{HERE}test_a_part_of_a_declaration_is_one",
    "docs/judge.md > An example > 2": JUDGE,
    "docs/packed.md > The gate": f"{HERE}test_a_part_of_a_declaration_is_one",
    "docs/pages.md > Notices": f"{HERE}test_a_part_of_a_declaration_is_one",
    "docs/score.md > Answers before the event": f"{HERE}test_a_part_of_a_declaration_is_one",
    "docs/serve.md > Online": f"{HERE}test_a_part_of_a_declaration_is_one",
    "docs/canary.md > Declare it": f"{HERE}test_a_part_of_a_declaration_is_one",
    **dict.fromkeys(
        [f"docs/your-own-data.md > Trailing windows{each}" for each in ("", " > 2", " > 3")],
        f"{OWN_DATA}test_the_trailing_window_is_valid_right_for_a_day_and_a_range_and_read_by_the_model",
    ),
    "docs/your-own-data.md > How to date a label": (
        f"{OWN_DATA}test_a_label_of_what_did_not_happen_is_dated_by_the_end_of_its_time"
    ),
    "docs/your-own-data.md > No natural time": (
        f"{OWN_DATA}test_a_table_without_a_time_is_joined_in_a_view_that_has_one"
    ),
    "docs/your-own-data.md > No natural time > 2": (
        f"{OWN_DATA}test_a_table_without_a_time_is_joined_in_a_view_that_has_one"
    ),
}
"""Declarations: read and bound to views, and trained where the page says that they train."""

IN_AIRFLOW = {
    "docs/retrain.md > Retrain by API": f"{E2E}test_the_retrain_page_s_call_starts_a_run_once_and_is_polled",
    "docs/retrain.md > Backfill": f"{E2E}test_both_backfills_are_taken_as_they_are_written",
    "docs/retrain.md > Backfill > 2": f"{E2E}test_both_backfills_are_taken_as_they_are_written",
    "docs/retrain.md > Backfill > 3": f"{E2E}test_a_long_range_in_one_pass_is_taken_as_it_is_written",
    "docs/pages.md > REST": f"{E2E}test_the_calls_of_the_pages_rest_answer_and_a_journey_under_way_is_refused",
    "docs/runbook/housekeeping.md > `housekeeping`": f"{E2E}test_what_the_runbook_says_to_type_by_hand_runs",
    "docs/runbook/repair.md > `compare_…` and `slipway repair`": (
        f"{E2E}test_what_the_runbook_says_to_type_by_hand_runs"
    ),
    "docs/runbook/rollback.md > Rollback": f"{E2E}test_the_runbooks_rollback_is_taken_by_rest_and_on_the_command_line",
    "docs/runbook/rollback.md > Rollback > 2": (
        f"{E2E}test_the_runbooks_rollback_is_taken_by_rest_and_on_the_command_line"
    ),
}
"""Run against a real Airflow."""

NOT_RUN = {
    "README.md > What it is worth": "it installs; its lines are tested where docs/simulate.md shows them",
    "README.md > Two commands": "it installs, starts everything, and runs these tests",
    "docs/scale.md > Scale": "it builds an image and needs Docker; tests/unit/house/test_compose.py reads the file",
    "CONTRIBUTING.md > Set up": "it installs, and runs these tests",
    "docs/serve.md > Online > 2": "its flight is of the demonstration, which is not served online; "
    "tests/integration/test_serving_processes.py asks the same of a small world",
    "README.md > Live": "it needs the live replay under way; tests/integration/test_live_chain.py asks a small world",
    "README.md > Live > 2": "its answer is that of the live replay of 2026-11-28; the chain's test asks a small world",
    "docs/serve.md > Your own model, live": "it needs days that were answered online; the chain's test makes some",
    "docs/feature-store.md > OpenLineage": "it installs a provider that is not in the lock",
}
"""Cannot be run by a test. Its commands are still held to what there is."""

CLASSES = (RUN_HERE, DECLARED, IN_AIRFLOW, NOT_RUN)
SHOWN = {".venv/bin/slipway", "slipway"}


def text_of(key):
    return examples()[key].text


def slipway_of(line):
    """The arguments of a line that calls slipway, or None."""
    words = shlex.split(line.removeprefix("$ "))
    return words[1:] if words and words[0] in SHOWN else None


# --- the registry ----------------------------------------------------------------------------------------------------


def test_every_example_is_in_one_class_and_every_entry_is_an_example():
    known = [key for each in CLASSES for key in each]
    assert sorted(known) == sorted(set(known)), "an example is in two classes"
    new, gone = set(examples()) - set(known), set(known) - set(examples())
    assert not new, (
        f"New in the documentation: {sorted(new)}. Write a test that runs the example (here, or in "
        "tests/e2e/test_zz_doc_examples.py where it needs Airflow) and name it in one of the classes of this file."
    )
    assert not gone, f"No longer in the documentation: {sorted(gone)}. Take them out of the classes of this file."


@pytest.mark.parametrize("key", [key for each in CLASSES[:3] for key in each])
def test_the_test_that_an_entry_names_is_there(key):
    file, name = next(each[key] for each in CLASSES if key in each).split("::")
    tree = ast.parse((PROJECT / file).read_text(encoding="utf-8"))
    assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(PROJECT)))
def test_every_code_block_is_fenced_with_backticks_so_that_it_is_counted(page: Path):
    text = outside_of_blocks(page)
    assert "```" not in text
    assert "~~~" not in text
    assert re.findall(r"\n\n {4,}\S.*", text) == []


# --- commands exist --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", verbs(), ids=lambda verb: verb.name)
def test_the_example_in_a_verbs_help_is_understood(verb):
    for line in verb.example.splitlines():
        # What follows two blanks or a shell's own words says what it does.
        call = re.sub(r'^eval "\$\((.*?)\)".*', r"\1", line.strip())
        call = re.split(r"\s{2,}", call)[0]
        args = slipway_of(call)
        assert args is not None, f"{line!r} does not call slipway"
        assert parser().parse_args(args).verb == verb.name


def test_every_slipway_command_of_a_block_is_understood():
    for example in examples().values():
        if "slipway judge`" in example.key:  # a synopsis, which has a test of its own
            continue
        for line in example.commands:
            args = slipway_of(line) if line.startswith((*(f"{name} " for name in SHOWN), "$ slipway")) else None
            if args is not None and "--help" not in args and args[:1] != ["judge"]:
                parser().parse_args(args)


def test_every_verb_and_option_that_a_sentence_names_is_there():
    options = {}
    for verb in verbs():
        sub = next(a for a in parser()._actions if a.dest == "verb").choices[verb.name]
        options[verb.name] = set(sub._option_string_actions)
    wrong = []
    for page in PAGES:
        for said in re.findall(r"`(?:\.venv/bin/)?slipway ([^`]+)`", outside_of_blocks(page)):
            said = " ".join(said.split())
            names = said.split()[0].split("|")
            for name in names:
                if name.startswith(("--", "VERB")):
                    continue
                told = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", said))
                if name not in options or told - options[name]:
                    wrong.append(f"{page.name}: slipway {said}")
    assert wrong == []


def test_every_make_verb_is_a_target():
    targets = set(re.findall(r"^([a-z-]+):", (PROJECT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = {w for e in examples().values() for w in re.findall(r"^make ([a-z-]+)", e.text, re.MULTILINE)}
    named |= {w for page in PAGES for w in re.findall(r"`make ([a-z][a-z-]*)", outside_of_blocks(page))}
    assert {"run", "test", "setup", "env-file"} <= named
    assert named - targets == set()


def test_what_the_compose_block_starts_is_in_the_file():
    services = yaml.safe_load((PROJECT / "docker-compose.yaml").read_text(encoding="utf-8"))["services"]
    block = text_of("docs/scale.md > Scale")
    assert set(re.findall(r"--rm (\w+)|--scale (\w+)=", block)) == {("replay", ""), ("", "worker")}
    assert {"replay", "worker"} <= set(services)
    assert any("demo" in service.get("profiles", ()) for service in services.values())


# --- run here --------------------------------------------------------------------------------------------------------


def test_the_picture_has_every_gate_there_is():
    drawn = set(re.findall(r"\w+_gate\b", text_of("README.md > How it works")))
    assert drawn == {AUDIT_GATE, *(gate.name for gate in GATES if gate.name.endswith("_gate"))}


def test_the_model_to_add_is_validated_and_its_retrain_is_a_command(tmp_path, monkeypatch, capsys):
    from include.config import loader

    for folder in ("features", "models"):
        shutil.copytree(PROJECT / "include" / folder, tmp_path / folder)
    folder = tmp_path / "models" / "very_late"
    folder.mkdir()
    (folder / "model.yaml").write_text(text_of("docs/add-a-model.md > Add a model"), encoding="utf-8")
    (folder / "label.sql").write_text(text_of("docs/add-a-model.md > Add a model > 2"), encoding="utf-8")
    monkeypatch.setenv("SLIPWAY_DECLARATIONS", str(tmp_path))
    monkeypatch.setattr(loader, "ROOT", tmp_path)
    loader.declarations.cache_clear()
    validate, retrain = examples()["docs/add-a-model.md > Add a model > 3"].commands
    try:
        assert main([*slipway_of(validate), "--offline"]) == 0, "there is no source here"
        assert "very_late" in capsys.readouterr().out
    finally:
        loader.declarations.cache_clear()
    asked = parser().parse_args(slipway_of(retrain))
    assert (asked.model, asked.as_of, asked.reason) == ("very_late", "2013-06-01", "first champion")


def test_the_drift_example_prints_the_last_lines_that_are_shown(tmp_path, monkeypatch, capsys):
    def table(rng, rows, shift):
        frame = pd.DataFrame({f"x{i}": rng.normal(size=rows) for i in range(7)})
        frame["x0"] += shift
        frame["p"] = rng.beta(2, 2, rows) if not shift else rng.beta(2, 3, rows)
        frame["churned"] = (rng.random(rows) < frame["p"]).astype(int)
        frame["at"] = pd.Timestamp("2024-01-01") + pd.to_timedelta(np.arange(rows), unit="min")
        return frame

    rng = np.random.default_rng(3)
    table(rng, 4000, 0.0).to_parquet(tmp_path / "last_month.parquet")
    table(rng, 3000, 0.5).to_csv(tmp_path / "today.csv", index=False)
    monkeypatch.chdir(tmp_path)
    (command,) = examples()["docs/drift.md > Drift between two tables"].commands
    assert main(slipway_of(command)) == 1, "change, and no harm"
    said = capsys.readouterr().out
    shown = text_of("docs/drift.md > What the answer says").strip()
    assert shown in said, said
    assert (tmp_path / "drift.png").stat().st_size > 1000


def test_the_judge_synopsis_is_the_verbs():
    synopsis = text_of("docs/judge.md > `slipway judge`: the gates on anyone's predictions")
    judge = next(a for a in parser()._actions if a.dest == "verb").choices["judge"]
    assert set(re.findall(r"--[a-z-]+", synopsis)) <= set(judge._option_string_actions)
    flat = " ".join(synopsis.replace("[", "").replace("]", "").split()).replace("--attempts N", "--attempts 2")
    for chosen in ("--champion COLUMN", "--first-deployment"):
        call = re.sub(r"\(.*?\)", chosen, flat)
        assert parser().parse_args(shlex.split(call)[1:]).verb == "judge"


def test_an_errors_form_is_the_one_that_is_shown():
    from include.domain.errors import BadField
    from include.workflows.gates import overrides

    shown = json.loads(text_of("docs/pages.md > REST > 2"))
    assert list(shown) == ["error", "what", "value", "allowed", "message"]
    with pytest.raises(BadField) as refused:
        overrides.expiry(shown["value"], datetime(2024, 1, 1, tzinfo=UTC), shown["what"])
    assert (type(refused.value).__name__, str(refused.value)) == (shown["error"], shown["message"])
    assert shown["allowed"] == overrides.WHEN


def test_a_simulation_without_published_days_names_the_dag_and_the_range(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("SLIPWAY_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    (command,) = examples()["docs/simulate.md > `slipway simulate`: choose thresholds from your own past"].commands
    assert main(slipway_of(command)) == 64
    said = capsys.readouterr().err
    assert re.search(r"Run the Dag features_\w+ with start \d{4}-\d\d-\d\d and end 2014-01-01", said), said
    assert len(said.splitlines()) == 1


@pytest.mark.slow
def test_the_simulation_prints_what_is_shown(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    exec(compile(text_of("docs/simulate.md > An example, and how to read it"), "docs/simulate.md", "exec"), {})
    (command,) = examples()["docs/simulate.md > Your own table first"].commands
    assert main(slipway_of(command)) == 0
    said = " ".join(capsys.readouterr().out.split())
    parts = text_of("docs/simulate.md > An example, and how to read it > 2").split("[...]")
    at = 0
    for part in parts:
        found = said.find(" ".join(part.split()), at)
        assert found >= at, part
        at = found
    assert (tmp_path / "out.png").stat().st_size > 1000


@pytest.mark.slow
@pytest.mark.skipif(not (Path(sys.prefix) / FOLDER).is_dir(), reason="`make try` installs the example")
def test_the_example_to_begin_with_prints_what_is_shown(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("SLIPWAY_HOME", str(tmp_path))
    assert main(["simulate", "--example"]) == 0
    said = capsys.readouterr().out.splitlines()
    shown = text_of("docs/simulate.md > The example to begin with").splitlines()
    assert [line for line in shown if line != "[...]"] == [line for line in said if line in shown]
    assert said[-1] == shown[-1]


@pytest.mark.slow
def test_the_selftest_prints_the_matrix_that_is_shown(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("SLIPWAY_HOME", str(tmp_path / "home"))
    assert main(["selftest", "flight_delay"]) == 0
    assert capsys.readouterr().out.split() == text_of("docs/selftest.md > A real run").split()


@pytest.mark.slow
def test_the_selftests_commands_run(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("SLIPWAY_HOME", str(tmp_path / "home"))
    every, as_json, readiness = examples()["docs/selftest.md > The selftest: can each gate fail?"].commands
    assert main(slipway_of(every)) == 0
    said = capsys.readouterr().out
    assert "selftest of air_time: the gates hold" in said
    assert "selftest of flight_delay: the gates hold" in said
    assert main(slipway_of(as_json)) == 0
    assert json.loads(capsys.readouterr().out)
    assert main(slipway_of(readiness)) in (0, 1)
    assert "flight_delay" in capsys.readouterr().out


# --- declarations ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "file"),
    [
        ("docs/retrain.md > Retrain by API > 2", "models/flight_delay/model.yaml"),
        ("docs/retrain.md > What a candidate learns from", "models/flight_delay/model.yaml"),
        ("docs/pages.md > Notices", "models/flight_delay/model.yaml"),
        ("docs/feature-store.md > How fresh a view is", "features/flight_schedule/view.yaml"),
        ("docs/feature-store.md > Late and corrected rows", "features/origin_weather/view.yaml"),
        ("docs/score.md > Answers before the event", "models/flight_delay/model.yaml"),
        ("docs/serve.md > Online", "models/flight_delay/model.yaml"),
        ("docs/canary.md > Declare it", "models/flight_delay/model.yaml"),
    ],
)
def test_a_part_of_a_declaration_is_one(key, file, tmp_path):
    for folder in ("features", "models"):
        shutil.copytree(PROJECT / "include" / folder, tmp_path / folder)
    whole = yaml.safe_load((tmp_path / file).read_text(encoding="utf-8"))
    part = yaml.safe_load(text_of(key))
    if "notify" in part:
        whole["owners"]["on_call"] = whole["owners"]["model"] = "on-call@example.org"
    if "serving" in part:
        del whole["score"]  # a model answers when it is asked, or ahead
    (tmp_path / file).write_text(yaml.safe_dump({**whole, **part}), encoding="utf-8")
    read = read_declarations(tmp_path)
    assert read.broken == {}
    assert set(read.models) == {"air_time", "flight_delay"}
