"""``simulate``: a past stream through the declared policy, beside what other policies would have cost."""

from __future__ import annotations

import argparse
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from include.commands import Answer, Mistake, Verb, VerbGroup
from include.commands.drift import metric_text

if TYPE_CHECKING:
    from include.config import ModelDeclaration
    from include.workflows.simulation.stream import Stream

_OF_A_TABLE = (
    "time",
    "label",
    "label_delay",
    "estimator",
    "params",
    "features",
    "train_window",
    "holdout",
    "encode",
    "impute",
    "metric",
    "weight",
)


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", nargs="?", help="a declared model; or --data, a table of your own")
    parser.add_argument("--from", dest="start", metavar="DAY", help="first simulated day")
    parser.add_argument("--to", dest="end", metavar="DAY", help="day after the last")
    parser.add_argument(
        "--set",
        dest="sets",
        action="append",
        nargs="+",
        default=[],
        metavar="PATH=VALUE",
        help="one further variant with these fields of the declaration changed, e.g. drift.inputs.q=0.01",
    )
    parser.add_argument(
        "--price",
        type=float,
        metavar="P",
        help="of one retrain, in summed loss; default training.price, else 0.9 of a day's loss of the first champion",
    )
    parser.add_argument(
        "--every", type=int, action="append", metavar="DAYS", help="yardstick: retrain every so many days; default 30"
    )
    parser.add_argument(
        "--fits-at-most",
        type=int,
        metavar="N",
        help="the yardstick `always` retrains daily, or so many times evenly spaced; 0 leaves it out; default 120",
    )
    parser.add_argument(
        "--advise",
        action="store_true",
        help="try tolerances, training windows and cadences on the first part, and confirm the cheapest on the rest",
    )
    parser.add_argument(
        "--canary",
        action="store_true",
        help="the days' live traffic through the declared canary: how long it takes, what it costs and catches",
    )
    parser.add_argument(
        "--candidate", metavar="ID", help="with --canary: a registered candidate too, on the values served then"
    )
    parser.add_argument("--plot", metavar="FILE", help="draw the losses and costs over time, as .png, .svg or .pdf")
    table = parser.add_argument_group("a table of your own")
    table.add_argument("--data", metavar="FILE", help="a .parquet or .csv file")
    table.add_argument(
        "--example",
        action="store_true",
        help="instead of --data: what a hotel's rooms cost; the other options have defaults; `make try` installs it",
    )
    table.add_argument("--time", metavar="COLUMN", help="when each row happened")
    table.add_argument("--label", metavar="COLUMN", help="what became true")
    table.add_argument("--label-delay", metavar="30d", help="how long after its row a label is known; default 0d")
    table.add_argument("--features", metavar="A,B,C", help="the features; default all other columns")
    table.add_argument("--estimator", metavar="PATH", help="import path of a scikit-learn estimator")
    table.add_argument("--params", metavar="YAML", help="its arguments, e.g. '{max_iter: 100}'")
    table.add_argument("--weight", metavar="COLUMN", help="how much each row counts, 0 or more; default all the same")
    table.add_argument("--train-window", metavar="90d", help="whole days to learn from; default 90d")
    table.add_argument("--holdout", metavar="14d", help="whole days the gates judge on; default 14d")
    table.add_argument("--encode", choices=("ordinal", "one_hot"), help="of categories; default ordinal")
    table.add_argument("--impute", action="store_true", default=None, help="replace missing numbers by their median")
    table.add_argument(
        "--metric",
        type=metric_text,
        metavar="METRIC",
        help="the loss that is watched, 'cost(matrix=[[0, 1], [5, 0]], threshold=0.2)'; or another metric, that gates "
        "compare: 'recall(threshold=0.3)'; or one of your own by import path; default by the task",
    )


FITS_AT_MOST = 120


