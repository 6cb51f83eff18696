"""The verbs of ``slipway``: one module per group of them, each with a ``VERBS`` tuple. A new module is found by itself.

A module imports what its verbs need inside the functions that run them, so that ``slipway --help`` stays quick.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass, field
from enum import Enum
from typing import Any

EXIT_FAILED = 1
EXIT_BAD_INPUT = 64
EXIT_UNAVAILABLE = 69
EXIT_BROKEN = 70
EXIT_NOT_ALLOWED = 77


class Mistake(Exception):
    """The caller's mistake: one line that says what is wrong and what would be right. Exit code 64."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The result of a verb: lines for a person, the same as data for ``--json``, and the exit code."""

    lines: tuple[str, ...]
    data: dict[str, Any] = field(default_factory=dict)
    code: int = 0


class VerbGroup(Enum):
    """Where `slipway --help` lists a verb: the groups in the order in which it shows them."""

    START = "Start and look"
    DECLARE = "Declare a model"
    TABLES = "Judge and simulate, also on your own tables"
    ACT = "Act on a model that runs"
    ASK = "Ask what happened"
    KEEP = "Compare the stores"


@dataclass(frozen=True, slots=True)
class Verb:
    """One verb: what it does in a sentence, an example, its arguments, and what runs it."""

    name: str
    help: str
    example: str
    run: Callable[[argparse.Namespace], Answer]
    arguments: Callable[[argparse.ArgumentParser], None] = lambda parser: None
    _: KW_ONLY
    group: VerbGroup
    exit_codes: str = ""
    """The meaning of its exit codes; "" when there is only 0 for done."""
