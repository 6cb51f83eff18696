"""Prediction drift: the two keys of input drift on the champion's scores and predicted classes (black-box shift
detection)."""

from __future__ import annotations

from include.domain.drift.input_drift import DEFAULT_RULES, DriftRules, DriftVerdict, judged_features
from include.domain.drift.profile import Profile


def prediction_drift(
    reference: Profile,
    current: Profile,
    rules: DriftRules = DEFAULT_RULES,
) -> DriftVerdict:
    """Judge the scores of a window against the reference's; any drifted column of scores counts.

    Arguments as in :func:`include.domain.drift.input_drift.input_drift`. Without reference scores, or without scores
    in the window, nothing is said (``drifted`` is None).
    """
    if not reference.scores or not current.scores:
        which = "reference" if not reference.scores else "window"
        return DriftVerdict(None, f"Predictions were not judged: the {which} has no scores.", 0, 0.0, ())
    weights = {s.name: 1 / len(reference.scores) for s in reference.scores}
    scores = judged_features(reference.scores, current.scores, weights, rules)
    judged = [s for s in scores if s.drifted is not None]
    rows = current.scores[0].rows
    if not judged:
        return DriftVerdict(None, f"Predictions were not judged: {scores[0].reason}", rows, 0.0, scores)
    drifted = [s for s in judged if s.drifted]
    if not drifted and len(judged) < len(scores):
        why = next(s.reason for s in scores if s.drifted is None)
        return DriftVerdict(None, f"Predictions were not judged as a whole: {why}", rows, 0.0, scores)
    loudest = max(drifted or judged, key=lambda s: s.effect)
    return DriftVerdict(bool(drifted), f"Predictions: {loudest.reason}", rows, len(drifted) / len(judged), scores)
