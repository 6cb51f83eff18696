"""``drift``: what changed between any two tables, without Airflow and without a declared model."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from include.commands import Answer, Mistake, Verb, VerbGroup

if TYPE_CHECKING:
    from include.workflows.tables.drift_found import TablesDrift

PICTURES = (".png", ".svg", ".pdf")


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--reference", required=True, metavar="FILE", help="what is usual: a .parquet or .csv file")
    parser.add_argument("--current", required=True, metavar="FILE", help="what is judged, with the same columns")
    parser.add_argument("--label", metavar="COLUMN", help="what became true; without --score its own drift is judged")
    parser.add_argument("--score", metavar="COLUMN", help="the model's answers; a multiclass model's: A,B,C")
    parser.add_argument(
        "--classes", metavar="A,B,C", help="the labels in the scores' order; of one score the negative, the positive"
    )
    parser.add_argument("--time", metavar="COLUMN", help="when each row happened; it is not compared")
    parser.add_argument(
        "--features", metavar="A,B,C", help="compare these columns only, also one that seems to be an id"
    )
    parser.add_argument("--ignore", metavar="A,B,C", help="leave these columns out")
    parser.add_argument("--sep", metavar="C", help="separator of CSV files, or `tab`; default: detected")
    parser.add_argument("--chunk", metavar="SIZE", help="judge in pieces: rows (5000) or a duration (12h, 1d, 1w)")
    parser.add_argument("--plot", metavar="FILE", help="draw it: .png, .svg or .pdf")
    parser.add_argument(
        "--q", type=_chance, default=0.05, help="chance of a false alarm over all tests together; default 0.05"
    )
    parser.add_argument(
        "--effect", type=_above, default=0.005, help="least PSI beyond chance that counts; default 0.005"
    )
    parser.add_argument(
        "--share", type=_share, default=0.0, help="share of drifted columns that counts; default any column"
    )
    parser.add_argument("--min-rows", type=_count, default=300, metavar="N", help="fewest rows judged; default 300")
    parser.add_argument("--bins", type=_count, default=10, metavar="N", help="quantile bins of a number; default 10")
    parser.add_argument(
        "--metric",
        type=metric_text,
        metavar="METRIC",
        help="a metric with its settings, 'recall(threshold=0.3)', or one of your own by import path; default brier "
        "for classes, mae for numbers",
    )
    parser.add_argument(
        "--tolerance",
        type=_tolerance,
        default="10%",
        metavar="X",
        help="how much worse is in band: in the metric's unit, or a share as 10%% of how much better the reference is "
        "than the mean label; default 10%%",
    )


def metric_text(text: str) -> str:
    """A metric as it is known everywhere, with its settings in order."""
    from include.domain.metric_names import BadSettings, normal

    try:
        return normal(text)
    except BadSettings as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _share(text: str) -> float:
    value = _above(text)
    if value > 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not between 0 and 1")
    return value


def _chance(text: str) -> float:
    value = _share(text)
    if not 0 < value < 0.5:
        raise argparse.ArgumentTypeError(f"{text!r} is not above 0 and below 0.5")
    return value


def _above(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of 0 or more")
    return value


def _tolerance(text: str) -> float | str:
    from include.config.base import tolerated_as

    try:
        return tolerated_as(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r}: {error}") from None


def _count(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 1_000_000:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 1 to 1,000,000")
    return int(text)


def _drift(args: argparse.Namespace) -> Answer:
    from include.domain.errors import Refusal
    from include.workflows.tables.drift import compare_files
    from include.workflows.tables.roles import ColumnRoles, Limits

    if args.plot and Path(args.plot).suffix.lower() not in PICTURES:
        raise Mistake(f"plot is {args.plot!r}; a picture's name ends in {', '.join(PICTURES)}.")
    if args.classes and not (args.label and args.score):
        raise Mistake("--classes names the labels in the order of the scores; it takes --label and --score.")
    roles = ColumnRoles(
        args.label,
        _names("--score", args.score),
        args.time,
        features=_names("--features", args.features),
        ignore=_names("--ignore", args.ignore),
        classes=_names("--classes", args.classes),
    )
    limits = Limits(
        q=args.q,
        effect_at_least=args.effect,
        share_at_least=args.share,
        min_rows=args.min_rows,
        bins=args.bins,
        metric=args.metric,
        tolerance=args.tolerance,
    )
    try:
        found = compare_files(
            Path(args.reference), Path(args.current), roles, limits, chunk=args.chunk, separator=args.sep
        )
    except Refusal as refusal:
        raise Mistake(str(refusal)) from None
    lines = found.as_lines()
    if args.plot:
        _draw(found, args.plot)
        lines.append(f"drawn: {args.plot}")
    return Answer(tuple(lines), found.as_json(), found.code)


def _names(option: str, text: str | None) -> tuple[str, ...]:
    if text is None:
        return ()
    found = tuple(name.strip() for name in text.split(","))
    if "" in found or len(set(found)) < len(found):
        raise Mistake(f"{option} is {text!r}; give names separated by commas, each once.")
    return found


def _draw(found: TablesDrift, path: str) -> None:
    from include.workflows.drift.figures import Line, both_windows, over_time

    title = f"{Path(found.current).name} against {Path(found.reference).name}: {found.outcome.value}"
    if found.not_judged:
        title += f"\nnot judged: {', '.join(list(found.not_judged)[:4])}{' and others' * (len(found.not_judged) > 4)}"
    pieces = found.pieces
    figure: Any
    if len(pieces) == 1:
        drifts = (pieces[0].inputs, pieces[0].predictions)
        features = [feature for drift in drifts if drift is not None for feature in drift.features]
        figure = both_windows(found.histograms, features, title)
    else:
        largest = tuple(max((f.effect for f in p.inputs.features), default=None) if p.inputs else None for p in pieces)
        shares = tuple(p.inputs.share if p.inputs and p.inputs.drifted is not None else None for p in pieces)
        panels = [[Line("largest effect", largest)], [Line("share of columns that drifted", shares)]]
        risks = []
        for lane in ("estimated", "realised"):
            parts = [getattr(p, lane) for p in pieces]
            if any(part is not None for part in parts):
                named = next(part for part in parts if part is not None)
                risks.append(Line(f"{lane} {named.metric}", tuple(part.risk if part else None for part in parts)))
        panels += [risks] if risks else []
        figure = over_time([p.name for p in pieces], panels, title, {})
    try:
        figure.savefig(path, dpi=120)
    except OSError as error:
        raise Mistake(f"plot {path!r} cannot be written: {error.strerror or error}.") from None


VERBS = (
    Verb(
        "drift",
        "say what changed between two tables, and what it harms",
        "slipway drift --reference last_month.parquet --current today.parquet --label y --score p --plot drift.png",
        _drift,
        _arguments,
        exit_codes="0 nothing found and all that was asked for judged, else the sum of 1 change, 2 something asked for "
        "was not judged, 4 harm; 64 bad input",
        group=VerbGroup.TABLES,
    ),
)
