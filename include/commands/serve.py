"""``serve``: answers over HTTP for the models that declare ``serving: {mode: online}``."""

from __future__ import annotations

import argparse
import os
import signal
import urllib.parse
from typing import TYPE_CHECKING, Any

from include.commands import EXIT_FAILED, Answer, Mistake, Verb, VerbGroup
from include.commands.services import say

if TYPE_CHECKING:
    import httpx


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "what",
        nargs="?",
        choices=("run", "status", "token", "arm"),
        default="run",
        help="default run: serve until Ctrl-C",
    )
    parser.add_argument("name", nargs="?", help="token: whose it is, one of the same name is replaced; arm: the model")
    parser.add_argument("unit", nargs="?", help="arm: the unit whose arm is asked for")
    parser.add_argument("--workers", type=int, default=1, help="how many processes answer; default 1")
    parser.add_argument("--host", default="127.0.0.1", help="where to listen; default 127.0.0.1")
    parser.add_argument("--port", type=int, default=8100, help="default 8100; 0 for any that is free")
    parser.add_argument("--drain", type=float, default=5.0, metavar="S", help="seconds to finish in; default 5")
    parser.add_argument(
        "--clock",
        metavar="WHEN[@SPEED]",
        help="the data time at which it begins, and its speed, for example 2013-06-22T00:00Z@60 "
        "(SLIPWAY_SERVE_CLOCK, else SLIPWAY_CLOCK); default the machine's time",
    )
    parser.add_argument(
        "--model", action="append", help="token: a model that it may ask, as often as needed; default all"
    )
    parser.add_argument(
        "--may",
        choices=("predict", "outcomes", "both"),
        default="predict",
        help="token: ask for predictions, tell what came of them, or both; default predict",
    )
    parser.add_argument(
        "--rate", type=float, metavar="N", help="token: how often a second it may ask each worker; default no limit"
    )
    parser.add_argument(
        "--debug", action="store_true", help="token: it may see who answers whom while a candidate has a share"
    )
    parser.add_argument("--token", help="status and arm: what to ask with, where tokens exist (SLIPWAY_SERVE_TOKEN)")


def _serve(args: argparse.Namespace) -> Answer:
    if args.unit is not None and args.what != "arm":
        raise Mistake(f"serve {args.what} takes no {args.unit!r}.")
    if args.what == "token":
        return _token(args)
    if args.what == "arm":
        return _arm(args)
    return _status(args) if args.what == "status" else _run(args)


def _run(args: argparse.Namespace) -> Answer:
    from include.config import declared_models
    from include.config.settings import settings
    from include.serving.supervisor import ServeOptions, Supervisor

    if args.name is not None:
        raise Mistake(f"serve run takes no {args.name!r}.")
    if not 1 <= args.workers <= 64:
        raise Mistake(f"--workers is {args.workers}; give 1 to 64.")
    if not 0 <= args.port <= 65535 or not 0 <= args.drain <= 600:
        raise Mistake("--port is 0 to 65535, and --drain 0 to 600 seconds.")
    online = sorted(model.name for model in declared_models() if model.serving.mode == "online")
    if not online:
        raise Mistake("No model is served online; declare `serving: {mode: online}` in its model.yaml.")
    clock = args.clock or os.environ.get("SLIPWAY_SERVE_CLOCK") or os.environ.get("SLIPWAY_CLOCK") or ""
    supervisor = Supervisor(
        settings(), online, ServeOptions(args.host, args.port, args.workers, args.drain, clock), say
    )
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: supervisor.stop.set())
    signal.signal(signal.SIGHUP, lambda *_: supervisor.reload.set())
    supervisor.run()
    return Answer(("Stopped.",), {"stopped": "by signal"})


def _token(args: argparse.Namespace) -> Answer:
    from include.config import declarations
    from include.config.settings import settings
    from include.serving import tokens

    if not args.name:
        raise Mistake("serve token NAME: say whose it is.")
    models = [declarations().model(name).name for name in args.model or ()]
    allowed = ("predict", "outcomes") if args.may == "both" else (args.may,)
    scopes = [f"{what}:{name}" for what in allowed for name in models or ["*"]]
    scopes += [tokens.DEBUG] if args.debug else []
    if args.rate is not None and not 0 < args.rate < float("inf"):
        raise Mistake(f"--rate is {args.rate:g}; give how often a second, for example 100 or 0.5.")
    token = tokens.add(tokens.file_in(settings().home), args.name, scopes, args.rate)
    lines = (
        token,
        f"It is shown once. It may {_deeds(args.may)} {', '.join(models) or 'every model'}; "
        "restart the service to use it.",
    )
    return Answer(lines, {"token": token, "name": args.name, "scopes": scopes})


