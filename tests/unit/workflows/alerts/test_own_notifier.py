"""A team's own notifier: what it raises stays in the outbox and is tried again, as with every channel."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import yaml
from own_modules import own_module  # noqa: F401 - a fixture
from selftest_models import BINARY, declared

from include.adapters.ledger import Notice, NoticeState, Scope
from include.config import loader
from include.workflows.alerts import by_path, outbox
from include.workflows.services import machine, teller

NOW = datetime(2024, 3, 1, 12, tzinfo=UTC)
OURS = """
    told = []

    def page(message, *, team):
        told.append((team, message))

    def down(message): raise ConnectionError("pager\\ndoes not answer")
    def ends(message): raise SystemExit(0)
    def refuses(message): return False
    def answers(message): return {"status": 200}
"""


def with_notify(**notify):
    return {**BINARY, "notify": {"via": "path", **notify}}


@pytest.fixture
def ours(own_module):  # noqa: F811
    own_module("notify_ours", OURS)


@pytest.fixture
def notice(ledger, monkeypatch):
    """A ledger with one notice that is due."""
    monkeypatch.setenv("SLIPWAY_URL", "https://slipway.example.org")
    told = Notice(
        "promoted/fraud/1", Scope.MODEL, "fraud", "promoted", "model", "nobody", "fraud: v2 serves.", "/slipway/x"
    )
    ledger.notices.put(told, NOW)
    return ledger, told


def delivered(notice, now=NOW):
    ledger, told = notice
    return outbox.deliver(ledger, told.key, by_path.send, now)


def test_it_is_given_the_sentence_the_link_and_the_owner(ours, notice, tmp_path):
    import notify_ours

    with declared(tmp_path, with_notify(path="notify_ours.page", params={"team": "claims"})):
        assert delivered(notice) == "claims-science is notified: fraud: v2 serves."
    link = "https://slipway.example.org/slipway/x"
    message = by_path.Message("promoted", "fraud", "claims-science", "fraud: v2 serves.", link, "promoted/fraud/1")
    assert notify_ours.told == [("claims", message)]
    assert notice[0].notices.unsent() == []


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("notify_ours.down", "notify_ours.down raised ConnectionError: pager does not answer"),
        ("notify_ours.ends", "notify_ours.ends raised SystemExit: 0"),
        ("notify_ours.refuses", "notify_ours.refuses returned False, so no one was notified"),
        ("notify_ours.gone", "notify.path 'notify_ours.gone' cannot be imported"),
    ],
)
def test_one_that_fails_is_kept_with_its_reason_and_tried_again(ours, notice, tmp_path, path, why):
    with declared(tmp_path, with_notify(path=path)):
        assert why in delivered(notice)
        (left,) = notice[0].notices.unsent()
        assert (left.state, why in str(left.error)) == (NoticeState.PENDING, True)
    with declared(tmp_path, with_notify(path="notify_ours.answers")):
        assert "is notified" in delivered(notice, NOW + timedelta(hours=1))


def test_the_supervisor_tells_by_it_too_and_keeps_the_line(ours, notice, tmp_path):
    import notify_ours

    with declared(tmp_path, with_notify(path="notify_ours.page", params={"team": "claims"})) as known:
        teller.to_file_at_least(notice[1], known.model("fraud").notify)
        assert len(notify_ours.told) == 1
        file = loader.ROOT.parent / "home" / outbox.FILE
        assert "fraud: v2 serves." in file.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("notify", "says"),
    [
        ({"via": "path"}, "path is missing; via is path, so say which function notifies people"),
        ({"via": "file", "path": "notify_ours.page"}, "path is given, and via is file; give via: path with it"),
        ({"via": "smtp", "params": {"team": "x"}}, "params is given, and via is smtp; give via: path with it"),
    ],
)
def test_a_channel_that_does_not_hold_together_is_refused(tmp_path, notify, says):
    with pytest.raises(ValueError, match=says), declared(tmp_path, {**BINARY, "notify": notify}):
        pass


def test_validate_and_doctor_name_one_that_cannot_be_used(ours, tmp_path, capsys):
    from include.cli import main

    with declared(tmp_path, with_notify(path="notify_ours.page", params={"teem": "claims"})):
        view = loader.ROOT / "features" / "claim" / "view.yaml"
        of_view = yaml.safe_load(view.read_text(encoding="utf-8"))
        view.write_text(
            yaml.safe_dump({**of_view, "notify": {"via": "path", "path": "notify_ours.pag"}}), encoding="utf-8"
        )
        loader.declarations.cache_clear()
        assert main(["validate", "--offline", str(loader.ROOT)]) != 0
        said = capsys.readouterr().out
        assert "notify.path 'notify_ours.page' would be called with (message, teem=...)" in said
        assert "view.yaml:" in said
        assert "notify.path 'notify_ours.pag' cannot be imported" in said
        found = {check.name: check for check in machine.ways_of_telling()}
    assert not found["notify fraud"].ok
    assert not found["notify claim"].ok
    assert "notify path" not in found
