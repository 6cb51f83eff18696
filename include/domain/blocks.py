"""Metrics as functions of how often each block of rows counts, so that resampling never touches the rows again.

Rows of one day share weather, crew and queue: they are not independent, and treating them so makes every interval too
narrow. So uncertainty is taken over whole blocks (days). A metric is compressed once into sums per block, and
``BlockStatistic(counts)`` gives its value when block ``j`` is counted ``counts[:, j]`` times: ones for the metric
itself, a zero for a left-out day, multinomial counts for a bootstrap. The values are exact, not approximations; only
the bins of ``ece`` are held at those of all rows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from include.domain.metrics import ECE_BINS, Cells, Floats, Ints, Metric, OwnMetricFailed, equal_mass_bins, ratio

BlockStatistic = Callable[[Floats], Floats]
"""``(r, g)`` counts of each block to ``(r,)`` values; NaN where the counted rows do not allow the metric."""

COARSE = 1_000
"""The number of thresholds at which a resampled average precision is evaluated; its difference between two models moves
by less than 1e-4."""

_CELLS = 4_000_000
"""Cells of a temporary matrix: bounds its memory at 32 MB."""


@dataclass(frozen=True, slots=True, eq=False)
class Blocks:
    """Which block each row is in: ``codes`` ``(n,)`` from 0 to ``count - 1``, no block empty.

    ``weight`` ``(n,)``, each above 0, is how much a row counts; None where all count the same. ``drawn`` says that the
    blocks are groups of exchangeable rows, which were drawn at random.
    """

    codes: Ints
    count: int
    weight: Floats | None = None
    drawn: bool = False

    @classmethod
    def of(cls, labels: ArrayLike) -> Blocks:
        """One block for each distinct label (a day)."""
        names, codes = np.unique(np.asarray(labels), return_inverse=True)
        return cls(codes.astype(np.intp), len(names))

    @classmethod
    def at_random(cls, rows: int, count: int, seed: int = 0) -> Blocks:
        """``count`` groups of equal size, drawn without regard to the rows: for rows that are exchangeable."""
        codes = np.random.default_rng(seed).permutation(rows) % count
        return cls(codes.astype(np.intp), min(count, rows), drawn=True)

    def sums(self, values: Floats) -> Floats:
        """The weighted sum of the values in each block, ``(g,)``."""
        return np.bincount(self.codes, self.weighted(values), self.count).astype(np.float64, copy=False)

    def weighted(self, values: Floats) -> Floats:
        """The values, ``(n,)``, each times the weight of its row."""
        return values if self.weight is None else values * self.weight

    def of_each(self) -> Floats:
        """``(n,)``: what each row counts."""
        return np.ones(len(self.codes)) if self.weight is None else self.weight

    def merged(self, at_most: int) -> Blocks:
        """The same blocks, neighbours joined until there are at most this many."""
        if self.count <= at_most:
            return self
        return Blocks(self.codes * at_most // self.count, at_most, self.weight)

    @property
    def sizes(self) -> Floats:
        """What the rows of each block count together, their number where they have no weights, ``(g,)``."""
        return np.bincount(self.codes, self.weight, self.count).astype(np.float64)


def block_statistic(
    metric: Metric, y: Floats, score: Floats, blocks: Blocks, *, coarse: bool = False
) -> BlockStatistic:
    """The metric of these rows as a function of block counts. ``coarse`` reads an average precision at ``COARSE``
    thresholds at most, which thousands of resamples of many rows need."""
    if coarse and metric.name == "average_precision":
        return _average_precision(y, score, blocks, COARSE)
    if metric.per_row is not None:
        return _mean(blocks.sums(metric.per_row(y, score)), blocks.sizes)
    if metric.own:
        return _whole(metric, y, score, blocks)
    if metric.cells is not None:
        return _of_cells(metric.cells, y, score, blocks)
    return _NOT_MEANS[metric.name](y, score, blocks)


def _whole(metric: Metric, y: Floats, score: Floats, blocks: Blocks) -> BlockStatistic:
    """An unknown metric: measured again on each resample, each row as often as it was drawn."""
    if blocks.weight is not None:
        raise OwnMetricFailed(f"{metric.name} is of all rows together and takes no weights; make it one of per_row")

    def value(counts: Floats) -> float:
        rows = np.repeat(np.arange(len(y)), counts.astype(np.intp)[blocks.codes])
        try:
            return metric.value(y[rows], score[rows])
        except OwnMetricFailed:
            return float("nan")

    return lambda counts: np.array([value(each) for each in counts])


def _of_cells(cells: Cells, y: Floats, score: Floats, blocks: Blocks) -> BlockStatistic:
    cell, count = cells.of_rows(y, score)
    each = blocks.codes * count + cell
    rows = np.bincount(each, blocks.weight, blocks.count * count).reshape(blocks.count, count)
    return lambda counts: cells.value(counts @ rows)


def _mean(sums: Floats, sizes: Floats) -> BlockStatistic:
    return lambda counts: ratio(counts @ sums, counts @ sizes)


def _rmse(y: Floats, score: Floats, blocks: Blocks) -> BlockStatistic:
    mean_square = _mean(blocks.sums((y - score) ** 2), blocks.sizes)

    def rmse(counts: Floats) -> Floats:
        root: Floats = np.sqrt(mean_square(counts))
        return root

    return rmse


def _r2(y: Floats, score: Floats, blocks: Blocks) -> BlockStatistic:
    centred = y - y.mean()  # keeps the difference of squares below from cancelling
    unexplained, square = blocks.sums((y - score) ** 2), blocks.sums(centred**2)
    total, sizes = blocks.sums(centred), blocks.sizes

    def r2(counts: Floats) -> Floats:
        variance = counts @ square - (counts @ total) ** 2 / (counts @ sizes)
        return 1 - ratio(counts @ unexplained, variance)

    return r2


def _ece(y: Floats, score: Floats, blocks: Blocks) -> BlockStatistic:
    cell = blocks.codes * ECE_BINS + equal_mass_bins(score, ECE_BINS)
    gaps = np.bincount(cell, blocks.weighted(y - score), blocks.count * ECE_BINS).reshape(blocks.count, ECE_BINS)
    sizes = blocks.sizes
    return lambda counts: ratio(np.abs(counts @ gaps).sum(axis=1), counts @ sizes)


def ece_noise(y: Floats, score: Floats, blocks: Blocks) -> float:
    """The calibration error that noise alone gives a perfectly calibrated model on these rows: the most by which the
    measured one exceeds the true. The mean absolute value of a normal with each bin's jackknife error."""
    cell = blocks.codes * ECE_BINS + equal_mass_bins(score, ECE_BINS)
    gaps = np.bincount(cell, blocks.weighted(y - score), blocks.count * ECE_BINS).reshape(blocks.count, ECE_BINS)
    whole = blocks.sizes.sum()
    left_out = (gaps.sum(axis=0) - gaps) / (whole - blocks.sizes)[:, None]
    spread = (blocks.count - 1) / blocks.count * np.sum((left_out - gaps.sum(axis=0) / whole) ** 2, axis=0)
    return float(np.sqrt(2 / np.pi) * np.sqrt(spread).sum())