def _deeds(may: str) -> str:
    return {"predict": "ask", "outcomes": "tell the outcomes of", "both": "ask, and tell the outcomes of,"}[may]


def _status(args: argparse.Namespace) -> Answer:
    about, url, reply = _asked(args, "/v1/status")
    if reply is None:
        return _not_there(url)
    return _shown(url, about, reply.json())


def _arm(args: argparse.Namespace) -> Answer:
    if not args.name or not args.unit:
        raise Mistake("serve arm MODEL UNIT: say of which model, and which unit.")
    path = f"/v1/models/{urllib.parse.quote(args.name, safe='')}/arm?{urllib.parse.urlencode({'unit': args.unit})}"
    _, url, reply = _asked(args, path)
    if reply is None:
        return _not_there(url)
    said = reply.json()
    if reply.status_code != 200:
        raise Mistake(f"{said['error'][:1].upper()}{said['error'][1:]}.")
    who = f"{said['unit_is'] or 'The unit'} {said['unit']} is answered by {said['served_by']}, the {said['arm']}"
    if said["number"] is None:
        return Answer((f"{who}; no candidate is beside it.",), said)
    share = f"{said['share_ppm'] / 10_000:g} %"
    return Answer((f"{who}: its place is {said['bucket']:.4f}, and the candidate's share is {share}.",), said)


def _asked(args: argparse.Namespace, path: str) -> tuple[dict[str, Any], str, httpx.Response | None]:
    """What serves this home, its address, and its reply; None where nothing does or it does not answer.

    Raises:
        Mistake: it asks for a token, or for another one.
    """
    import json

    import httpx

    from include.config.settings import settings

    file = settings().home / "serve" / "service.json"
    if not file.exists():
        return {}, "", None
    about = json.loads(file.read_text(encoding="utf-8"))
    host = f"[{about['host']}]" if ":" in about["host"] else about["host"]
    url = f"http://{'127.0.0.1' if host == '0.0.0.0' else host}:{about['port']}"
    token = args.token or os.environ.get("SLIPWAY_SERVE_TOKEN")
    try:
        reply = httpx.get(f"{url}{path}", headers={"authorization": f"Bearer {token}"} if token else {}, timeout=5)
    except httpx.HTTPError as error:
        return about, f"{url} does not answer: {error}", None
    if reply.status_code == 401:
        raise Mistake(f"{url} asks for a token; give --token.")
    if reply.status_code == 403:
        raise Mistake("The token may not see that; make one with `slipway serve token NAME --debug`.")
    return about, url, reply


def _not_there(why: str) -> Answer:
    if not why:
        return Answer(("Nothing serves this home; `slipway serve` starts it.",), {"running": False}, EXIT_FAILED)
    return Answer((f"{why}.",), {"running": False, "url": why.partition(" ")[0]}, EXIT_FAILED)


def _shown(url: str, about: dict[str, Any], said: dict[str, Any]) -> Answer:
    lines = [f"{url}, process {about['pid']}"]
    for name in about["models"]:
        served = said["served"].get(name)
        who = f"{served['candidate']}, revision {served['revision']}" if served else "no checked model"
        lines.append(f"{name}: {who}")
        if served and served["by"] == "pipeline":
            lines.append(f"{name} is answered by its pipeline, which is slower: {served.get('why', '')}")
    lines += [_canary_line(name, canary) for name, canary in said.get("canary", {}).items()]
    lines += [f"{name}: {problem}" for name, problem in said["problems"].items()]
    lacking = [name for name in about["models"] if name not in said["served"]]
    return Answer(tuple(lines), {"running": True, "url": url, **said}, EXIT_FAILED if lacking else 0)


def _canary_line(name: str, canary: dict[str, Any]) -> str:
    """The candidate beside a model's champion: its share as declared, in force, and as observed."""
    declared, now = (f"{canary[key] / 10_000:g} %" for key in ("declared_ppm", "share_ppm"))
    line = f"{name}: beside it {canary['candidate']} has {declared}"
    if declared != now:
        return f"{line}, and {now} here: {canary['why']}"
    units, rows = canary["observed"]["units"], canary["observed"]["rows"]
    if units is None:
        return f"{line}; no unit has asked yet"
    return f"{line}; observed of {sum(canary['units'].values()):,} units {units:.2%}, of rows {rows:.2%}"


VERBS = (
    Verb(
        "serve",
        "answer over HTTP for the models that are declared online",
        "slipway serve --workers 2 --port 8100",
        _serve,
        _arguments,
        group=VerbGroup.START,
        exit_codes="0 ended by a signal; of status 0 every model is answered for, 1 one is not, or nothing serves",
    ),
)
