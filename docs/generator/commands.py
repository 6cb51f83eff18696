"""Every verb of the command line, read from its parser."""

from __future__ import annotations

import argparse

from docs.generator.markdown import code, page, table
from include.cli import parser, verbs
from include.commands import EXIT_BAD_INPUT, EXIT_BROKEN, EXIT_FAILED, EXIT_NOT_ALLOWED, EXIT_UNAVAILABLE, VerbGroup

EXIT_CODES = (
    (0, "done"),
    (EXIT_FAILED, "what was asked for did not come out well; some verbs say more below"),
    (EXIT_BAD_INPUT, "the caller's mistake: one line says what is wrong and what would be right"),
    (EXIT_UNAVAILABLE, "a service is away"),
    (EXIT_BROKEN, "something is broken; `SLIPWAY_DEBUG=1` shows where"),
    (EXIT_NOT_ALLOWED, "whoever is signed in may not do this"),
    (130, "stopped with Ctrl-C"),
)


def page_of() -> str:
    chosen = _verbs_of(parser())
    parts = [
        "# Command line",
        "`slipway VERB --help` says the same. Each verb takes `--json`, which prints its answer or its error as JSON.",
        "## Exit codes",
        table(("code", "meaning"), [[code(number), meaning] for number, meaning in EXIT_CODES]),
    ]
    for group in VerbGroup:
        parts.append(f"## {group.value}")
        for verb in verbs():
            if verb.group is group:
                codes = f"Exit code {verb.exit_codes}." if verb.exit_codes else ""
                parts += [f"### `slipway {verb.name}`", f"{_sentence(verb.help)} {codes}".strip()]
                parts += [f"```\n{_dedented(verb.example)}\n```", _arguments(chosen[verb.name])]
    return page(*parts)


def _verbs_of(whole: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    action = next(each for each in whole._actions if isinstance(each, argparse._SubParsersAction))
    return dict(action.choices)


def _arguments(verb: argparse.ArgumentParser) -> str:
    rows = []
    for action in verb._actions:
        if action.dest in ("help", "json"):
            continue
        names = ", ".join(code(name) for name in action.option_strings) or code(_shown_name(action))
        need = (
            "required" if action.required else "" if action.default in (None, False) else f"default `{action.default}`"
        )
        value = "" if action.nargs == 0 or not action.option_strings else _value(action)
        rows.append([names, value, need, (action.help or "").replace("%%", "%")])
    return table(("argument", "value", "", "meaning"), rows)


def _value(action: argparse.Action) -> str:
    if action.choices is not None:
        return " or ".join(code(each) for each in action.choices)
    return code(action.metavar or action.dest.upper())


def _shown_name(action: argparse.Action) -> str:
    name = str(action.metavar or action.dest)
    shown = "|".join(str(each) for each in action.choices) if action.choices else name.upper()
    return f"[{shown}]" if action.nargs == "?" else shown


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def _dedented(example: str) -> str:
    return "\n".join(line.strip() for line in example.splitlines())
