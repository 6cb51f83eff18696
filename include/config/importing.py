"""The one place that imports what a declaration names: a gate, a metric, a notifier, an encoder, an estimator.

Three ways to name one:

- ``our_gates.abstains``: an import path, the module and a name in it;
- ``our-package:abstains``: the entry point ``abstains`` of the installed package ``our-package``;
- ``abstains``: the entry point of that name, whichever package has it.

Three things can be wrong, each an error of its own: ``NoModule``, ``NoSuchName``, ``WrongShape``. Nothing of this is
called while a Dag file is parsed: a declaration is read as text, and what it names is imported by the task that needs
it, and by ``slipway validate``.
"""

from __future__ import annotations

import difflib
import importlib
import inspect
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from include.domain.errors import Refusal

DOTTED = r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+"
ENTRY_POINT = r"([A-Za-z0-9][\w.-]*:)?[A-Za-z_][\w-]*"
ImportPath = Annotated[str, Field(pattern=rf"^({DOTTED}|{ENTRY_POINT})$")]
"""An import path, or an entry point of an installed package."""
Dotted = Annotated[str, Field(pattern=rf"^{DOTTED}$")]
"""An import path and nothing else."""

_SHOWN = 12
"""Most names of a module that a message lists."""
_BESIDE = Path(__file__).resolve().parents[2]
"""The project's root, which is on the path: a team's own modules are put there."""


class BadPath(Refusal, ValueError):
    """A declared path that cannot be used: the field, the path, what is wrong, and the way out."""

    def __init__(self, where: str, path: str, why: str) -> None:
        self.where, self.path = where, path
        super().__init__(f"{where} {path!r} {why}")


class NoModule(BadPath):
    """There is no such module or package, or it raises while it is imported."""


class NoSuchName(BadPath):
    """The module, or the package's entry points, have no such name."""


class WrongShape(BadPath):
    """What the path names is something else than the field needs."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What a field needs.

    Attributes:
        what: in words, ``a gate``.
        group: the group of entry points it may be in; None where only an import path will do.
        shape: what it must be, as the end of a sentence.
        given: the arguments it is called with before the declared params; None where it is not called like that.
    """

    what: str
    group: str | None
    shape: str
    given: tuple[str, ...] | None = None


GATE = Kind("a gate", "slipway.gates", "a function that takes (evidence, **params) and returns criteria", ("evidence",))
NOTIFIER = Kind("a notifier", "slipway.notifiers", "a function that takes (message, **params)", ("message",))
METRIC = Kind("a metric", "slipway.metrics", "a function decorated with per_row or whole of include.domain.metrics")
ENCODER = Kind("an encoder", "slipway.encoders", "a scikit-learn transformer class")
ESTIMATOR = Kind("an estimator", None, "a scikit-learn estimator class")


def found(path: str, where: str, kind: Kind) -> Any:
    """What the path names.

    Args:
        path: as declared.
        where: the field that declares it, ``gates.own.0.path``.
        kind: what the field needs, for the entry points and for the messages.

    Raises:
        NoModule, NoSuchName: when there is nothing.
    """
    if ":" in path or "." not in path:
        return _entry_point(path, where, kind)
    module_name, _, name = path.rpartition(".")
    module = _module(module_name, path, where, kind)
    try:
        return getattr(module, name)
    except AttributeError:
        raise NoSuchName(where, path, _lacks(module_name, name, _public(module))) from None


def function(path: str, where: str, kind: Kind, params: Mapping[str, Any]) -> Callable[..., Any]:
    """The function that the path names, when it takes what it will be given.

    Raises:
        NoModule, NoSuchName, WrongShape: when it cannot be used.
    """
    named: Callable[..., Any] = found(path, where, kind)
    if not callable(named) or inspect.isclass(named):
        raise WrongShape(where, path, f"is {_described(named)}; {kind.what} is {kind.shape}.")
    given = kind.given or ()
    try:
        signature = inspect.signature(named)
    except (ValueError, TypeError):
        return named  # compiled: it says what is wrong when it is called
    try:
        signature.bind(*given, **params)
    except TypeError as error:
        called = ", ".join((*given, *(f"{name}=..." for name in params)))
        why = f"would be called with ({called}), and takes {signature}: {error}. Change params or the function."
        raise WrongShape(where, path, why) from None
    if inspect.iscoroutinefunction(named):
        raise WrongShape(where, path, f"is an async function; {kind.what} is {kind.shape}.")
    return named


