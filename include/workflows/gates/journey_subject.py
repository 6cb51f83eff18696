"""A journey's candidate as the gates measure it.

Everything is measured here on this journey's own sets, model file and machine; figures of the step that made it are not
trusted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from include.adapters import estimators
from include.config import ModelDeclaration, declarations
from include.domain.attempts import Attempts
from include.domain.errors import Refusal
from include.domain.gates import (
    Availability,
    EarlierWindow,
    Evidence,
    PackedEvidence,
    Signature,
    Split,
    Timing,
    TrainingDataSummary,
    split_of,
)
from include.domain.gates.anchor import NO_ANCHOR, AnchorEvidence
from include.domain.incident import Incident
from include.workflows import stores
from include.workflows.evidence import (
    canary_seen,
    earlier_windows,
    evaluation,
    held_out_attempts,
    journey_rows,
    packed_form,
    probes,
    refit,
    shadow_window,
    smoke_process,
    timings,
    training_summary,
)
from include.workflows.evidence.availability import availability_of
from include.workflows.evidence.canary_seen import CanarySeen
from include.workflows.evidence.logged import champion_of, logged_of, serves_refitted
from include.workflows.evidence.probes import UNSEEN_PROBE, Smoked
from include.workflows.evidence.promised_signature import promised_signature
from include.workflows.evidence.shadow_window import Shadowed
from include.workflows.gates import champion as champion_gate
from include.workflows.journey import alarm
from include.workflows.journey.facts import Evaluated, TrainingSets
from include.workflows.journey.step import Journey
from include.workflows.scoring import fitted_models, packed_files, training_sets

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


class JourneySubject:
    """All that can be measured of one journey's candidate."""

    def __init__(self, journey: Journey) -> None:
        self.journey = journey

    @property
    def model(self) -> ModelDeclaration:
        return self.journey.model

    @property
    def has_champion(self) -> bool:
        return self.journey.kept(Evaluated).champion_revision > 0

    def training_data(self) -> TrainingDataSummary:
        return training_summary.summary_of(self.journey)

    def learned(self) -> tuple[pd.DataFrame, np.ndarray[Any, Any]]:
        """Those of the file that is to serve."""
        if self.journey.candidate.facts.served_digest is not None:
            return refit.learned(self.journey)
        features, label, _ = journey_rows.frames(self.journey, "train")
        return features, label

    def availability(self) -> Availability | None:
        return availability_of(self.journey.kept(TrainingSets).train.availability)

    def split(self) -> Split | None:
        sets = self.journey.kept(TrainingSets)
        keys = declarations().view(self.model.entity.view).keys
        train, holdout = (
            training_sets.read(made).select([*keys, "event_time"]).to_pandas() for made in (sets.train, sets.holdout)
        )
        return split_of(train, holdout, keys)

    def scored(self) -> Evidence:
        return evaluation.evidence_of(self.journey)

    def columns(self, names: Iterable[str]) -> Mapping[str, pd.Series[Any]]:
        return evaluation.slice_columns(self.journey, names)

    def held_out(self) -> pd.DataFrame:
        return evaluation.held_out_rows(self.journey)

    def incident(self) -> Incident | None:
        return alarm.incident_behind(self.journey.ledger, self.journey.candidate)

    def new_support(self) -> str | None:
        return alarm.new_support_of(self.journey.ledger, self.journey.candidate)

    def attempts(self) -> Attempts:
        return held_out_attempts.attempts_of(self.journey, champion_gate.NAME)

    def earlier_window(self) -> EarlierWindow:
        journey = self.journey
        replayed = journey.kept(Evaluated).replay
        evidence, missing = earlier_windows.evidence_of(journey, replayed)
        if evidence is None or replayed is None:
            return EarlierWindow(evidence, missing, 1)
        attempts = earlier_windows.attempts(journey, replayed, champion_gate.NAME)
        window = {"start": replayed.start, "end": replayed.end, "learned": replayed.learned}
        return EarlierWindow(evidence, missing, attempts, window)

    def anchor(self) -> AnchorEvidence:
        known = self.journey.kept(Evaluated)
        if known.anchor_id is None:
            return NO_ANCHOR
        return AnchorEvidence(
            known.anchor_id,
            evaluation.anchored_evidence(self.journey),
            known.anchor_missing,
            held_out_attempts.against(self.journey, champion_gate.NAME, known.anchor_id),
        )

    def timings(self) -> tuple[Timing | None, Timing | None]:
        declared = self.model.gates.latency_gate
        return timings.timings_of(self.journey, declared.repeats if declared else 0)

    def signatures(self) -> tuple[Signature | None, Signature | None]:
        """The candidate's logged signature beside the champion's; for a first deployment, beside the declaration."""
        registry, champion = stores.registry(), champion_of(self.journey)
        candidate = registry.signature(logged_of(self.journey))
        if champion is None:
            return promised_signature(self.model, candidate), candidate
        source = registry.source(champion.model, int(str(champion.facts.model_version)))
        return registry.signature(source), candidate

    def smoked(self) -> Smoked:
        """The registered version's file, fetched and asked in a fresh process, beside what ``evaluate`` saw."""
        journey, model = self.journey, self.model
        facts, declared = journey.candidate.facts, model.gates.smoke_gate
        if facts.model_version is None or declared is None:
            raise Refusal(
                f"{journey.candidate_id} is not registered, so there is no artifact to try. "
                "Clear the run from register_challenger on."
            )
        kinds = fitted_models.kinds_of(model)
        features, _, _ = journey_rows.frames(journey, "holdout")
        chosen = probes.rows_to_ask(len(features), declared.rows)
        asked = probes.probes_of(features.iloc[chosen].reset_index(drop=True), kinds)
        with stores.registry().fetched(model.name, int(facts.model_version)) as file:
            said = smoke_process.ask(
                file,
                str(facts.serving_digest),
                asked,
                kinds=kinds,
                classes=model.class_count,
                timeout_s=declared.timeout_s,
            )
        seen = self.scored().candidate[chosen]
        if serves_refitted(journey.candidate):
            served = fitted_models.load_logged(stores.registry(), logged_of(journey), str(facts.serving_digest))
            seen = estimators.predict(served, features.iloc[chosen], classes=model.class_count)
        evidence = probes.smoke_evidence(model, said, seen)
        return Smoked(evidence, UNSEEN_PROBE in asked)

    def packed(self) -> PackedEvidence:
        """The packed form of the file that is to serve; where it is equal it is kept by its digest, here and on the
        candidate's MLflow run."""
        declared, facts, registry = self.model.gates.packed_gate, self.journey.candidate.facts, stores.registry()
        if facts.model_version is None or declared is None:
            raise Refusal(
                f"{self.journey.candidate_id} is not registered, so there is no file to pack. "
                "Clear the run from register_challenger on."
            )
        digest = str(facts.serving_digest)
        pipeline = fitted_models.load_logged(registry, logged_of(self.journey), digest)
        features, _, _ = journey_rows.frames(self.journey, "holdout")
        made = packed_form.packing_of(self.model, pipeline, features, digest)
        found = packed_form.held(self.model, declared, pipeline, made, features)
        if not found.equal:
            return found
        registry.log_file(str(facts.mlflow_run_id), packed_files.keep(made.content))
        return found

    def shadowed(self) -> Shadowed:
        return shadow_window.window_seen(self.journey)

    def canary(self) -> CanarySeen:
        return canary_seen.seen_by(self.journey)

    def said(self) -> Mapping[str, str]:
        latest = self.journey.ledger.gates.latest(self.journey.candidate_id)
        return {gate: record.verdict.value for gate, record in latest.items()}
