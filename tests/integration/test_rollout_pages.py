"""A rollout over REST: what people see of it and say to it, under their own name."""

from __future__ import annotations

import pytest
from invariants import check_invariants
from ledger_fixtures import MODEL
from rollout_world import beside_a_champion, opened

pytestmark = [pytest.mark.filterwarnings("ignore")]
REASON = "Support sees odd answers"
PATH = f"/api/v1/models/{MODEL}/rollout"


def test_a_model_without_a_rollout_is_404(pages):
    answer = pages.get(PATH)
    assert (answer.status_code, answer.json()["message"]) == (
        404,
        f"No candidate of {MODEL} ever had a share of live traffic.",
    )
    assert pages.post(f"{PATH}/hold", {"reason": REASON}).status_code == 404


def test_people_hold_resume_and_end_it_under_their_own_name(pages):
    rollout = opened(pages.ledger, beside_a_champion(pages.ledger))
    assert pages.get(PATH).json()["share_ppm"] == 10_000
    for action, stage in (("hold", "held"), ("resume", "running"), ("abort", "aborted")):
        made = pages.post(f"{PATH}/{action}", {"reason": REASON, "requested_by": "the team"})
        assert (made.status_code, made.json()["stage"]) == (200, stage)
    again = pages.post(f"{PATH}/resume", {"reason": REASON})
    assert again.status_code == 409
    events = [(e["event"], e["actor"]) for e in pages.get(PATH).json()["events"]]
    said = "otto (who says: the team)"
    assert events == [("open", "journey"), ("hold", said), ("resume", said), ("abort", said)]
    assert pages.ledger.rollouts.of(rollout.candidate_id)[0].is_over
    check_invariants(pages)


@pytest.mark.parametrize(
    ("action", "body", "who", "status"),
    [
        ("hold", {"reason": "short"}, "otto", 422),
        ("hold", {"reason": REASON, "share": 0.5}, "otto", 422),
        ("raise", {"reason": REASON}, "otto", 404),
        ("hold", {"reason": REASON}, "vera", 403),
        ("abort", {"reason": REASON}, "vera", 403),
    ],
)
def test_what_is_wrong_or_not_allowed_changes_nothing(pages, action, body, who, status):
    rollout = opened(pages.ledger, beside_a_champion(pages.ledger))
    assert pages.post(f"{PATH}/{action}", body, who).status_code == status
    assert pages.ledger.rollouts.of(rollout.candidate_id)[0] == rollout
