"""The gates a model may declare beside its bounds and its champion: each one's evidence, and the domain's judgement.

What is measured here is measured on this journey's own sets, model file and machine; nothing is taken on trust from
the step that made it.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from include.adapters import estimators
from include.adapters.ledger import Candidate
from include.adapters.registry import VersionMissing
from include.config import ModelDeclaration, declarations
from include.config.gates import LatencyGate, Leakage, SignatureGate, SliceGate, SmokeGate
from include.domain.errors import Refusal
from include.domain.gates import Availability, SmokeEvidence, Timing, split_of
from include.domain.metrics import Task
from include.domain.verdicts import GateResult
from include.workflows import common, evaluation, gate_rules, judges, models, opponents, smoke, training, training_set
from include.workflows.common import Journey

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

TIMINGS = "timings.json"
BATCH_ROWS, BATCHES, WARM_UP = 1000, 20, 5
REAL_PROBE = "real rows"
UNSEEN = "(a category nobody ever saw)"


def leakage(journey: Journey, declared: Leakage) -> GateResult:
    """The training set: each feature alone, the available times as they were joined, and the split."""
    sets = journey.kept(training.SETS)
    features, label, _ = training.frames(journey, "train")
    keys = declarations().view(journey.model.entity.view).keys
    rows = {which: training_set.read(sets[which]).select([*keys, "event_time"]).to_pandas() for which in sets}
    return judges.leakage(
        declared,
        Task(journey.model.task),
        features,
        label,
        availability_of(sets["train"].get("availability")),
        split_of(rows["train"], rows["holdout"], keys),
    )


def availability_of(measured: Mapping[str, Any] | None) -> Availability | None:
    """What the join measured; None of a set that was built before it did."""
    if measured is None:
        return None
    by_most = {name: timedelta(seconds=seconds) for name, seconds in measured["by_most_s"].items()}
    return Availability(int(measured["rows"]), dict(measured["late"]), by_most)


def slices(journey: Journey, declared: SliceGate) -> GateResult:
    """The rows that ``champion_gate`` judges, cut by the columns that ``evaluate`` kept beside the scores."""
    beside = journey.model.gates.champion_gate
    return judges.slices(
        declared,
        beside,
        evaluation.evidence_of(journey),
        evaluation.slice_columns(journey, gate_rules.columns_of(gate_rules.slices(declared, beside))),
        has_champion=journey.kept(evaluation.FACTS)["champion_revision"] > 0,
        attempts=evaluation.attempts_on_holdout(journey),
    )


# --- latency_gate ----------------------------------------------------------------------------------------------------


def latency(journey: Journey, declared: LatencyGate) -> GateResult:
    """Both models timed in turns by this process. A journey that is over is judged by the times it was judged by."""
    file = journey.folder / TIMINGS
    if journey.candidate.is_live or not file.is_file():
        journey.keep(TIMINGS, _timings(journey, declared.repeats))
    kept = journey.kept(TIMINGS)
    candidate, champion = (Timing(**kept[who]) if kept[who] else None for who in ("candidate", "champion"))
    has_champion = journey.kept(evaluation.FACTS)["champion_revision"] > 0
    return judges.latency(declared, candidate, champion, has_champion=has_champion)


def _timings(journey: Journey, repeats: int) -> dict[str, Any]:
    features, _, _ = training.frames(journey, "holdout")
    registry, digest = common.registry(), str(journey.candidate.facts.artifact_digest)
    timed = {"candidate": Asked(models.load_logged(registry, _logged(journey), digest), features)}
    digests = {"candidate": digest}
    champion = _champion(journey)
    if champion is not None:
        digests["champion"] = str(champion.facts.artifact_digest)
        try:
            tables = journey.kept(evaluation.FACTS).get("champion_tables")
            version = int(str(champion.facts.model_version))
            opponent = opponents.load(journey, champion.candidate_id, version, digests["champion"], tables)
            asked = opponent.features(journey, journey.kept(training.SETS)["holdout"], features)
            timed["champion"] = Asked(opponent.pipeline, asked)
        except opponents.UNABLE as error:
            print(f"The champion {champion.candidate_id} was not timed: {error}")
    took = time_in_turns(timed, repeats, classifier=journey.model.is_classifier)
    sized = {who: replace(each, model_bytes=float(models.size_of(digests[who]))) for who, each in took.items()}
    return {who: asdict(sized[who]) if who in sized else None for who in ("candidate", "champion")}


class Asked(NamedTuple):
    """A pipeline, and the rows it is asked; several have the same ones, each as it reads them."""

    pipeline: Any
    features: pd.DataFrame


def time_in_turns(
    timed: Mapping[str, Asked],
    repeats: int,
    *,
    classifier: bool,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, Timing]:
    """Each model's times for single rows and for batches, asked in turns so that both meet the same machine. ``clock``
    gives seconds."""
    import numpy as np

    singles: dict[str, list[float]] = {who: [] for who in timed}
    batches: dict[str, list[float]] = {who: [] for who in timed}
    rows = {who: each.features for who, each in timed.items()}
    thousand = {who: f.iloc[np.arange(BATCH_ROWS) % len(f)] for who, f in rows.items()}
    for i in range(WARM_UP + repeats):
        # A stride that spreads the rows over all days.
        row = {who: f.iloc[[(i * 7919) % len(f)]] for who, f in rows.items()}
        for who in _in_turns(timed, i):
            took = _ms(timed[who].pipeline, row[who], classifier, clock)
            if i >= WARM_UP:
                singles[who].append(took)
    for i in range(1 + BATCHES):
        for who in _in_turns(timed, i):
            took = _ms(timed[who].pipeline, thousand[who], classifier, clock)
            if i:
                batches[who].append(took)
    machine = f"{platform.node()} {platform.machine()}"
    return {
        who: Timing(
            machine=machine,
            repeats=repeats,
            p50_ms=float(np.quantile(singles[who], 0.5)),
            p99_ms=float(np.quantile(singles[who], 0.99)),
            batch_ms_per_1k=float(np.median(batches[who])),
            batch_p90_ms_per_1k=float(np.quantile(batches[who], 0.9)),
        )
        for who in timed
    }


def _in_turns(timed: Mapping[str, Any], i: int) -> list[str]:
    """Each is asked first every other time, so that neither always finds the caches warm."""
    return list(timed) if i % 2 else list(timed)[::-1]


def _ms(pipeline: Any, rows: pd.DataFrame, classifier: bool, clock: Callable[[], float]) -> float:
    started = clock()
    estimators.predict(pipeline, rows, classifier=classifier)
    return 1000 * (clock() - started)


# --- signature_gate --------------------------------------------------------------------------------------------------


def signature(journey: Journey, declared: SignatureGate) -> GateResult:
    """The candidate's logged signature against the champion's; for a first deployment, against the declaration."""
    registry, champion = common.registry(), _champion(journey)
    candidate = registry.signature(_logged(journey))
    if champion is None:
        callers = judges.promised_signature(journey.model, candidate)
    else:
        callers = registry.signature(registry.source(champion.model, int(str(champion.facts.model_version))))
    return judges.signature(declared, callers, candidate)


# --- smoke_gate ------------------------------------------------------------------------------------------------------


def smoked(journey: Journey, declared: SmokeGate) -> GateResult:
    """The registered version's file, fetched and asked in a fresh process, beside what ``evaluate`` saw."""
    facts, model = journey.candidate.facts, journey.model
    if facts.model_version is None:
        raise Refusal(
            f"{journey.candidate_id} is not registered, so there is no artifact to try. "
            "Clear the run from register_challenger on."
        )
    kinds = models.kinds_of(model)
    features, _, _ = training.frames(journey, "holdout")
    chosen = rows_to_ask(len(features), declared.rows)
    probes = probes_of(features.iloc[chosen].reset_index(drop=True), kinds)
    with common.registry().fetched(model.name, int(facts.model_version)) as file:
        said = smoke.ask(
            file,
            str(facts.artifact_digest),
            probes,
            kinds=kinds,
            classifier=model.is_classifier,
            timeout_s=declared.timeout_s,
        )
    evidence = smoke_evidence(model, said, evaluation.evidence_of(journey).candidate[chosen])
    return judges.smoke(declared, evidence, has_categories=judges.UNSEEN_PROBE in probes)


