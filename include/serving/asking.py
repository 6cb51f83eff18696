"""The candidate is asked the rows of its share: what it is given, and how long it is waited for."""

from __future__ import annotations

import time
from typing import Any, cast

from include.domain.faults import crashpoint
from include.domain.packed.reader import Packed
from include.domain.serving.requests import NotAnswered
from include.serving.canary import CandidateTimes, Draw, late, reserved
from include.serving.lookups import LooksUp, looked_up
from include.serving.recorded import AskedBeside, BegunRequest
from include.serving.scores import ModelSaid, packed_scores, us_since, wrong_scores
from include.serving.slow import AnswersLater


class AsksCandidates:
    """Asks candidates, and knows how long each takes in this worker."""

    def __init__(self, lookup: LooksUp) -> None:
        self._lookup = lookup
        self._times: dict[tuple[str, int], CandidateTimes] = {}

    def at_once(self, begun: BegunRequest, before_s: float) -> AskedBeside:
        """The packed candidate's answers. One that would be late if it were asked alone is not waited for; where only
        the champion's own time leaves too little, the candidate is not asked, and is not blamed."""
        draw, terms = cast(Draw, begun.draw), begun.terms
        canary, n = draw.canary, len(draw.asked)
        times = self._times.setdefault(canary.arm.is_of, CandidateTimes(canary.arm.one_s, canary.arm.more_s))
        try:
            features = self._features_of(begun, draw)
        except NotAnswered as refused:
            return AskedBeside([], ModelSaid(error=refused.message))
        needs_s = times.of(n)
        if before_s + needs_s > terms.deadline_s:
            return AskedBeside(features, ModelSaid(error=late(before_s + needs_s, terms.deadline_s)))
        if terms.passed_s() + 2 * needs_s > terms.deadline_s:
            return AskedBeside(features, None)
        began = time.perf_counter()
        try:
            scores, error = packed_scores(cast(Packed, canary.form), features), None
        except NotAnswered as refused:
            scores, error = [], refused.message
        except Exception as broken:  # noqa: BLE001 - whatever a candidate raises is its own failure, and not the caller's
            scores, error = [], f"{type(broken).__name__}: {' '.join(str(broken).split())}"[:300]
        took = time.perf_counter() - began
        times.took(took, n)
        if error is None and before_s + took > terms.deadline_s:
            error = late(before_s + took, terms.deadline_s)
        crashpoint("serve.canary_scored")
        return AskedBeside(features, self._judged(draw, ModelSaid(scores, error, round(took * 1e6))))

    async def slowly(self, begun: BegunRequest) -> AskedBeside:
        """The answers of a candidate that has a process, as far as they come in time."""
        draw, terms = cast(Draw, begun.draw), begun.terms
        try:
            features = self._features_of(begun, draw)
        except NotAnswered as refused:
            return AskedBeside([], ModelSaid(error=refused.message))
        before = time.perf_counter()
        left = terms.deadline_s - terms.passed_s() - reserved(terms.deadline_s)
        try:
            scores = await cast(AnswersLater, draw.canary.form).scores(features, left)
            said = ModelSaid(scores, None, us_since(before))
        except NotAnswered as refused:
            said = ModelSaid(error=refused.message, us=us_since(before))
        crashpoint("serve.canary_scored")
        return AskedBeside(features, self._judged(draw, said))

    def _features_of(self, begun: BegunRequest, draw: Draw) -> list[dict[str, Any]]:
        """What the candidate is given: the champion's very values, and what only the candidate takes.

        Raises:
            NotAnswered: when values of its own are missing, and their view's policy refuses that.
        """
        canary, found = draw.canary, []
        names = [each.name for each in canary.served.features]
        for i in draw.asked:
            champions = begun.rows[i].features
            if canary.looks_up_alike:
                found.append({name: champions[name] for name in names})
                continue
            own = looked_up(self._lookup, begun.asked[i], canary.served, begun.at).features
            found.append({name: champions[name] if name in canary.common else own[name] for name in names})
        return found

    @staticmethod
    def _judged(draw: Draw, said: ModelSaid) -> ModelSaid:
        wrong = said.error or wrong_scores(said.scores, len(draw.asked), draw.canary.served)
        return said if wrong is None else ModelSaid(error=wrong, us=said.us)
