"""The page *Live*: what the instances of the service say of a model, in three states, and never fine without a word."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from ledger_fixtures import MODEL, challenger, promote

from include.adapters.ledger import InstanceRecord

pytestmark = [pytest.mark.filterwarnings("ignore")]
NOON = datetime(2024, 3, 10, 12, tzinfo=UTC)
COUNTS = {
    "requests": {"200": 1200, "422": 3, "504": 2},
    "rows": 1300,
    "missing": {"origin_weather": {"stale": 7}},
    "ages": {"origin_weather": {"p50_s": 30.0, "p99_s": 900.0, "rows": 400}},
    "unwritten": 0,
    "p50_s": 0.001,
    "p99_s": 0.02,
}


@pytest.fixture
def champion(pages):
    """Of the model, by the ledger."""
    promote(pages.ledger, challenger(pages.ledger, "r1", digest="d1"))
    return pages.ledger.deployments.champion(MODEL)


def says(pages, champion, name: str = "here-8100", counts: dict | None = None, **changes) -> None:
    served = {
        "candidate": champion.to_candidate,
        "digest": champion.digest,
        "revision": champion.revision,
        "route_revision": champion.revision,
        "by": "packed",
        "workers": 2,
    }
    model = {"served": [{**served, **changes}], "counts": COUNTS if counts is None else counts}
    pages.ledger.instances.say(InstanceRecord(name, "here", NOON, {MODEL: model}, NOON))


def shown(pages) -> str:
    reply = pages.page(f"/models/{MODEL}/live")
    assert reply.status_code == 200, reply.text
    return " ".join(reply.text.split())


def test_where_no_instance_says_anything_nothing_is_judged(pages, champion):
    page = shown(pages)
    assert '<span class="verdict NONE">not judged</span>' in page
    assert "No instance of the service says anything." in page
    assert "PASS" not in page


def test_an_instance_that_answers_by_the_champion_is_shown_with_what_it_counted(pages, champion):
    says(pages, champion)
    page = shown(pages)
    assert '<p>Asked online: <span class="verdict PASS">answers</span></p>' in page
    for part in ("in 2 workers", ">1,200<", ">1,300<", ">3<", "<b>2</b>", "1 ms or less", "20 ms or less"):
        assert part in page, part
    assert '<td>origin_weather</td><td class="num">400</td><td class="num">30 s</td><td class="num">15 min</td>' in page
    assert '<span class="verdict INCONCLUSIVE">stale</span> 7' in page


def test_one_that_answers_by_an_earlier_champion_is_a_failure_that_is_named(pages, champion):
    says(pages, champion)
    says(pages, champion, "there-8100", route_revision=0)
    page = shown(pages)
    assert '<p>Asked online: <span class="verdict FAIL">answers by an earlier champion</span></p>' in page
    assert "1 of 2 instances, there-8100." in page


def test_one_that_fell_silent_is_not_judged_and_one_that_ended_says_so(pages, champion, monkeypatch):
    now = datetime.now(UTC)
    monkeypatch.setattr("include.adapters.ledger.instances.clock", lambda: now - timedelta(minutes=5))
    says(pages, champion)
    says(pages, champion, "ended-8100")
    pages.ledger.instances.end("ended-8100")
    page = shown(pages)
    assert "No instance of the service says anything. 2 instances did before." in page
    assert "not judged: it says nothing" in page
    assert "has ended" in page


def test_one_that_answers_by_a_pipeline_says_why_and_shows_it_as_text(pages, champion):
    says(pages, champion, by="pipeline", why="It has no <b>packed</b> form.", counts={})
    page = shown(pages)
    assert "by its pipeline" in page
    assert "It has no &lt;b&gt;packed&lt;/b&gt; form." in page
    assert "none yet" in page
    assert "No value was looked up yet" in page


def test_a_model_that_nobody_declared_is_a_404(pages):
    assert pages.page("/models/nothing_such/live").status_code in (403, 404)