def rows_to_ask(held_out: int, count: int) -> np.ndarray[Any, Any]:
    """The positions of at most ``count`` held-out rows, spread over the whole holdout."""
    import numpy as np

    return np.unique(np.linspace(0, held_out - 1, min(count, held_out)).astype(int))


def probes_of(real: pd.DataFrame, kinds: Mapping[str, str]) -> dict[str, pd.DataFrame]:
    """What the artifact is asked, by name: real rows, rows with missing values, and unseen categories if there can
    be."""
    probes = {REAL_PROBE: real, "missing values": _with_missing(real)}
    if "categorical" in kinds.values():
        unseen = {f: UNSEEN for f, kind in kinds.items() if kind == "categorical"}
        probes[judges.UNSEEN_PROBE] = real.assign(**unseen)
    return probes


def smoke_evidence(
    model: ModelDeclaration, said: smoke.Answered, expected: np.ndarray[Any, Any] | None
) -> SmokeEvidence:
    """The answers beside ``expected``, what ``evaluate`` saw of the real rows."""
    return SmokeEvidence(
        task=Task(model.task),
        load_error=said.load_error,
        real=said.probes.get(REAL_PROBE),
        expected=expected,
        others=tuple(probe for name, probe in said.probes.items() if name != REAL_PROBE),
    )


def _with_missing(real: pd.DataFrame) -> pd.DataFrame:
    """A row without any value, then for each feature a held-out row without that one."""
    import numpy as np

    rows = real.iloc[np.arange(1 + real.shape[1]) % len(real)].reset_index(drop=True)
    rows.iloc[0, :] = np.nan
    for i in range(real.shape[1]):
        rows.iloc[1 + i, i] = np.nan
    return rows


# --- shared ----------------------------------------------------------------------------------------------------------


def _champion(journey: Journey) -> Candidate | None:
    """The champion the candidate is compared with, as ``evaluate`` found it; None for a first deployment."""
    champion_id = journey.kept(evaluation.FACTS)["champion_id"]
    return journey.ledger.candidates.get(champion_id) if champion_id else None


def _logged(journey: Journey) -> str:
    """The address of the candidate's logged model."""
    run = str(journey.candidate.facts.mlflow_run_id)
    logged = common.registry().logged_model(run)
    if logged is None:
        raise VersionMissing(f"MLflow run {run} of {journey.candidate_id} has no model. Clear the run from train on.")
    return logged
