"""The ``slipway`` command: finds the verbs in ``include/commands``, runs one, and says in one line what went wrong."""

from __future__ import annotations

import argparse
import contextlib
import errno
import importlib
import json
import os
import pkgutil
import platform
import sys
from collections.abc import Sequence
from functools import cache
from typing import NoReturn

from include import commands
from include.commands import EXIT_BAD_INPUT, EXIT_BROKEN, Answer, Mistake, Verb, VerbGroup


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise Mistake(f"{message[0].lower()}{message[1:]}. See `{self.prog} --help`.")


class _Version(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        from include.config.revision import git_revision, released

        revision = (git_revision() or "unknown")[:12]
        print(f"slipway {released()} (revision {revision}, Python {platform.python_version()})")
        parser.exit()


def verbs() -> list[Verb]:
    """Every verb of every module in ``include/commands``, by name."""
    found: list[Verb] = []
    for module in pkgutil.iter_modules(commands.__path__):
        found += importlib.import_module(f"{commands.__name__}.{module.name}").VERBS
    return sorted(found, key=lambda verb: verb.name)


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    return _parser_of(tuple(verbs()))


@cache
def _parser_of(known: tuple[Verb, ...]) -> argparse.ArgumentParser:
    """Made once for the same verbs: a process that runs several commands need not make it for each."""
    whole = _Parser(
        prog="slipway",
        usage="%(prog)s VERB [...]",
        description="From drift to a safely promoted model on Apache Airflow.\n\n" + _by_group(known),
        epilog="`slipway VERB --help` explains one verb, with an example. `slipway completion SHELL` completes names.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    whole.add_argument("--version", action=_Version, nargs=0, help="print the version, the commit and the Python")
    # Hidden in the list of arguments: argparse knows no groups of verbs, so the description has them.
    chosen = whole.add_subparsers(
        prog="slipway", dest="verb", metavar="VERB", required=True, parser_class=_Parser, help=argparse.SUPPRESS
    )
    for verb in known:
        codes = f"; exit code {verb.exit_codes}" if verb.exit_codes else ""
        one = chosen.add_parser(
            verb.name,
            help=verb.help,
            description=f"{verb.help}{codes}",
            epilog=f"example:\n  {verb.example}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        one.add_argument("--json", action="store_true", help="print the answer as JSON")
        verb.arguments(one)
        one.set_defaults(run=verb.run)
    return whole


def _by_group(known: Sequence[Verb]) -> str:
    """Each group with its verbs, one a line."""
    width = max(len(verb.name) for verb in known)
    parts = []
    for group in VerbGroup:
        lines = [f"  {verb.name:<{width}}  {verb.help}" for verb in known if verb.group is group]
        parts.append("\n".join([f"{group.value}:", *lines]))
    return "\n\n".join(parts)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb; the exit code. 0 done, 64 the caller's mistake, 69 a service is away, 70 broken, 77 not allowed."""
    as_json = "--json" in (sys.argv[1:] if argv is None else argv)
    try:
        whole = parser()
        if "_ARGCOMPLETE" in os.environ:  # a shell asks what may come next; this ends the process
            from include.commands.completion import complete

            complete(whole)
        args = whole.parse_args(argv)
        answer: Answer = args.run(args)
        lost = _print(json.dumps(answer.data, indent=2, default=str) if as_json else "\n".join(answer.lines))
    except KeyboardInterrupt:
        return 130
    except Exception as error:  # the outermost caller: no user should ever see a stack trace
        if os.environ.get("SLIPWAY_DEBUG"):
            raise
        code, line = _explained(error)
        _print(json.dumps({"error": line, "code": code}) if as_json else f"slipway: {line}", to_stderr=not as_json)
        return code
    if lost is None:
        return answer.code
    _print(f"slipway: it is done, but its answer could not be written ({lost}).", to_stderr=True)
    return answer.code or EXIT_BROKEN


def _explained(error: Exception) -> tuple[int, str]:
    """Exit code and the one line for what went wrong; an exception without a code of its own is broken machinery."""
    text = str(error).strip() or type(error).__name__
    if isinstance(error, Mistake):
        return EXIT_BAD_INPUT, text
    code = getattr(error, "exit_code", None)
    if isinstance(code, int):
        return code, text
    if isinstance(error, TimeoutError):
        return EXIT_BROKEN, text
    return EXIT_BROKEN, f"{type(error).__name__}: {text.splitlines()[0]} (SLIPWAY_DEBUG=1 shows where)"


def _print(text: str, *, to_stderr: bool = False) -> str | None:
    """Print, and do not fail when no one reads the output any more (a closed terminal, ``| head``). Returns why
    the text was lost on its way to a reader, for example a file on a full disk; None when nothing was lost."""
    stream = sys.stderr if to_stderr else sys.stdout
    try:
        if text:
            print(text, file=stream, flush=True)
    except OSError as error:
        # What is still in the buffer would be tried again at the end of the process, and fail there with a stack trace.
        with contextlib.suppress(OSError), open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), stream.fileno())
        return error.strerror if error.errno in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT) else None
    return None


if __name__ == "__main__":
    sys.exit(main())
