"""Rows whose chances are known, and what is estimated of them without their labels."""

from datetime import date, timedelta

import numpy as np
from scipy import special

from include.domain.drift.calibration import expected_losses
from include.domain.drift.estimated import estimated_performance
from include.domain.risk_bounds import Band


def days_of(rows, days=14):
    first = date(2013, 5, 1)
    return [(first + timedelta(days=i * days // rows)).isoformat() for i in range(rows)]


def events(rng, rows, *, at=0.0, slope=1.5, miscalibrated=1.0):
    """Labels of a logistic world around ``at``, and the scores of a model that knows it, as odds to a power."""
    x = rng.normal(at, 1, rows)
    logit = slope * x - 1
    return (rng.random(rows) < special.expit(logit)).astype(int), special.expit(miscalibrated * logit)


def classes_of(rng, rows, *, at=0.0, miscalibrated=1.0):
    x = rng.normal(at, 1, (rows, 1))
    logits = x * np.array([[-1.5, 0.0, 1.5]])
    chances = special.softmax(logits, axis=1)
    y = (rng.random((rows, 1)) > chances.cumsum(axis=1)).sum(axis=1).clip(0, 2)
    return y, special.softmax(miscalibrated * logits, axis=1)


def estimated(reference, scores, *, metric=None, tolerance=0.005, alpha=0.05, **options):
    losses = expected_losses(reference.metric, scores, reference.calibration(scores))
    band = Band(metric or reference.metric, tolerance, alpha)
    return estimated_performance(reference, losses, band, **options)