class _Bar:
    """A progress bar on standard error; nothing where that is no terminal."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[doing]}"),
            console=Console(stderr=True),
            disable=not sys.stderr.isatty(),
        )
        self._task: Any = None

    def __enter__(self) -> _Bar:
        self._progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._progress.stop()

    def begin(self, what: str, steps: int) -> None:
        self._task = self._progress.add_task(what[:40], total=steps, doing="")

    def step(self) -> None:
        if self._task is not None:
            self._progress.advance(self._task)

    def note(self, text: str) -> None:
        if self._task is not None:
            self._progress.update(self._task, doing=text)


def _simulate(args: argparse.Namespace) -> Answer:
    from include.workflows.simulation.picture import check_plot, plot
    from include.workflows.simulation.run import simulate
    from include.workflows.simulation.shown import as_json, as_lines
    from include.workflows.simulation.yardsticks import Yardsticks

    begins = _example(args) if args.example else ()
    _check(args)
    if args.plot:
        check_plot(Path(args.plot))
    if args.advise:
        return _advise(args)
    if args.canary:
        return _canary(args)
    fits = FITS_AT_MOST if args.fits_at_most is None else args.fits_at_most
    yardsticks = Yardsticks(tuple(dict.fromkeys(args.every or (30,))), fits, price=args.price)
    with _Bar() as bar:
        what, found, stream_of, interval, taken = _of_table(args) if args.data else _of_declared(args, bar)
        simulation = simulate(what, found, stream_of, interval, yardsticks=yardsticks, screen=bar, taken=taken)
    lines = as_lines(simulation)
    if args.plot:
        plot(simulation, Path(args.plot))
        lines.append(f"Picture: {args.plot}")
    return Answer((*begins, *lines), as_json(simulation))


_EXAMPLE: dict[str, Any] = {
    "label_delay": "1d",
    "estimator": "sklearn.ensemble.HistGradientBoostingRegressor",
    "train_window": "60d",
    "holdout": "7d",
    "fits_at_most": 0,
}
"""The options of the example, where the command gives no others."""


def _example(args: argparse.Namespace) -> tuple[str, ...]:
    """Write the example's table and take it for ``--data``; the same command without ``--example``, to be shown."""
    from include.adapters import hotel_rates
    from include.config.settings import settings

    if args.model or args.data:
        raise Mistake(f"--example is a table of its own; leave out {args.model or '--data'}.")
    path = settings().home / "hotel_rates.csv"
    hotel_rates.write_hotel_rates(path)
    args.data = str(path)
    for name, value in {"time": hotel_rates.TIME, "label": hotel_rates.LABEL, **_EXAMPLE}.items():
        if getattr(args, name) is None:
            setattr(args, name, value)
    given = " ".join(
        f"--{name.replace('_', '-')} {getattr(args, name)}" for name in ("data", "time", "label", *_EXAMPLE)
    )
    return (f"This is: slipway simulate {given}", "")


def _advise(args: argparse.Namespace) -> Answer:
    from include.config import declarations
    from include.workflows.simulation.advice_shown import as_json, as_lines
    from include.workflows.simulation.advise import advise

    with _Bar() as bar:
        what, [declared], stream_of, interval, _ = _of_table(args) if args.data else _of_declared(args, bar)
        views = None if args.data else declarations().views
        stream = stream_of(declared.model)
        found = advise(what, declared.model, views, stream, interval, price=args.price, screen=bar)
    return Answer(tuple(as_lines(found)), as_json(found))


def _canary(args: argparse.Namespace) -> Answer:
    from include.adapters.registry import RegistryUnreachable
    from include.config import declarations
    from include.config.settings import settings
    from include.domain.intervals import Interval
    from include.workflows import stores
    from include.workflows.simulation import canary_shown, past_canary
    from include.workflows.simulation.past_traffic import past_traffic

    model = declarations().model(args.model)
    plan = past_canary.plan_of(model)
    traffic = past_traffic(model.name, settings().home / "journal", Interval.between(args.start, args.end))
    candidate = None
    if args.candidate:
        candidate = (args.candidate, past_canary.asks_of(model, args.candidate))
    with stores.open_ledger() as ledger:
        head = ledger.deployments.champion(model.name)
    left_out: tuple[str, ...] = ()
    champion = None
    if head is not None:
        try:
            champion = past_canary.asks_of(model, head.to_candidate)
        except RegistryUnreachable as error:
            left_out = (f"No candidate that reads wrong values was tried, since the champion cannot be asked: {error}",)
    with _Bar() as bar:
        found = past_canary.simulate_canaries(plan, traffic, champion=champion, candidate=candidate, screen=bar)
    lines = canary_shown.as_lines(model.name, traffic, found)
    return Answer((*lines, *left_out), canary_shown.as_json(model.name, traffic, found))


def _check(args: argparse.Namespace) -> None:
    if args.candidate and not args.canary:
        raise Mistake("--candidate is asked on live traffic of the past; give --canary too.")
    if args.canary:
        others = (("--data", args.data), ("--set", args.sets), ("--plot", args.plot), ("--advise", args.advise))
        for option, is_given in (*others, ("--every", args.every)):
            if is_given:
                raise Mistake(f"{option} is not for --canary, which replays the journal; leave out one of the two.")
    if args.advise:
        for option, given in (("--set", args.sets), ("--plot", args.plot), ("--every", args.every)):
            if given:
                raise Mistake(f"{option} is not for --advise, which tries its own settings; leave out one of the two.")
    if bool(args.model) == bool(args.data):
        given = f"both {args.model} and --data are given" if args.model else "neither a model nor --data is given"
        raise Mistake(f"{given}; name a declared model, or a table with --data. See `slipway simulate --help`.")
    if args.model:
        wrong = [name for name in _OF_A_TABLE if getattr(args, name) is not None]
        if wrong:
            option = f"--{wrong[0].replace('_', '-')}"
            raise Mistake(
                f"{option} is for a table of your own (--data); of {args.model} it is declared, so use --set."
            )
        if not args.start or not args.end:
            raise Mistake(f"--from and --to are missing; give the days of {args.model} to simulate.")
    else:
        missing = [f"--{name}" for name in ("time", "label", "estimator") if not getattr(args, name)]
        if missing:
            raise Mistake(f"{', '.join(missing)} is missing; --data needs --time, --label and --estimator.")
    if args.price is not None and not 0 <= args.price < float("inf"):
        raise Mistake(f"--price is {args.price}; it is a finite number, 0 or more.")
    if any(days < 1 for days in args.every or ()):
        raise Mistake(f"--every is {min(args.every)}; it is a number of days, 1 or more.")
    if args.fits_at_most is not None and args.fits_at_most < 0:
        raise Mistake(f"--fits-at-most is {args.fits_at_most}; it is 0 or more.")


