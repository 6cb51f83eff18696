"""Notices by mail and by Slack, as the declaration says, through Airflow's notifiers to servers that listen here."""

from __future__ import annotations

import importlib.util
import json
import shutil

import listening
import pytest
from ledger_fixtures import MODEL, NOW, judged, trained

from include.config import loader
from include.config.settings import PROJECT
from include.domain.verdicts import Verdict
from include.workflows.alerts import outbox

pytestmark = pytest.mark.filterwarnings("ignore")
REASON = "<b>{{ 7*7 }}</b> & $(rm) is outside its bound"


@pytest.fixture
def declared(pages, tmp_path, monkeypatch):
    """Declares how the model's owners are told."""

    def declare(notify: str, on_call: str) -> None:
        root = tmp_path / "declared"
        for kind in ("models", "features"):
            shutil.copytree(PROJECT / "include" / kind, root / kind, dirs_exist_ok=True)
        file = root / "models" / MODEL / "model.yaml"
        text = file.read_text().replace("on_call: ml-on-call", f'on_call: "{on_call}"')
        file.write_text(f"{text}\nnotify: {notify}\n")
        monkeypatch.setattr(loader, "ROOT", root)
        loader.declarations.cache_clear()
        assert loader.declarations().broken == {}

    return declare


@pytest.fixture
def red(pages):
    """A gate that failed, with a reason that looks like markup and a template."""
    from dataclasses import replace

    candidate, result = trained(pages.ledger, "r1"), judged(verdict=Verdict.FAIL)
    criterion = replace(result.criteria[0], reason=REASON)
    pages.ledger.gates.record(
        candidate.candidate_id,
        replace(result, criteria=(criterion,)),
        digest=candidate.facts.artifact_digest,
        run_id="r1",
    )
    return candidate


def tell() -> str:
    from slipway_airflow import notify

    return notify.tell("gate_failed", f"retrain_{MODEL}", "r1", "threshold_gate", {})


def connection(monkeypatch, name: str, **fields) -> None:
    monkeypatch.setenv(f"AIRFLOW_CONN_{name.upper()}", json.dumps(fields))


def mail_server(monkeypatch, port: int) -> None:
    extra = {"disable_ssl": True, "disable_tls": True, "from_email": "slipway@example.org", "retry_limit": 1}
    connection(monkeypatch, "mail", conn_type="smtp", host="127.0.0.1", port=port, extra=extra)


def test_a_red_gate_is_one_mail_to_the_owner_on_call_with_the_sentence_and_the_link(pages, declared, red, monkeypatch):
    declared("{via: smtp, conn_id: mail}", "on-call@example.org")
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "http://airflow.example.org:8080")
    with listening.smtp() as server:
        mail_server(monkeypatch, server.port)
        for _ in range(3):
            tell()
    ((to, mail),) = server.mails
    assert (to, mail["From"], mail["To"]) == (["on-call@example.org"], "slipway@example.org", "on-call@example.org")
    assert mail["Subject"] == f"[Slipway] {MODEL}: gate failed"
    text = mail.get_body(("html",)).get_content()
    assert f"<p>{MODEL}: threshold gate failed. &lt;b&gt;{{{{ 7*7 }}}}&lt;/b&gt; &amp; $(rm) is outside" in text
    link = f"http://airflow.example.org:8080/slipway/candidates/{red.candidate_id}"
    assert f'<a href="{link}">{link}</a>' in text
    assert f"Notice gate_failed/{red.candidate_id}/threshold_gate/1" in text


def test_a_mail_server_that_is_away_makes_nothing_red_and_the_next_try_tells(pages, declared, red, monkeypatch):
    declared("{via: smtp, conn_id: mail}", "on-call@example.org")
    with listening.smtp() as server:
        port = server.port
    mail_server(monkeypatch, port)
    assert tell().startswith("on-call@example.org could not be notified (gate_failed, try 1): ")
    assert pages.ledger.notices.of(MODEL) == []
    from slipway_airflow import notify

    (waiting,) = pages.ledger.notices.unsent()
    with listening.smtp() as server:
        mail_server(monkeypatch, server.port)
        (said,) = outbox.sweep(pages.ledger, notify.sender({}), waiting.due_at)
    assert said.startswith("on-call@example.org is notified: ")
    assert len(server.mails) == len(pages.ledger.notices.of(MODEL)) == 1


def test_a_kind_that_is_declared_for_nobody_is_sent_to_nobody(pages, declared, red, monkeypatch):
    declared("{via: smtp, conn_id: mail, gate_failed: nobody}", "on-call@example.org")
    with listening.smtp() as server:
        mail_server(monkeypatch, server.port)
        assert tell().startswith("No one is notified: ")
    assert server.mails == []


def test_a_red_gate_is_one_message_in_the_owners_channel(pages, declared, red, monkeypatch):
    if importlib.util.find_spec("airflow.providers.slack") is None:
        pytest.skip("apache-airflow-providers-slack is not installed; `make setup` installs what the lock names")
    declared("{via: slack, conn_id: chat}", "#ml-on-call")
    with listening.slack() as (port, messages):
        where = {"base_url": f"http://127.0.0.1:{port}/api/"}
        connection(monkeypatch, "chat", conn_type="slack", password="a-token", extra=where)
        for _ in range(3):
            tell()
    ((path, token, body),) = messages
    assert (path, token, body["channel"]) == ("/api/chat.postMessage", "Bearer a-token", "#ml-on-call")
    said, link, key = body["text"].split("\n")
    assert key == f"Notice gate_failed/{red.candidate_id}/threshold_gate/1"
    assert said == f"{MODEL}: threshold gate failed. &lt;b&gt;{{{{ 7*7 }}}}&lt;/b&gt; &amp; $(rm) is outside its bound"
    assert link.endswith(f"/slipway/candidates/{red.candidate_id}")


def test_without_the_slack_provider_the_log_says_what_to_install(pages, declared, red, monkeypatch):
    declared("{via: slack}", "#ml-on-call")
    monkeypatch.setitem(__import__("sys").modules, "airflow.providers.slack.notifications.slack", None)
    assert tell().startswith(
        "#ml-on-call could not be notified (gate_failed, try 1): notify.via is slack, which needs the package "
        "apache-airflow-providers-slack; install it, or declare smtp or file; the next try is due at "
    )
    assert pages.ledger.notices.of(MODEL) == []


def test_a_late_journey_is_told_once_while_it_is_under_way(pages, declared):
    from include.workflows.pages import notices

    declared("{via: file}", "ml-on-call")
    candidate, sent = trained(pages.ledger, "r1"), []
    for _ in range(2):
        notices.tell(MODEL, "late", "r1", "", lambda notice, _: sent.append(notice), NOW)
    (notice,) = sent
    assert (notice.told, notice.key) == ("ml-on-call", f"late/{candidate.candidate_id}")
    assert notice.sentence == (
        f"{MODEL}: {candidate.candidate_id} takes longer than the 13d 2h that {MODEL} promises. "
        "Under way: Its newest state is trained."
    )
