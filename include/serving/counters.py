"""Counters of a worker that are still there when it is gone, so that their sum over all workers never goes back.

Each worker counts in a file of its own, which it has in its memory; whoever is asked adds all files of the run up.
"""

from __future__ import annotations

import math
import mmap
import re
import struct
from collections import Counter
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

_SLOT = struct.Struct("<248sd")
_SLOTS = 2_000
_SIZE = _SLOT.size * _SLOTS
ENDS = ".counters"
_LABEL = re.compile(r'(\w+)="([^"]*)"')
BUCKETS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1.0, 5.0)
"""Upper ends of the histogram of seconds."""
AGES = (1.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 10800.0, 21600.0, 86400.0)
"""Upper ends of the histogram of ages of looked up values, in seconds."""
AGE = "slipway_feature_age_seconds"


class Counters:
    """The counters of one worker, by their name and labels as Prometheus writes them."""

    def __init__(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("w+b") as opened:
            opened.truncate(_SIZE)
            self._map = mmap.mmap(opened.fileno(), _SIZE)
        self._places: dict[str, int] = {}
        self._values: dict[str, float] = {}

    def add(self, name: str, more: float = 1.0) -> None:
        """Add to a counter; a new one begins at 0. Beyond 2,000 counters or 248 characters nothing is counted."""
        place = self._places.get(name)
        if place is None:
            encoded = name.encode()
            if len(self._places) >= _SLOTS or len(encoded) > 248:
                return
            place = self._places[name] = len(self._places) * _SLOT.size
            self._values[name] = 0.0
            _SLOT.pack_into(self._map, place, encoded, 0.0)
        value = self._values[name] = self._values[name] + more
        struct.pack_into("<d", self._map, place + 248, value)


def added_up(folder: Path) -> dict[str, float]:
    """The sum of each counter over all workers of a run, those that are gone too."""
    found: Counter[str] = Counter()
    for file in sorted(folder.glob(f"*{ENDS}")):
        data = file.read_bytes()
        for place in range(0, len(data) - _SLOT.size + 1, _SLOT.size):
            name, value = _SLOT.unpack_from(data, place)
            if not name[0]:
                break
            found[name.rstrip(b"\0").decode("utf-8", errors="replace")] += value
    return dict(found)


@lru_cache(maxsize=4096)
def labelled(name: str, **labels: object) -> str:
    """
    >>> labelled("slipway_requests_total", model="wind", code=200)
    'slipway_requests_total{model="wind",code="200"}'
    """
    inside = ",".join(f'{key}="{_plain(str(value))}"' for key, value in labels.items())
    return f"{name}{{{inside}}}" if labels else name


def bucket_of(seconds: float, ends: tuple[float, ...] = BUCKETS) -> str:
    """The bucket of the histogram that a time belongs to.

    >>> bucket_of(0.0007), bucket_of(60), bucket_of(60, AGES)
    ('0.001', 'inf', '60.0')
    """
    return next((str(le) for le in ends if seconds <= le), "inf")


def quantile(buckets: Mapping[str, float], share: float, ends: tuple[float, ...] = BUCKETS) -> float | None:
    """The upper end of the bucket in which the quantile lies; infinite beyond the last, None without any.

    >>> quantile({"0.001": 98.0, "0.02": 2.0}, 0.99), quantile({}, 0.5)
    (0.02, None)
    """
    total, so_far = sum(buckets.values()), 0.0
    if not total:
        return None
    for le in ends:
        so_far += buckets.get(str(le), 0.0)
        if so_far >= share * total:
            return le
    return float("inf")


def by_model(counters: Mapping[str, float]) -> dict[str, dict[str, Any]]:
    """What the counters say of each model, for a person: ``requests`` by status, ``rows``, ``p50_s`` and ``p99_s``,
    ``missing`` by view and reason, by view the ``ages`` of looked up values, and ``unwritten`` answers."""
    found: dict[str, dict[str, Any]] = {}
    times: dict[str, dict[str, float]] = {}
    ages: dict[tuple[str, str], dict[str, float]] = {}
    for name, value in counters.items():
        family, _, rest = name.partition("{")
        labels = dict(_LABEL.findall(rest))
        model = labels.get("model", "")
        if not model:
            continue
        of = found.setdefault(model, {"requests": {}, "rows": 0, "missing": {}, "ages": {}, "unwritten": 0})
        if family == "slipway_requests_total":
            of["requests"][labels["code"]] = int(value)
        elif family == "slipway_rows_total":
            of["rows"] = int(value)
        elif family == "slipway_journal_failed_total":
            of["unwritten"] = int(value)
        elif family == "slipway_missing_total":
            of["missing"].setdefault(labels["view"], {})[labels["why"]] = int(value)
        elif family == "slipway_request_seconds_bucket":
            times.setdefault(model, {})[labels["le"]] = value
        elif family == f"{AGE}_bucket":
            ages.setdefault((model, labels["view"]), {})[labels["le"]] = value
    for model, of in found.items():
        buckets = times.get(model, {})
        of["p50_s"], of["p99_s"] = _finite(quantile(buckets, 0.5)), _finite(quantile(buckets, 0.99))
    for (model, view), buckets in ages.items():
        p50, p99 = quantile(buckets, 0.5, AGES), quantile(buckets, 0.99, AGES)
        found[model]["ages"][view] = {"p50_s": _finite(p50), "p99_s": _finite(p99), "rows": int(sum(buckets.values()))}
    return found


def by_arm(counters: Mapping[str, float]) -> dict[tuple[str, str, int, int], dict[str, dict[str, int]]]:
    """By model, candidate, number of its rollout and share, what was counted: ``units``, ``rows`` and ``failures`` of
    each arm. A failure of the canary is one where the champion answered for it; one of both is of neither."""
    found: dict[tuple[str, str, int, int], dict[str, dict[str, int]]] = {}
    for name, value in counters.items():
        family, _, rest = name.partition("{")
        what = family.removeprefix("slipway_arm_").removesuffix("_total")
        if what in ("rows", "units", "failures"):
            labels: dict[str, str] = dict(_LABEL.findall(rest))
            key = labels["model"], labels["candidate"], int(labels["number"]), int(labels["share_ppm"])
            of = found.setdefault(key, {}).setdefault(what, {})
            arm = labels["of"] if what == "failures" else labels["arm"]
            of[arm] = of.get(arm, 0) + int(value)
    return found


def _finite(value: float | None) -> float | str | None:
    """JSON has no infinity."""
    return "more" if value is not None and math.isinf(value) else value


def exposition(counters: dict[str, float], gauges: dict[str, float]) -> str:
    """What Prometheus reads. The histogram's buckets are counted one by one and added up here."""
    whole: dict[str, float] = {}
    buckets: dict[str, dict[float, float]] = {}
    for name, value in counters.items():
        if "_bucket{" in name:
            begin, _, end = name.rpartition('le="')
            buckets.setdefault(begin, {})[float(end.rstrip('"}'))] = value
        else:
            whole[name] = value
    for begin, found in buckets.items():
        total = 0.0
        for le in (*(AGES if begin.startswith(AGE) else BUCKETS), float("inf")):
            total += found.get(le, 0.0)
            whole[f'{begin}le="{"+Inf" if le == float("inf") else le}"}}'] = total
    lines: list[str] = []
    typed: set[str] = set()
    for kind, values in (("counter", whole), ("gauge", gauges)):
        for name in sorted(values, key=lambda n: _family(n)[0]):
            family, is_histogram = _family(name)
            if family not in typed:
                typed.add(family)
                lines.append(f"# TYPE {family} {'histogram' if is_histogram else kind}")
            lines.append(f"{name} {values[name]:.12g}")
    return "\n".join(lines) + "\n"


def _family(name: str) -> tuple[str, bool]:
    base = name.partition("{")[0]
    for end in ("_bucket", "_sum", "_count"):
        if base.endswith(f"_seconds{end}"):
            return base.removesuffix(end), True
    return base, False


def _plain(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
