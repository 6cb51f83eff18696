"""``export``: a champion's file for a device or for another runtime."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path

from include.commands import Answer, Mistake, Verb, VerbGroup

FORMATS = ("npz", "onnx")


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", help="a declared model, whose champion is exported")
    parser.add_argument(
        "--to", required=True, metavar="FILE", help="where it is written; one that is there is replaced"
    )
    parser.add_argument(
        "--format",
        choices=FORMATS,
        help="npz: plain arrays, equal to the champion, read by numpy alone; onnx: for another runtime, with how far "
        "it is off; default what FILE ends in",
    )


def _export(args: argparse.Namespace) -> Answer:
    from include.commands.airflow import use_running_services
    from include.workflows.release.export import export

    to = Path(args.to)
    form = args.format or to.suffix.removeprefix(".")
    if form not in FORMATS:
        raise Mistake(f"--to is {args.to!r}, which ends in neither .npz nor .onnx; give --format npz or --format onnx.")
    if to.is_dir():
        raise Mistake(f"--to is {args.to!r}, which is a folder; name a file in it.")
    use_running_services()
    found = export(args.model, to, form)
    return Answer(tuple(found.lines()), asdict(found))


VERBS = (
    Verb(
        "export",
        "write the champion as a file for a device or another runtime",
        "slipway export flight_delay --to flight_delay.npz",
        _export,
        _arguments,
        group=VerbGroup.ACT,
    ),
)
