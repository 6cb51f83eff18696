"""``completion``: what a shell needs to complete verbs, options, and the names of models, views and gates."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from include.commands import Answer, Verb, VerbGroup

SHELLS = ("bash", "fish", "zsh")


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", choices=SHELLS, help="the shell that is to complete")


def _completion(args: argparse.Namespace) -> Answer:
    from argcomplete.shell_integration import shellcode

    script = shellcode(["slipway"], shell=args.shell)
    return Answer(tuple(script.splitlines()), {"shell": args.shell, "script": script})


def complete(whole: argparse.ArgumentParser) -> None:
    """Answer the shell that runs this process, and end it. Only the names of folders and of gates are read."""
    import argcomplete

    named: dict[str, Callable[..., list[str]]] = {
        "model": lambda **_: _declared("models"),
        "view": lambda **_: _declared("features"),
        "gate": lambda **_: _gates(),
    }
    for action in _arguments_of(whole):
        if action.dest in named and action.choices is None:
            setattr(action, "completer", named[action.dest])  # noqa: B010 - argcomplete looks for it there
    argcomplete.autocomplete(whole)


def _arguments_of(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    """The arguments of a parser and of its verbs."""
    found = []
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for one in action.choices.values():
                found += _arguments_of(one)
        else:
            found.append(action)
    return found


def _declared(kind: str) -> list[str]:
    """The names of the folders below models/ or features/; broken declarations too, because nothing is read."""
    from include.config.loader import ROOT

    folder = ROOT / kind
    return sorted(each.name for each in folder.iterdir() if each.is_dir()) if folder.is_dir() else []


def _gates() -> list[str]:
    from include.config import declared_models
    from include.workflows import gates

    own = {gate.name for model in declared_models() for gate in gates.of(model) if gate.own}
    return sorted(own | {gate.name for gate in gates.GATES})


VERBS = (
    Verb(
        "completion",
        "print what bash, zsh or fish needs to complete this command",
        'eval "$(slipway completion bash)"',
        _completion,
        _arguments,
        group=VerbGroup.START,
    ),
)
