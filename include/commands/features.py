"""``features``: the views, their rows, and the days that no longer agree with the source."""

from __future__ import annotations

import argparse
import getpass
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from include.commands import EXIT_FAILED, Answer, Mistake, Verb, VerbGroup
from include.domain.wording import count_of

if TYPE_CHECKING:
    import pyarrow as pa

MAX_ROWS = 1000
MAX_DAYS = 60
WIDTH = 18


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", nargs="?", default="list", choices=sorted(ACTIONS), help="what to do; default list")
    parser.add_argument("view", nargs="?", help="the feature view; `stale` and `freshness` take all without it")
    parser.add_argument("day", nargs="?", help="verify: the UTC day, YYYY-MM-DD")
    parser.add_argument("--days", type=int, default=1, metavar="N", help="freshness: of how many days; default 1")
    parser.add_argument("--as-of", metavar="WHEN", help="sample: rows available then, UTC; default the newest")
    parser.add_argument("--rows", type=int, default=10, metavar="N", help="sample: how many rows; default 10")
    parser.add_argument("--table-version", type=int, metavar="N", help="sample: an older version of the view's table")
    parser.add_argument("--from", dest="start", metavar="DAY", help="stale: the first day; default the first published")
    parser.add_argument("--to", dest="end", metavar="DAY", help="stale: the day after the last; default the last")
    parser.add_argument(
        "--counts", action="store_true", help="stale: compare counts and times only, one query a table, not the rows"
    )


def _features(args: argparse.Namespace) -> Answer:
    return ACTIONS[args.action](args)


def _list(args: argparse.Namespace) -> Answer:
    from include.workflows.explain import catalogue

    found, now = catalogue.views(), datetime.now(UTC)
    columns = (
        f"{'view':<18} {'v':>2} {'owner':<16} {'days':>5} {'rows':>11} {'newest day':<11} {'ended':>8} {'table':>6}"
    )
    lines = [f"{columns}  used by"]
    for f in found:
        age = catalogue.age_days(f, now)
        shown = f"{f.view:<18} {f.version:>2} {f.owner:<16} {f.days:>5,} {f.rows:>11,} {f.last_day or '-':<11}"
        ended = "-" if age is None else f"{age}d ago"
        version = "-" if f.table_version is None else str(f.table_version)
        lines.append(f"{shown} {ended:>8} {version:>6}  {', '.join(f.used_by) or 'no model'}")
        if f.is_changed:
            lines.append(
                f"    its definition changed under version {f.version}: raise it, or `slipway features adopt {f.view}`"
            )
    return Answer(tuple(lines), {"views": [f.as_json() for f in found]})


def _sample(args: argparse.Namespace) -> Answer:
    from include.domain.intervals import BadInstant, instant
    from include.workflows.explain import catalogue

    if not 1 <= args.rows <= MAX_ROWS:
        raise Mistake(f"--rows is {args.rows}; give 1 to {MAX_ROWS}.")
    try:
        as_of = instant(args.as_of) if args.as_of else None
    except BadInstant as error:
        raise Mistake(f"--as-of: {error}") from None
    rows = catalogue.sample(_view(args), as_of, args.rows, args.table_version)
    return Answer(tuple(_table(rows)), {"view": args.view, "rows": _plain(rows)})


def _stale(args: argparse.Namespace) -> Answer:
    from include.workflows.explain import catalogue

    found = catalogue.stale(args.view, args.start, args.end, datetime.now(UTC), deep=not args.counts)
    lines = [each.reason for each in found] or ["Every published day holds what the source says."]
    if found:
        lines.append(
            "Materialize them again: trigger features_<view> with start, end and as_of (now). "
            "`slipway lineage <view> <day>` says what read them."
        )
    data = {"stale": [{"day": each.day, "reason": each.reason} for each in found]}
    return Answer(tuple(lines), data, EXIT_FAILED if found else 0)


def _freshness(args: argparse.Namespace) -> Answer:
    from dataclasses import asdict

    from include.domain.verdicts import Verdict
    from include.workflows.features import freshness

    if not 1 <= args.days <= MAX_DAYS:
        raise Mistake(f"--days is {args.days}; give 1 to {MAX_DAYS}.")
    found = freshness.of_views(datetime.now(UTC), args.days, args.view)
    if not found:
        raise Mistake(f"{args.view or 'No view'} declares {'no' if args.view else 'a'} stream, so nothing is measured.")

    def seconds(value: float | None) -> str:
        return "-" if value is None else f"{value:,.1f} s"

    lines = [f"{'view':<18} {'rows':>7} {'p50':>12} {'p99':>12} {'slowest':>12}  within the delay"]
    for each in found:
        times = " ".join(f"{seconds(value):>12}" for value in (each.p50_s, each.p99_s, each.slowest_s))
        lines.append(f"{each.view:<18} {each.rows:>7,} {times}  {each.verdict.value}")
    data = {"freshness": [{**asdict(each), "verdict": each.verdict.value} for each in found]}
    return Answer(tuple(lines), data, EXIT_FAILED if any(each.verdict is Verdict.FAIL for each in found) else 0)


