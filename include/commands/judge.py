"""``judge``: the gates on anyone's predictions, without Airflow and without a declared model."""

from __future__ import annotations

import argparse
from pathlib import Path

from include.commands import EXIT_FAILED, Answer, Mistake, Verb, VerbGroup

EXIT_INCONCLUSIVE = 2


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", required=True, metavar="FILE", help="a .parquet or .csv file, one row a prediction")
    parser.add_argument(
        "--gates",
        metavar="FILE",
        help="a YAML file with the gates (docs/judge.md); default: bounds that ask for little",
    )
    parser.add_argument("--label", required=True, metavar="COLUMN", help="what became true")
    parser.add_argument(
        "--candidate", required=True, metavar="COLUMN", help="the candidate's scores; a multiclass model's: A,B,C"
    )
    against = parser.add_mutually_exclusive_group(required=True)
    against.add_argument("--champion", metavar="COLUMN", help="the champion's scores of the same rows")
    against.add_argument("--first-deployment", action="store_true", help="there is no champion yet")
    parser.add_argument(
        "--classes",
        metavar="A,B",
        help="the labels in the order of the outputs, the positive one last; default 0,1, no,yes or false,true",
    )
    parser.add_argument("--baseline", metavar="COLUMN", help="a naive baseline's scores; default the mean label")
    parser.add_argument("--time", metavar="COLUMN", help="when each row happened; rows of a UTC day belong together")
    parser.add_argument(
        "--slice", action="append", default=[], metavar="COLUMN", help="a column to slice by; may be given again"
    )
    parser.add_argument("--weight", metavar="COLUMN", help="how much each row counts, 0 or more; default all the same")
    parser.add_argument(
        "--attempts", type=int, default=1, metavar="N", help="candidates judged on these rows so far, this one included"
    )


def _judge(args: argparse.Namespace) -> Answer:
    from include.domain.errors import Refusal
    from include.workflows.tables.gates import PredictionColumns, judge_file

    roles = PredictionColumns(
        label=args.label,
        candidate=_columns(args.candidate),
        champion=_columns(args.champion),
        baseline=_columns(args.baseline),
        time=args.time,
        slices=tuple(args.slice),
        weight=args.weight,
    )
    try:
        judgement = judge_file(
            Path(args.data),
            Path(args.gates) if args.gates else None,
            roles,
            attempts=args.attempts,
            named=_columns(args.classes),
        )
    except Refusal as refusal:
        raise Mistake(str(refusal)) from None
    code = {"PASS": 0, "FAIL": EXIT_FAILED, "INCONCLUSIVE": EXIT_INCONCLUSIVE}[judgement.verdict.value]
    return Answer(tuple(judgement.as_lines()), judgement.as_json(), code)


def _columns(text: str | None) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",")) if text else ()


VERBS = (
    Verb(
        "judge",
        "judge anyone's predictions by the gates",
        "slipway judge --data predictions.parquet --label y --candidate p_new --champion p_old --gates gates.yaml",
        _judge,
        _arguments,
        exit_codes="0 PASS, 1 FAIL, 2 INCONCLUSIVE, 64 bad input",
        group=VerbGroup.TABLES,
    ),
)
