"""The models of the route in this process: loaded once for each packed file, checked before they answer."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from include.adapters.route_file import RouteReader
from include.domain.packed.reader import NotAnswerable, Packed, read
from include.domain.serving.route import ServedModel


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model of the route, ready to answer."""

    served: ServedModel
    packed: Packed


class PackedRefused(Exception):
    """A packed file is not the one of the route, or does not answer here as where it was made."""


class Models:
    """What is served now. A model that cannot be loaded leaves the one before it in place."""

    def __init__(self, route: RouteReader) -> None:
        self._reader = route
        self._number = -1
        self._loaded: dict[str, LoadedModel] = {}
        self._packed: dict[str, Packed] = {}
        self.problems: dict[str, str] = {}
        """By model, why what the route names is not loaded here."""

    def current(self) -> dict[str, LoadedModel]:
        """By name. A new object whenever the route changed, so a request keeps the one that it began with."""
        number = self._reader.number()
        if number == self._number:
            return self._loaded
        loaded: dict[str, LoadedModel] = {}
        problems: dict[str, str] = {}
        for name, served in self._reader.route().models.items():
            try:
                loaded[name] = LoadedModel(served, self._packed_of(served))
            except (PackedRefused, NotAnswerable, OSError, ValueError, KeyError) as error:
                problems[name] = f"route revision {served.route_revision} cannot be loaded: {error}"
                if name in self._loaded:
                    loaded[name] = self._loaded[name]
        # The model before stays in memory too: a rollback reads no file.
        both = [*self._loaded.values(), *loaded.values()]
        self._packed = {each.served.packed_sha256: each.packed for each in both}
        self._loaded, self.problems, self._number = loaded, problems, number
        return loaded

    def _packed_of(self, served: ServedModel) -> Packed:
        known = self._packed.get(served.packed_sha256)
        return known if known is not None else checked(Path(served.packed), served.packed_sha256)


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
