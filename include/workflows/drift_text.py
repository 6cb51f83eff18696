"""Drift between two tables as text: a line a feature, or a line a piece."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from include.workflows.drift_tables import Piece

SHOWN_FEATURES = 25
NAMED = 5


def features_table(piece: Piece) -> list[str]:
    """A line for each feature and score, drifted ones first, then by effect."""
    found = [*piece.inputs.features, *(piece.predictions.features if piece.predictions else ())]
    found.sort(key=lambda f: (f.drifted is not True, -f.effect))
    width = max((len(f.name) for f in found[:SHOWN_FEATURES]), default=0)
    lines = [f"{'feature':{width}}         {'effect':>8}  {'adj. p':>8}  {'rows':>11}  missing  outside  unseen"]
    for f in found[:SHOWN_FEATURES]:
        word = {True: "DRIFT", False: "", None: "few"}[f.drifted]
        p = "" if f.adjusted_p is None else f"{f.adjusted_p:.2g}"
        lines.append(
            f"{f.name:{width}}  {word:5}  {f.effect:8.4f}  {p:>8}  {f.rows:11,}  {f.missing_share:7.1%}  "
            f"{f.outside_share:7.1%}  {f.unseen_share:6.1%}"
        )
    if len(found) > SHOWN_FEATURES:
        lines.append(f"... and {len(found) - SHOWN_FEATURES} more, with smaller effects; --json has them all")
    return lines


def pieces_table(pieces: Sequence[Piece]) -> list[str]:
    """A line for each piece, with the names of what drifted in it."""
    width = max(len(piece.name) for piece in pieces)
    lines = [f"{'piece':{width}}  {'rows':>9}  {'outcome':12}  what drifted"]
    for piece in pieces:
        names = [f.name for f in sorted(piece.inputs.features, key=lambda f: -f.effect) if f.drifted]
        words = [*names[:NAMED], *([f"and {len(names) - NAMED} more"] if len(names) > NAMED else [])]
        words += ["scores"] if piece.predictions and piece.predictions.drifted else []
        for lane, part in (("estimated", piece.estimated), ("realised", piece.realised)):
            words += [f"{lane} {part.metric} {part.risk:.4g}"] if part and part.out_of_band else []
        lines.append(f"{piece.name:{width}}  {piece.rows:9,}  {piece.outcome.value:12}  {', '.join(words)}".rstrip())
    return lines