def _verify(args: argparse.Namespace) -> Answer:
    from dataclasses import asdict

    from include.domain.verdicts import Verdict
    from include.workflows.features import freshness

    if args.day is None:
        raise Mistake("`slipway features verify` needs a view and a day, for example origin_weather 2013-06-20.")
    found = freshness.verify(_view(args), args.day)
    line = (
        f"{found.view} {found.day}: {found.values:,} values compared, {found.different:,} differ; "
        f"{count_of(found.missing, 'row')} never pushed, {found.extra:,} pushed and not published: "
        f"{found.verdict.value}."
    )
    data = {**asdict(found), "verdict": found.verdict.value}
    return Answer((line, *found.examples), data, {Verdict.PASS: 0, Verdict.FAIL: EXIT_FAILED}.get(found.verdict, 2))


def _adopt(args: argparse.Namespace) -> Answer:
    from include.workflows.explain import catalogue

    done = catalogue.adopt(_view(args), getpass.getuser())
    line = (
        f"{done['view']}: the definition {done['definition'][:12]} gave the same bytes on "
        f"{count_of(done['compared_days'], 'day')} and is now the definition of {done['adopted_days']} published days."
    )
    return Answer((line,), done)


def _redo(args: argparse.Namespace) -> Answer:
    from include.commands.airflow import airflow_api, use_running_services
    from include.workflows.explain import catalogue

    use_running_services()
    wanted = catalogue.redo(_view(args))
    if wanted is None:
        return Answer(
            (f"Every published day of {args.view} was made by its definition; nothing is to do.",), {"days": 0}
        )
    conf = {"start": wanted.start, "end": wanted.end}
    with airflow_api() as api:
        if api.dags().get(wanted.dag_id, False):
            raise Mistake(f"{wanted.dag_id} is paused, so nothing would start. Unpause it in Airflow first.")
        run, started = api.trigger(wanted.dag_id, wanted.run_id, conf)
        again = 2
        while not started and run.state == "failed":
            run, started = api.trigger(wanted.dag_id, f"{wanted.run_id}__{again}", conf)
            again += 1
        run = api.wait(wanted.dag_id, run.run_id, timeout_s=86400.0)
        address = f"{api.url}/dags/{wanted.dag_id}/runs/{run.run_id}"
    well = run.state == "success"
    days = f"{count_of(wanted.days, 'day')} of {args.view}, {wanted.start} to {wanted.end}"
    line = f"{days}, computed again." if well else f"{days}, were not computed again: the run failed, see {address}"
    return Answer((line,), {"days": wanted.days, "run": run.run_id, "state": run.state}, 0 if well else EXIT_FAILED)


def _view(args: argparse.Namespace) -> str:
    if args.view is None:
        raise Mistake(f"`slipway features {args.action}` needs a view, for example origin_weather.")
    return str(args.view)


def _plain(rows: pa.Table) -> list[dict[str, Any]]:
    return [{n: v.isoformat() if isinstance(v, datetime) else v for n, v in row.items()} for row in rows.to_pylist()]


def _table(rows: pa.Table) -> list[str]:
    def shown(value: Any) -> str:
        text = "-" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)
        text = f"{value:%Y-%m-%d %H:%M}" if isinstance(value, datetime) else text
        plain = "".join(c if c.isprintable() else " " for c in text)
        return plain if len(plain) <= WIDTH else plain[: WIDTH - 1] + "…"

    cells = [rows.column_names, *([shown(v) for v in row.values()] for row in rows.to_pylist())]
    widths = [max(len(line[i]) for line in cells) for i in range(len(rows.column_names))]
    return ["  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)).rstrip() for line in cells]


ACTIONS: dict[str, Callable[[argparse.Namespace], Answer]] = {
    "list": _list,
    "sample": _sample,
    "stale": _stale,
    "adopt": _adopt,
    "redo": _redo,
    "freshness": _freshness,
    "verify": _verify,
}

VERBS = (
    Verb(
        "features",
        "list the feature views, show rows of one, find days whose source changed, or compute all again",
        "slipway features sample origin_weather --as-of 2013-06-01T12:00",
        _features,
        _arguments,
        group=VerbGroup.ASK,
        exit_codes="stale, freshness and verify: 1 for days, delays or values that are not as they should be; verify: "
        "2 where nothing was pushed or published",
    ),
)
