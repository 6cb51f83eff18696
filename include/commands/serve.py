"""``serve``: answers over HTTP for the models that declare ``serving: {mode: online}``."""

from __future__ import annotations

import argparse
import os
import signal
from typing import Any

from include.commands import EXIT_FAILED, Answer, Mistake, Verb, VerbGroup
from include.commands.services import say


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "what", nargs="?", choices=("run", "status", "token"), default="run", help="default run: serve until Ctrl-C"
    )
    parser.add_argument("name", nargs="?", help="token: whose it is; one of the same name is replaced")
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
    parser.add_argument("--token", help="status: what to ask with, where tokens exist (SLIPWAY_SERVE_TOKEN)")


def _serve(args: argparse.Namespace) -> Answer:
    if args.what == "token":
        return _token(args)
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
    import json

    import httpx

    from include.config.settings import settings

    file = settings().home / "serve" / "service.json"
    if not file.exists():
        return Answer(("Nothing serves this home; `slipway serve` starts it.",), {"running": False}, EXIT_FAILED)
    about = json.loads(file.read_text(encoding="utf-8"))
    host = f"[{about['host']}]" if ":" in about["host"] else about["host"]
    url = f"http://{'127.0.0.1' if host == '0.0.0.0' else host}:{about['port']}"
    token = args.token or os.environ.get("SLIPWAY_SERVE_TOKEN")
    try:
        reply = httpx.get(f"{url}/v1/status", headers={"authorization": f"Bearer {token}"} if token else {}, timeout=5)
    except httpx.HTTPError as error:
        return Answer((f"{url} does not answer: {error}.",), {"running": False, "url": url}, EXIT_FAILED)
    if reply.status_code in (401, 403):
        raise Mistake(f"{url} asks for a token; give --token.")
    return _shown(url, about, reply.json())


def _shown(url: str, about: dict[str, Any], said: dict[str, Any]) -> Answer:
    lines = [f"{url}, process {about['pid']}"]
    for name in about["models"]:
        served = said["served"].get(name)
        who = f"{served['candidate']}, revision {served['revision']}" if served else "no checked model"
        lines.append(f"{name}: {who}")
        if served and served["by"] == "pipeline":
            lines.append(f"{name} is answered by its pipeline, which is slower: {served.get('why', '')}")
    lines += [f"{name}: {problem}" for name, problem in said["problems"].items()]
    lacking = [name for name in about["models"] if name not in said["served"]]
    return Answer(tuple(lines), {"running": True, "url": url, **said}, EXIT_FAILED if lacking else 0)


VERBS = (
    Verb(
        "serve",
        "answer over HTTP for the models that are declared online",
        "slipway serve --workers 2 --port 8100",
        _serve,
        _arguments,
        group=VerbGroup.START,
        exit_codes="0 ended by a signal; of status 0 every model is answered for, 1 one is not",
    ),
)
