"""Drift between two tables as text: a line a feature, or a line a piece, and what was not judged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from include.workflows.tables.drift_piece import Piece

SHOWN_FEATURES = 25
NAMED = 5
SHOWN_COLUMNS = 10


def features_table(piece: Piece) -> list[str]:
    """A line for each feature, score and label: drifted ones first, then those not judged, then by effect."""
    drifts = (piece.inputs, piece.predictions, piece.labels)
    found = [feature for drift in drifts if drift is not None for feature in drift.features]
    found.sort(key=lambda f: (f.drifted is not True, f.drifted is not None, -f.effect))
    width = max((len(f.name) for f in found[:SHOWN_FEATURES]), default=0)
    lines = [f"{'feature':{width}}              {'effect':>8}  {'adj. p':>8}  {'rows':>11}  missing  outside  unseen"]
    for f in found[:SHOWN_FEATURES]:
        word = {True: "DRIFT", False: "", None: "not judged"}[f.drifted]
        p = "" if f.adjusted_p is None else f"{f.adjusted_p:.2g}"
        lines.append(
            f"{f.name:{width}}  {word:10}  {f.effect:8.4f}  {p:>8}  {f.rows:11,}  {f.missing_share:7.1%}  "
            f"{f.outside_share:7.1%}  {f.unseen_share:6.1%}"
        )
    if len(found) > SHOWN_FEATURES:
        lines.append(f"... and {len(found) - SHOWN_FEATURES} more, with smaller effects; --json has them all")
    return lines


def pieces_table(pieces: Sequence[Piece]) -> list[str]:
    """A line for each piece, with the names of what drifted in it and of what was not judged."""
    width = max(len(piece.name) for piece in pieces)
    lines = [f"{'piece':{width}}  {'rows':>9}  {'outcome':14}  what was found"]
    for piece in pieces:
        features = piece.inputs.features if piece.inputs else ()
        names = [f.name for f in sorted(features, key=lambda f: -f.effect) if f.drifted]
        words = [*names[:NAMED], *([f"and {len(names) - NAMED} more"] if len(names) > NAMED else [])]
        words += ["scores"] if piece.predictions and piece.predictions.drifted else []
        words += ["labels"] if piece.labels and piece.labels.drifted else []
        for lane, part in (("estimated", piece.estimated), ("realised", piece.realised)):
            words += [f"{lane} {part.metric} {part.risk:.4g}"] if part and part.out_of_band else []
        words += [f"not judged: {', '.join(piece.unjudged)}"] if piece.unjudged else []
        lines.append(f"{piece.name:{width}}  {piece.rows:9,}  {piece.outcome.value:14}  {', '.join(words)}".rstrip())
    return lines


def columns_said(left_out: Mapping[str, str], not_judged: Mapping[str, str]) -> list[str]:
    """A line for each reason to leave columns out, and one for each thing that was not judged."""
    by_reason: dict[str, list[str]] = {}
    for name, why in left_out.items():
        by_reason.setdefault(why, []).append(name)
    lines = [f"Left out ({why}): {_named(names)}." for why, names in by_reason.items()]
    by_reason = {}
    for name, why in not_judged.items():
        by_reason.setdefault(why, []).append(name)
    return [*lines, *(f"Not judged: {_named(names)}: {why.rstrip('.')}." for why, names in by_reason.items())]


def _named(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN_COLUMNS} more" if len(names) > SHOWN_COLUMNS else ""
    return ", ".join(names[:SHOWN_COLUMNS]) + more