def _roc_auc(y: Floats, score: Floats, blocks: Blocks) -> BlockStatistic:
    """From the block-by-block matrix of wins: AUC(c) = c' W c / (c'm)(c'n)."""
    wins, positives, negatives = block_wins(y, score, blocks)

    def roc_auc(counts: Floats) -> Floats:
        won = np.einsum("rg,rg->r", counts @ wins, counts)
        return ratio(won, (counts @ positives) * (counts @ negatives))

    return roc_auc


def _macro_roc_auc(y: Floats, score: Floats, blocks: Blocks) -> BlockStatistic:
    each = [_roc_auc((y == c).astype(np.float64), score[:, c], blocks) for c in range(score.shape[1])]
    return lambda counts: np.mean([one(counts) for one in each], axis=0)


def block_wins(y: Floats, score: Floats, blocks: Blocks) -> tuple[Floats, Floats, Floats]:
    """``W[g, h]``: how often a positive of block g scores above a negative of block h (a tie is half); and the counts
    ``(g,)`` of positives and of negatives in each block. A pair counts with the product of its weights."""
    order = np.argsort(score, kind="stable")
    y, score, codes, counts = y[order], score[order], blocks.codes[order], blocks.of_each()[order]
    up, down = y == 1, y != 1
    positive, owner = score[up], codes[up]
    negative, other = score[down], codes[down]
    wins = np.zeros((blocks.count, blocks.count))
    for h in range(blocks.count):
        theirs, below = negative[other == h], np.append(0.0, np.cumsum(counts[down][other == h]))
        above = below[np.searchsorted(theirs, positive, "left")] + below[np.searchsorted(theirs, positive, "right")]
        wins[:, h] = np.bincount(owner, counts[up] * above / 2, blocks.count)
    positives, negatives = (np.bincount(codes[one], counts[one], blocks.count).astype(float) for one in (up, down))
    return wins, positives, negatives