def _of_declared(args: argparse.Namespace, bar: _Bar) -> tuple[str, Any, Any, Any, tuple[str, ...]]:
    from include.config import declarations
    from include.domain.intervals import Interval
    from include.workflows.simulation.settings import variants
    from include.workflows.simulation.stream import first_needed, replayed_days, stored

    known = declarations()
    found = variants(known.model(args.model), args.sets, known.views)
    interval = Interval.between(args.start, args.end)
    first = min(first_needed(variant.model, interval.start) for variant in found)
    replay_days = max(replayed_days(variant.model) for variant in found)
    read: dict[str, Stream] = {}

    def stream_of(model: ModelDeclaration) -> Stream:
        key = model.model_dump_json(include={"label", "views", "entity", "weight"})
        if key not in read:
            bar.begin("reading the store", 1)
            read[key] = stored(model, interval, first, replay_days)
            bar.step()
        return read[key]

    return args.model, found, stream_of, interval, ()


def _of_table(args: argparse.Namespace) -> tuple[str, Any, Any, Any, tuple[str, ...]]:
    from include.workflows.simulation.run import CannotSimulate, range_of
    from include.workflows.simulation.settings import TableModel, declared_for, is_classifier, variants
    from include.workflows.simulation.stream import Columns, given

    path, params = Path(args.data), _params(args.params)
    table = TableModel(
        estimator=args.estimator,
        params=params,
        label=args.label,
        label_delay=_duration("--label-delay", args.label_delay or "0d"),
        train_days=_whole_days("--train-window", args.train_window or "90d"),
        holdout_days=_whole_days("--holdout", args.holdout or "14d"),
        encode=args.encode or "ordinal",
        impute=bool(args.impute),
        metric=args.metric,
        weight=args.weight,
    )
    columns = Columns(args.time, args.label, tuple(n for n in (args.features or "").split(",") if n), args.weight)
    past = given(path, columns, classifier=is_classifier(args.estimator, params))
    model = declared_for(table, past.stream)
    found = variants(model, args.sets, None)
    for variant in found:
        strange = [f for f in variant.model.features if f not in past.stream.kinds]
        if strange or variant.model.label.classes != past.stream.classes or variant.model.task != model.task:
            what = f"there is no column {strange[0]!r}" if strange else "the table's labels decide the task and classes"
            raise CannotSimulate(f"--set {variant.name}: {what}.")
    delayed: dict[timedelta, Stream] = {}

    def stream_of(model: ModelDeclaration) -> Stream:
        return delayed.setdefault(model.label.delay, past.delayed(model.label.delay))

    longest = max(
        (v.model for v in found), key=lambda m: (m.training.window_days + m.training.holdout_days, m.label.delay)
    )
    interval = range_of(past.stream, longest, _day("--from", args.start), _day("--to", args.end))
    return path.name, found, stream_of, interval, past.remarks


def _params(text: str | None) -> dict[str, Any]:
    import yaml

    from include.config import yaml_text

    try:
        found = yaml_text.parsed(text or "{}")
    except yaml_text.KeyGivenTwice as error:
        raise Mistake(f"--params: {error}") from None
    except yaml.YAMLError:
        found = None
    if not isinstance(found, dict):
        raise Mistake(f"--params {text!r} is no mapping; write for example --params '{{max_iter: 100}}'.")
    return {str(name): value for name, value in found.items()}


def _duration(option: str, text: str) -> timedelta:
    from include.domain.intervals import duration

    try:
        return duration(text)
    except ValueError as error:
        raise Mistake(f"{option}: {error}") from None


def _whole_days(option: str, text: str) -> int:
    found = _duration(option, text)
    if found < timedelta(days=1) or found % timedelta(days=1):
        raise Mistake(f"{option} is {text}; give whole days, at least 1d.")
    return found.days


def _day(option: str, text: str | None) -> datetime | None:
    from include.domain.intervals import instant, midnight

    if text is None:
        return None
    found = instant(text)
    if found != midnight(found):
        raise Mistake(f"{option} {text} is not the start of a UTC day; give a date such as 2013-06-01.")
    return found


VERBS = (
    Verb(
        "simulate",
        "replay the past through the declared policy, and compare settings and costs",
        "slipway simulate flight_delay --from 2013-06-01 --to 2014-01-01 --price 20 --set drift.inputs.q=0.01\n"
        "  slipway simulate --data stream.parquet --time t --label y --label-delay 30d --estimator "
        "sklearn.ensemble.HistGradientBoostingClassifier --plot out.png",
        _simulate,
        _arguments,
        group=VerbGroup.TABLES,
    ),
)
