"""The models of the route in this process: loaded once for each packed file, checked before they answer."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from include.adapters.route_file import RouteReader
from include.domain.packed.reader import NotAnswerable, Packed, read
from include.domain.serving.route import CanaryArm, ServedModel
from include.serving.canary import LoadedArm, common_inputs
from include.serving.slow import AnswersLater, slow_model


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model of the route, ready to answer."""

    served: ServedModel
    form: Packed | AnswersLater
    """Its plain arrays, which answer at once, or its pipeline's process."""
    canary: LoadedArm | None = None
    """The candidate beside it, where it has one that is ready."""


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
        self._waiting_arms: dict[str, LoadedArm] = {}
        self._forms: dict[str, Packed | AnswersLater] = {}
        self._former: dict[str, tuple[str, str]] = {}
        """By model, the form of its champion, and of the one before: a rollback starts no process."""
        self.problems: dict[str, str] = {}
        """By model, why what the route names is not loaded here; by ``arm_of`` of it, why its candidate is not."""

    def current(self) -> dict[str, LoadedModel]:
        """By name. A new object whenever something changed, so a request keeps the one that it began with."""
        number = self._reader.number()
        if number != self._number:
            self._take(number)
        elif self._waiting or self._waiting_arms:
            self._look_after_waiting()
        return self._loaded

    def waiting(self) -> bool:
        """Whether a pipeline is being loaded."""
        self.current()
        return bool(self._waiting or self._waiting_arms)

    def end(self) -> None:
        """End the processes of pipelines."""
        for form in self._forms.values():
            if not isinstance(form, Packed):
                form.end()

    def _take(self, number: int) -> None:
        loaded: dict[str, LoadedModel] = {}
        waiting: dict[str, LoadedModel] = {}
        arms: dict[str, LoadedArm] = {}
        self.problems = {}
        route = self._reader.route()
        for name, served in route.models.items():
            try:
                made = LoadedModel(served, self._form_of(served))
            except (PackedRefused, NotAnswerable, OSError, ValueError, KeyError) as error:
                self.problems[name] = f"route revision {served.route_revision} cannot be loaded: {error}"
                made = None
            if made is not None and not _problem_of(made.form):
                loaded[name] = made
            else:
                if made is not None:
                    waiting[name] = made
                if name in self._loaded:
                    # Its candidate was compared with a champion that the route does not name any more, or has ended.
                    loaded[name] = replace(self._loaded[name], canary=None)
            arm = route.arms.get(name)
            beside = None if arm is None or made is None else self._arm_of(arm, made.served)
            if beside is not None:
                arms[name] = beside
        for name, made in (*loaded.items(), *waiting.items()):
            self._note_former(name, _name_of(made.served))
        self._keep_forms([*loaded.values(), *waiting.values()], list(arms.values()))
        self._loaded, self._waiting, self._waiting_arms, self._number = loaded, waiting, arms, number
        self._look_after_waiting()

    def _arm_of(self, arm: CanaryArm, champion: ServedModel) -> LoadedArm | None:
        try:
            return LoadedArm(arm, self._form_of(arm.served), common_inputs(champion, arm.served))
        except (PackedRefused, NotAnswerable, OSError, ValueError, KeyError) as error:
            self.problems[arm_of(champion.model)] = f"{arm.served.candidate} cannot be loaded: {error}"
            return None

    def _note_former(self, name: str, form: str) -> None:
        now, before = self._former.get(name, ("", ""))
        if form != now:
            self._former[name] = form, now or before

    def _keep_forms(self, models: list[LoadedModel], arms: list[LoadedArm]) -> None:
        """Hold what answers or may have to at once, and end the processes of all else."""
        now = {_name_of(each.served): each.form for each in (*models, *self._loaded.values())}
        now |= {_name_of(each.served): each.form for each in arms}
        held = {name for pair in self._former.values() for name in pair}
        kept = {name: form for name, form in self._forms.items() if name in held} | now
        for name, form in self._forms.items():
            if name not in kept and not isinstance(form, Packed):
                form.end()
        self._forms = kept

    def _look_after_waiting(self) -> None:
        for name, made in list(self._waiting.items()):
            problem = _problem_of(made.form)
            if problem:
                self.problems[name] = f"route revision {made.served.route_revision} is not answered yet: {problem}"
                continue
            del self._waiting[name]
            self.problems.pop(name, None)
            self._loaded = {**self._loaded, name: made}
        for name, arm in list(self._waiting_arms.items()):
            problem = _problem_of(arm.form)
            if name in self._waiting or name not in self._loaded:
                continue
            if problem:
                self.problems[arm_of(name)] = f"{arm.served.candidate} does not answer yet: {problem}"
                continue
            del self._waiting_arms[name]
            self.problems.pop(arm_of(name), None)
            self._loaded = {**self._loaded, name: replace(self._loaded[name], canary=arm)}

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


def arm_of(model: str) -> str:
    """The name under which problems of the model's candidate are said."""
    return f"{model}, its candidate"


def _problem_of(form: Packed | AnswersLater) -> str:
    return "" if isinstance(form, Packed) else form.problem


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
