"""The tree of Slipway's exceptions, with exit codes and HTTP statuses, read from the classes."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator
from types import ModuleType

import include
from docs.generator.markdown import code, first_paragraph, page, table
from include.commands import EXIT_BAD_INPUT, EXIT_BROKEN, Mistake
from include.domain.errors import NotDone, NotYet, Refusal, Unavailable

TREES: tuple[tuple[type[Exception], str], ...] = (
    (Refusal, "Asked for wrongly, or must not be done. Trying again changes nothing."),
    (NotYet, "Somebody else is about to bring what is missing. A task is tried again."),
    (Unavailable, "A service does not answer, or cannot be started here now."),
    (NotDone, "The machinery did not do what it was asked, and says so in one sentence."),
)
OWN_CODES: dict[type[Exception], int] = {Mistake: EXIT_BAD_INPUT}
BROKEN = 500


def page_of(status_of: Callable[[type[BaseException]], str]) -> str:
    """The page; ``status_of`` is how the pages and REST answer an exception of a class."""
    for module in modules(include):
        importlib.import_module(module)
    parts = [
        "# Errors",
        "One class for each cause; the message is one line: what, the value, what is allowed, and the way out. The "
        "exit code is that of the command line. The status is that of [REST](rest.md) and the pages, where such an "
        "error can come up there. Indented is what derives from the line above.",
    ]
    for root, meaning in TREES:
        parts += [f"## `{root.__name__}`", meaning]
        parts.append(table(HEAD, [_row(each, depth, status_of) for each, depth in walk(root)]))
    others = sorted(_others(), key=lambda each: each.__name__)
    parts += [
        "## Others",
        "Broken machinery and what a caller handles; a service that is away has an exit code of its own.",
    ]
    parts.append(table(HEAD, [_row(each, 0, status_of) for each in others]))
    return page(*parts)


HEAD = ("class", "exit code", "status", "meaning", "module")


def modules(package: ModuleType) -> Iterator[str]:
    """Every module below a package, without those that run something when they are imported."""
    for each in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        if ".migrations" not in each.name and not each.name.endswith("__main__"):
            yield each.name


def walk(root: type[Exception], depth: int = 0) -> Iterator[tuple[type[Exception], int]]:
    """A class and what derives from it, each with how deep it is below the root; each once."""
    yield root, depth
    for each in sorted(set(root.__subclasses__()), key=lambda kind: kind.__name__):
        if is_ours(each):
            yield from walk(each, depth + 1)


def exit_code(kind: type[Exception]) -> int:
    own = getattr(kind, "exit_code", None)
    return own if isinstance(own, int) else OWN_CODES.get(kind, EXIT_BROKEN)


def is_ours(kind: type) -> bool:
    return kind.__module__.partition(".")[0] in ("include", "slipway_airflow")


def _others() -> set[type[Exception]]:
    roots = tuple(root for root, _ in TREES)
    return {each for each in _all_below(Exception) if is_ours(each) and not issubclass(each, roots)}


def _all_below(root: type[Exception]) -> Iterator[type[Exception]]:
    for each in root.__subclasses__():
        yield each
        yield from _all_below(each)


def _row(kind: type[Exception], depth: int, status_of: Callable[[type[BaseException]], str]) -> list[str]:
    indent = "&emsp;" * depth
    module = kind.__module__.replace("slipway_airflow", "plugins.slipway_airflow").replace(".", "/")
    name = f"{indent}{code(kind.__name__)}"
    return [name, str(exit_code(kind)), status_of(kind), first_paragraph(kind.__doc__), code(module)]
