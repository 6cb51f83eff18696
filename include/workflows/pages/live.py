"""A model that is asked online, as the page *Live* shows it: who answers, how fast, from how old values, on which host.

All of it is what the instances of the service said in the ledger. Where none says anything nothing is judged: a service
that is silent is not one that works.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from include.adapters.ledger import InstanceRecord, RouteRecord
from include.config.declared import UnknownName
from include.domain.promotion import Epoch
from include.domain.wording import count_of
from include.workflows.pages import sources
from include.workflows.pages.live_canary import CanaryLive, canary_of


@dataclass(frozen=True, slots=True)
class LiveView:
    """The page of one model."""

    model: str
    online: bool
    """Whether it is declared to be asked online."""
    champion: Epoch | None
    """By whom the ledger says that it is served."""
    instances: tuple[LiveInstance, ...]
    verdict: str
    word: str
    said: str
    """What the verdict rests on, in a sentence."""
    canary: CanaryLive | None = None
    """Its newest candidate that took a share of live traffic; None where none ever did."""


@dataclass(frozen=True, slots=True)
class LiveInstance:
    """What one instance said of the model."""

    name: str
    seen: bool
    ended: bool
    said_ago_s: int
    watermark: datetime | None
    served: tuple[Mapping[str, Any], ...]
    behind: bool
    """Whether a worker still answers by an earlier champion than the ledger has."""
    problem: str
    answered: int
    refused: int
    failed: int
    """Requests by status: 2xx, 4xx, 5xx."""
    rows: int
    unwritten: int
    p50: str
    p99: str
    ages: tuple[tuple[str, str, str, int, Mapping[str, int]], ...]
    """By view: the age that half and 99 of 100 looked up values were not older than, of how many, and how many were
    missing by reason."""

    @property
    def verdict(self) -> str:
        """PASS, FAIL or NONE, as verdicts are drawn."""
        if not self.seen:
            return "NONE"
        return "FAIL" if self.behind or self.problem or not self.served else "PASS"

    @property
    def word(self) -> str:
        if not self.seen:
            return "has ended" if self.ended else "not judged: it says nothing"
        if not self.served:
            return "does not answer"
        return "answers by an earlier champion" if self.behind or self.problem else "answers"


def live(model: str, now: datetime, unit: str = "") -> LiveView:
    """The page's content; ``now`` is the machine's time, ``unit`` one of which is asked who would answer it.

    Raises:
        UnknownName: for a model that is not declared.
    """
    known = sources.declared_now().models
    if model not in known:
        raise UnknownName("model", model, sorted(known))
    declared = known[model]
    with sources.open_ledger() as ledger:
        head = ledger.routes.heads([model]).get(model)
        told = [each for each in ledger.instances.all() if model in each.models]
        canary = canary_of(ledger, model, unit)
    route, champion = head if head is not None else (None, None)
    instances = tuple(_instance(each, model, route, now) for each in told)
    verdict, word, said = _judged(instances)
    return LiveView(model, declared.serving.mode == "online", champion, instances, verdict, word, said, canary)


def _judged(instances: tuple[LiveInstance, ...]) -> tuple[str, str, str]:
    seen = [each for each in instances if each.seen]
    if not seen:
        silent = f" {count_of(len(instances), 'instance')} did before." if instances else ""
        return "NONE", "not judged", f"No instance of the service says anything.{silent} `slipway serve` starts one."
    wrong = [each for each in seen if each.verdict != "PASS"]
    if wrong:
        why = f": {wrong[0].problem}" if wrong[0].problem else "."
        return (
            "FAIL",
            wrong[0].word,
            f"Not as the ledger says: {len(wrong)} of {count_of(len(seen), 'instance')}, {wrong[0].name}{why}",
        )
    return "PASS", "answers", f"{count_of(len(seen), 'instance')} said so within the last minute."


def _instance(each: InstanceRecord, model: str, route: RouteRecord | None, now: datetime) -> LiveInstance:
    of = each.models[model]
    counts, served = of.get("counts") or {}, tuple(of.get("served") or ())
    by_status = {int(code): n for code, n in (counts.get("requests") or {}).items()}
    missing, ages = counts.get("missing") or {}, counts.get("ages") or {}
    return LiveInstance(
        name=each.instance_id,
        seen=each.is_seen(now),
        ended=each.ended_at is not None,
        said_ago_s=0 if each.seen_at is None else max(0, round((now - each.seen_at).total_seconds())),
        watermark=each.watermark,
        served=served,
        behind=route is not None and any(s["route_revision"] < route.route_revision for s in served),
        problem=str(of.get("problem") or ""),
        answered=sum(n for code, n in by_status.items() if code < 400),
        refused=sum(n for code, n in by_status.items() if 400 <= code < 500),
        failed=sum(n for code, n in by_status.items() if code >= 500),
        rows=int(counts.get("rows") or 0),
        unwritten=int(counts.get("unwritten") or 0),
        p50=_ms(counts.get("p50_s")),
        p99=_ms(counts.get("p99_s")),
        ages=tuple(
            (
                view,
                _age((ages.get(view) or {}).get("p50_s")),
                _age((ages.get(view) or {}).get("p99_s")),
                int((ages.get(view) or {}).get("rows") or 0),
                missing.get(view) or {},
            )
            for view in sorted({*ages, *missing})
        ),
    )


def _ms(seconds: object) -> str:
    """A time's bucket, for a person.

    >>> _ms(0.002), _ms("more"), _ms(None)
    ('2 ms or less', 'more than 5 s', 'none yet')
    """
    if seconds is None:
        return "none yet"
    return "more than 5 s" if isinstance(seconds, str) else f"{float(str(seconds)) * 1000:g} ms or less"


def _age(seconds: object) -> str:
    """An age's bucket, for a person.

    >>> _age(30.0), _age(900.0), _age(10800.0), _age("more"), _age(None)
    ('30 s', '15 min', '3 h', 'more than a day', '')
    """
    if seconds is None:
        return ""
    if isinstance(seconds, str):
        return "more than a day"
    value = float(str(seconds))
    if value >= 3600:
        return f"{value / 3600:g} h"
    return f"{value / 60:g} min" if value > 60 else f"{value:g} s"
