"""The page *Live* while a candidate takes a share of traffic: three states, who sees what, and who may act."""

from __future__ import annotations

from datetime import timedelta

import pytest
from ledger_fixtures import MODEL
from rollout_world import PLAN, beside_a_champion, finished, opened, said
from sqlalchemy import update

from include.adapters.ledger import InstanceRecord, tables
from include.adapters.ledger.database import clock
from include.domain.canary.counts import RolloutCounts
from include.domain.canary.figures import figures
from include.domain.canary.live_rows import LiveRow, ModelAnswer
from include.domain.canary.rollout import RolloutEvent
from include.domain.canary.units import place, within

pytestmark = [pytest.mark.filterwarnings("ignore")]
REASON = "Support sees odd answers"
URL = f"/models/{MODEL}/live"


@pytest.fixture
def rollout(pages):
    """Of a candidate beside a champion, at its first step."""
    return opened(pages.ledger, beside_a_champion(pages.ledger))


def shown(pages, path: str = URL, user: str = "otto") -> str:
    reply = pages.page(path, user)
    assert reply.status_code == 200, reply.text
    return " ".join(reply.text.split())


def sees(pages, rollout, *, failing: int = 0, silent: bool = False) -> None:
    """A host that has counted traffic of the rollout, of which so many of the canary's units failed."""
    share = rollout.state.share_ppm
    counts = RolloutCounts(rollout.number, PLAN.wire, tuple(step.share_ppm for step in PLAN.steps))
    for i in range(4_000):
        is_canary = within(place(rollout.salt, f"u{i}"), share)
        fails = is_canary and failing > 0
        failing -= fails
        canary = ModelAnswer(fails, 100, None if fails else 0.4) if is_canary else None
        counts.add(LiveRow(f"q{i}", f"u{i}", 2, share, is_canary, canary, ModelAnswer(False, 100, 0.41)))
    beside = {"candidate": rollout.candidate_id, "number": rollout.number, "share_ppm": share}
    model = {"served": [], "counts": {}, "canary": beside, "guard": {**beside, **figures(PLAN, counts)}}
    pages.ledger.instances.say(InstanceRecord("here-8100", "here", clock() - timedelta(hours=1), {MODEL: model}, None))
    if silent:
        with pages.ledger.database.writing() as connection:
            connection.execute(update(tables.instances).values(seen_at=clock() - timedelta(hours=1)))


def act(pages, action: str, reason: str = REASON, user: str = "otto"):
    page = pages.page(URL, user).text
    token = page.partition('name="csrf" value="')[2].partition('"')[0]
    headers = pages.headers(user, accept="text/html")
    form = {"csrf": token, "reason": reason}
    return pages.client.post(f"/slipway{URL}/{action}", data=form, headers=headers, follow_redirects=False)


def test_a_model_whose_candidates_never_took_traffic_has_no_section_of_it(pages):
    beside_a_champion(pages.ledger)
    assert "The steps of its share" not in shown(pages)


def test_it_shows_the_steps_and_the_share_declared_and_observed(pages, rollout):
    sees(pages, rollout)
    page = shown(pages)
    assert '<span class="verdict PASS">takes traffic</span>' in page
    assert '<li class="now"><b>1 %</b>' in page
    assert '<li class="ahead"><b>10 %</b>' in page
    assert '<td class="num">1 %</td>' in page
    assert "units not drawn as declared" in page
    assert '<span class="verdict PASS">not shown</span>' in page


def test_a_guard_that_follows_it_and_has_seen_no_row_yet_knows_nothing(pages, rollout):
    beside = {"candidate": rollout.candidate_id, "number": rollout.number}
    model = {"served": [], "counts": {}, "canary": {**beside, "share_ppm": 10_000}, "guard": beside}
    pages.ledger.instances.say(InstanceRecord("here-8100", "here", clock() - timedelta(hours=1), {MODEL: model}, None))
    page = shown(pages)
    assert '<td class="num"><span class="soft">not known</span></td>' in page
    assert "Evidence against it" not in page


def test_what_a_host_said_long_ago_is_not_judged(pages, rollout):
    sees(pages, rollout, silent=True)
    page = shown(pages)
    assert '<span class="verdict NONE">not judged</span>' in page
    assert "not shown</span>" not in page


def test_evidence_at_its_limit_is_red_and_its_bar_is_full(pages, rollout):
    sees(pages, rollout, failing=12)
    page = shown(pages)
    assert 'style="width: 100.0%"' in page
    assert '<span class="verdict FAIL">ends the share</span>' in page


@pytest.mark.parametrize(
    ("event", "state"),
    [
        (RolloutEvent.HOLD, '<span class="verdict INCONCLUSIVE">held: a person is asked</span>'),
        (RolloutEvent.TRIP, '<span class="verdict FAIL">taken out</span>'),
    ],
)
def test_each_state_has_its_colour_and_its_words(pages, rollout, event, state):
    pages.ledger.rollouts.lower(rollout.candidate_id, 1, event, said("x", "5 of 20 rows failed"))
    page = shown(pages)
    assert state in page
    assert "5 of 20 rows failed" in page


def test_where_every_step_has_passed_all_are_done(pages, rollout):
    finished(pages.ledger, rollout)
    page = shown(pages)
    assert page.count('<li class="done">') == len(PLAN.steps)
    assert "every step has passed" in page


def test_it_says_who_would_answer_a_unit_and_takes_any_text(pages, rollout):
    inside = next(f"u{i}" for i in range(10_000) if within(place(rollout.salt, f"u{i}"), 10_000))
    later = next(f"u{i}" for i in range(10_000) if not within(place(rollout.salt, f"u{i}"), 500_000))
    assert "The candidate, and the champion beside it." in shown(pages, f"{URL}?unit={inside}")
    assert "in no step before the promotion" in shown(pages, f"{URL}?unit={later}")
    assert "<script>alert" not in shown(pages, f"{URL}?unit=%3Cscript%3Ealert(1)%3C/script%3E")


def test_an_approver_holds_resumes_and_aborts_with_a_reason(pages, rollout):
    for action, stage in (("hold", "held"), ("resume", "running"), ("abort", "aborted")):
        assert act(pages, action).status_code == 303
        assert pages.ledger.rollouts.of(rollout.candidate_id)[0].state.stage.value == stage
    assert [e.actor for e in pages.ledger.rollouts.of(rollout.candidate_id)[0].events][1:] == ["otto"] * 3


def test_a_form_without_a_reason_comes_back_with_the_line_and_who_may_not_act_sees_no_button(pages, rollout):
    refused = act(pages, "hold", "no")
    assert refused.status_code == 422
    assert "Nothing was done." in refused.text
    assert pages.ledger.rollouts.of(rollout.candidate_id)[0] == rollout
    assert 'data-action="hold"' in shown(pages)
    assert 'data-action="hold"' not in shown(pages, user="vera")
    assert act(pages, "hold", user="vera").status_code == 403