def _average_precision(y: Floats, score: Floats, blocks: Blocks, at_most: int | None = None) -> BlockStatistic:
    """Counted rows and positives at or above each positive's threshold are matrix products of the block counts."""
    order = np.argsort(-score, kind="stable")
    y, score, codes, weight = y[order], score[order], blocks.codes[order], blocks.of_each()[order]
    # Precision is read at the end of each run of equal scores that has a positive; other rows join the next such run.
    starts = np.append(True, score[1:] != score[:-1])
    run = np.cumsum(starts) - 1
    read = np.flatnonzero(np.bincount(run, y) > 0)
    if at_most is not None and len(read) > at_most:
        read = read[np.linspace(0, len(read) - 1, at_most + 1).astype(np.intp)[1:]]
    column = np.searchsorted(read, run)
    kept = column < len(read)
    cell, cells = codes[kept] * len(read) + column[kept], blocks.count * len(read)
    gained = np.bincount(cell, (y * weight)[kept], cells).reshape(blocks.count, -1)
    entered = np.bincount(cell, weight[kept], cells).reshape(blocks.count, -1).cumsum(axis=1, dtype=np.float64)
    found, positives = gained.cumsum(axis=1), gained.sum(axis=1)
    step = max(1, _CELLS // max(1, len(read)))

    def average_precision(counts: Floats) -> Floats:
        values = np.empty(len(counts))
        for start in range(0, len(counts), step):
            c = counts[start : start + step]
            precision = np.nan_to_num(ratio(c @ found, c @ entered))
            values[start : start + step] = ratio(np.einsum("rt,rt->r", c @ gained, precision), c @ positives)
        return values

    return average_precision


_NOT_MEANS: dict[str, Callable[[Floats, Floats, Blocks], BlockStatistic]] = {
    "rmse": _rmse,
    "r2": _r2,
    "ece": _ece,
    "roc_auc": _roc_auc,
    "macro_roc_auc": _macro_roc_auc,
    "average_precision": _average_precision,
}


def weighted_value(metric: Metric, y: Floats, score: Floats, weight: Floats) -> float:
    """The metric of rows that count differently; NaN where they do not allow it."""
    together = Blocks(np.zeros(len(y), dtype=np.intp), 1, weight)
    return estimate(block_statistic(metric, y, score, together), 1)


def estimate(statistic: BlockStatistic, count: int) -> float:
    """The value on all rows."""
    return float(statistic(np.ones((1, count)))[0])


def jackknife_error(statistic: BlockStatistic, count: int) -> float:
    """The standard error from leaving out one block at a time, centred at the value of all rows.

    This is the cluster jackknife CV3 of MacKinnon, Nielsen and Webb (2023), "Fast and reliable jackknife and bootstrap
    methods for cluster-robust inference": with few blocks of unequal size it errs to the wide side where others err to
    the narrow one. NaN when a left-out block takes the last rows of a class with it.
    """
    left_out = statistic(1 - np.eye(count))
    return float(np.sqrt((count - 1) / count * np.sum((left_out - estimate(statistic, count)) ** 2)))


def bootstrap(statistic: BlockStatistic, count: int, resamples: int, seed: int = 0) -> Floats:
    """The values ``(resamples,)`` on as many blocks drawn with replacement, deterministic for a seed."""
    rng = np.random.default_rng(seed)
    return statistic(rng.multinomial(count, np.full(count, 1 / count), resamples).astype(np.float64))