def _module(module_name: str, path: str, where: str, kind: Kind) -> Any:
    try:
        return importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        missing = error.name or module_name
        if module_name != missing and not module_name.startswith(f"{missing}."):
            raise NoModule(where, path, _raises(module_name, error)) from None
        hint = _near(missing) or f" A module of your own goes beside include/ as {missing.partition('.')[0]}.py."
        way = f"Give the full import path of {kind.shape}.{hint}"
        raise NoModule(where, path, f"cannot be imported (No module named {missing!r}). {way}") from None
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a team's module may raise anything while it is imported
        raise NoModule(where, path, _raises(module_name, error)) from None


def _raises(module_name: str, error: BaseException) -> str:
    said = (str(error).strip().splitlines() or ["no reason given"])[0]
    return (
        f"cannot be imported ({module_name} raises {type(error).__name__}: {said}). Make `import {module_name}` work."
    )


def _entry_point(path: str, where: str, kind: Kind) -> Any:
    package, _, name = path.rpartition(":")
    if kind.group is None:
        raise NoModule(
            where, path, f"cannot be imported (it is no import path). Give the full import path of {kind.shape}."
        )
    points = [p for p in metadata.entry_points(group=kind.group) if not package or _of_package(p, package)]
    fits = [p for p in points if p.name == name]
    if not fits:
        names = sorted({p.name if package else _full(p) for p in points})
        if package and not _installed(package):
            raise NoModule(
                where,
                path,
                f"is an entry point of a package that is not installed: {package}. Install it; a module of your own is "
                f"named with a point, {package.replace('-', '_')}.{name}.",
            )
        whose = package or "installed packages"
        raise NoSuchName(where, path, _lacks(f"{kind.group} of {whose}", name, names))
    if len({_full(p) for p in fits}) > 1:
        raise NoSuchName(where, path, f"is the name of several: {', '.join(sorted(map(_full, fits)))}. Name one whole.")
    try:
        return fits[0].load()
    except AttributeError as error:
        raise NoSuchName(where, path, f"leads to {fits[0].value}, which is not there ({error}).") from None
    except (Exception, SystemExit) as error:  # noqa: BLE001 - anybody's package
        raise NoModule(where, path, _raises(fits[0].module, error)) from None


def is_entry_point(name: str, kind: Kind) -> bool:
    """Whether an installed package offers one of that name. Reads the packages' lists, and imports nothing."""
    return kind.group is not None and bool(metadata.entry_points(group=kind.group, name=name))


def _of_package(point: metadata.EntryPoint, package: str) -> bool:
    return point.dist is not None and _plain(point.dist.name) == _plain(package)


def _installed(package: str) -> bool:
    try:
        metadata.distribution(package)
    except (metadata.PackageNotFoundError, ValueError):
        return False
    return True


def _full(point: metadata.EntryPoint) -> str:
    return f"{point.dist.name if point.dist else '?'}:{point.name}"


def _plain(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")


def _lacks(what: str, name: str, names: list[str]) -> str:
    close = difflib.get_close_matches(name, names, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    shown = ", ".join(names[:_SHOWN]) + (" and more" if len(names) > _SHOWN else "")
    return f"cannot be imported ({what} has no {name!r}); it has: {shown or 'nothing'}.{hint}"


def _public(module: Any) -> list[str]:
    return sorted(name for name in dir(module) if not name.startswith("_"))


def _near(missing: str) -> str:
    """A module with nearly that name, beside include/ or in the package it should be in."""
    parent, _, name = missing.rpartition(".")
    try:
        folders = list(importlib.import_module(parent).__path__) if parent else [str(_BESIDE)]
    except Exception:  # noqa: BLE001 - only a hint
        return ""
    close = difflib.get_close_matches(name, [m.name for m in pkgutil.iter_modules(folders)], n=1)
    if not close and not parent:
        close = difflib.get_close_matches(name, {p.partition(".")[0] for p in metadata.packages_distributions()}, n=1)
    return f" Did you mean {parent + '.' if parent else ''}{close[0]}?" if close else ""


def _described(named: Any) -> str:
    if inspect.isclass(named):
        return f"the class {named.__name__}"
    return f"{type(named).__name__} {str(named)[:40]!r}"
