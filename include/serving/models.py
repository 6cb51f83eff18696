"""The models of the route in this process: loaded once for each packed file, checked before they answer."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from include.adapters.route_file import RouteReader
from include.domain.packed.reader import NotAnswerable, Packed, read
from include.domain.serving.route import ServedModel
from include.serving.slow import AnswersLater, slow_model


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model of the route, ready to answer."""

    served: ServedModel
    form: Packed | AnswersLater
    """Its plain arrays, which answer at once, or its pipeline's process."""


class PackedRefused(Exception):
    """A packed file is not the one of the route, or does not answer here as where it was made."""


class Models:
    """What is served now. A model that cannot be loaded, or is not loaded yet, leaves the one before it in place."""

    def __init__(self, route: RouteReader, slow: Callable[[ServedModel], AnswersLater] = slow_model) -> None:
        self._reader, self._new_slow = route, slow
        self._number = -1
        self._loaded: dict[str, LoadedModel] = {}
        self._waiting: dict[str, LoadedModel] = {}
        """By name, those whose process is loading its pipeline."""
        self._forms: dict[str, Packed | AnswersLater] = {}
        self.problems: dict[str, str] = {}
        """By model, why what the route names is not loaded here."""

    def current(self) -> dict[str, LoadedModel]:
        """By name. A new object whenever something changed, so a request keeps the one that it began with."""
        number = self._reader.number()
        if number != self._number:
            self._take(number)
        elif self._waiting:
            self._look_after_waiting()
        return self._loaded

    def waiting(self) -> bool:
        """Whether a pipeline is being loaded."""
        self.current()
        return bool(self._waiting)

    def end(self) -> None:
        """End the processes of pipelines."""
        for form in self._forms.values():
            if not isinstance(form, Packed):
                form.end()

    def _take(self, number: int) -> None:
        loaded: dict[str, LoadedModel] = {}
        waiting: dict[str, LoadedModel] = {}
        self.problems = {}
        for name, served in self._reader.route().models.items():
            try:
                made = LoadedModel(served, self._form_of(served))
            except (PackedRefused, NotAnswerable, OSError, ValueError, KeyError) as error:
                self.problems[name] = f"route revision {served.route_revision} cannot be loaded: {error}"
                made = None
            if made is not None and not _problem_of(made):
                loaded[name] = made
                continue
            if made is not None:
                waiting[name] = made
            if name in self._loaded:
                loaded[name] = self._loaded[name]
        # The model before stays in memory too: a rollback reads no file, and starts no process.
        kept = {
            _name_of(each.served): each.form for each in (*self._loaded.values(), *loaded.values(), *waiting.values())
        }
        for name, form in self._forms.items():
            if name not in kept and not isinstance(form, Packed):
                form.end()
        self._forms, self._loaded, self._waiting, self._number = kept, loaded, waiting, number
        self._look_after_waiting()

    def _look_after_waiting(self) -> None:
        for name, made in list(self._waiting.items()):
            problem = _problem_of(made)
            if problem:
                self.problems[name] = f"route revision {made.served.route_revision} is not answered yet: {problem}"
                continue
            del self._waiting[name]
            self.problems.pop(name, None)
            self._loaded = {**self._loaded, name: made}

    def _form_of(self, served: ServedModel) -> Packed | AnswersLater:
        known = self._forms.get(_name_of(served))
        if known is not None:
            return known
        if served.by == "pipeline":
            made = self._forms[_name_of(served)] = self._new_slow(served)
            return made
        return checked(Path(served.packed), served.packed_sha256)


def _name_of(served: ServedModel) -> str:
    return served.packed_sha256 if served.by == "packed" else f"pipeline {served.model} {served.digest}"


def _problem_of(made: LoadedModel) -> str:
    return "" if isinstance(made.form, Packed) else made.form.problem


def checked(file: Path, sha256: str) -> Packed:
    """The packed model of a file; its arrays cannot be written to.

    Raises:
        PackedRefused: for another content, or one that answers otherwise on this machine.
    """
    found = hashlib.sha256(file.read_bytes()).hexdigest()
    if found != sha256:
        raise PackedRefused(f"{file.name} has the sha256 {found[:12]}, and {sha256[:12]} was checked")
    packed = read(file)
    for array in packed.arrays.values():
        array.setflags(write=False)
    differing = packed.check()
    if differing:
        raise PackedRefused(f"{file.name} answers {differing} of its own rows otherwise on this machine")
    return packed
