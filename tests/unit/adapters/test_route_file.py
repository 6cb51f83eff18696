"""The route in a file: never half of one and half of another, and never back to an older one."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from include.adapters.route_file import RouteReader, RouteUnreadable, RouteWriter
from include.domain.serving.route import CanaryArm, Route, RouteBehind, ServedModel, route_bytes

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


def served(revision: int, name: str = "wind", candidate: str = "") -> ServedModel:
    return ServedModel(
        model=name,
        task="regression",
        classes=[],
        features=[],
        views=[],
        candidate=candidate or f"c{revision}",
        digest=f"d{revision}",
        revision=revision,
        route_revision=revision,
        version=revision,
        packed=f"/{revision}.npz",
        packed_sha256=f"s{revision}",
    )


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "serve" / "route.bin"


def test_before_the_first_route_there_is_none(file):
    RouteWriter(file)
    assert RouteReader(file).route().models == {}
    with pytest.raises(RouteUnreadable):
        RouteReader(file.with_name("other.bin"))


def test_what_is_published_is_read_and_the_same_object_until_it_changes(file):
    writer, reader = RouteWriter(file), RouteReader(file)
    writer.publish({"wind": served(1)}, AT)
    first = reader.route()
    assert first.models["wind"].candidate == "c1"
    assert reader.route() is first
    writer.publish({"wind": served(2)}, AT)
    assert reader.route().models["wind"].candidate == "c2"
    assert reader.route().number == first.number + 1


def test_a_route_survives_its_writer(file):
    RouteWriter(file).publish({"wind": served(3)}, AT)
    assert RouteWriter(file).current().models["wind"].revision == 3


def test_f142_f143_an_older_revision_never_takes_the_place_of_a_newer_one(file):
    old, new = RouteWriter(file), RouteWriter(file)
    new.publish({"wind": served(5), "rain": served(1, "rain")}, AT)
    with pytest.raises(RouteBehind, match="wind is served by route revision 5, and 4 is older"):
        old.publish({"wind": served(4), "rain": served(2, "rain")}, AT)
    assert RouteReader(file).route().models["rain"].revision == 1


def test_a_share_that_is_ended_here_reloads_no_model_and_outlives_the_next_publication(file):
    writer, reader = RouteWriter(file), RouteReader(file)
    arm = CanaryArm(served(1, candidate="c2"), 1, "salt", 10_000, 120.0, 500.0, "boot")
    writer.publish({"wind": served(1)}, AT, {"wind": arm})
    assert reader.route().arms["wind"].share_at("boot", 400.0) == 10_000
    assert writer.end_share("wind", 1, "5 of 20 failed", AT)
    assert not writer.end_share("wind", 1, "5 of 20 failed", AT)
    writer.publish({"wind": served(2)}, AT, {"wind": arm})
    assert reader.route().arms["wind"].share_at("boot", 400.0) == 0


def test_a_writer_that_died_while_writing_is_followed_by_one_that_writes_it_whole(file):
    writer, reader = RouteWriter(file), RouteReader(file)
    writer.publish({"wind": served(1)}, AT)
    half = bytearray(file.read_bytes())
    half[0] |= 1
    half[40] ^= 255
    with file.open("r+b") as opened:
        opened.write(half)
    with pytest.raises(RouteUnreadable, match="half written"):
        reader.route()
    again = RouteWriter(file)
    assert again.current().models == {}
    again.publish({"wind": served(1)}, AT)
    assert reader.route().models["wind"].candidate == "c1"


def test_a_route_that_does_not_fit_is_refused(file):
    with pytest.raises(ValueError, match="at most"):
        RouteWriter(file).publish({"wind": served(1, candidate="x" * 2_000_000)}, AT)


def test_f144_readers_beside_a_writer_never_see_a_mix_of_two_routes(file):
    writer = RouteWriter(file)
    # Every field of a route says which it is, and they differ in length.
    routes = [Route(n, AT, {"wind": served(n, candidate=f"c{n}" * (1 + 50 * (n % 2)))}) for n in (1, 2)]
    writer.write(routes[0])
    readers = []
    for _ in range(2):
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                code = _read_many(file, 6_000)
            finally:
                os._exit(code)
        readers.append(pid)
    gone: dict[int, int] = {}
    number = 0
    while len(gone) < len(readers):
        number += 1
        writer.write(routes[number % 2])
        for pid in set(readers) - set(gone):
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                gone[pid] = os.waitstatus_to_exitcode(status)
    assert set(gone.values()) == {0}
    assert number > 100, "the writer wrote beside the readers"


def _read_many(file: Path, times: int) -> int:
    reader = RouteReader(file)
    for _ in range(times):
        route = reader.route()
        one = route.models["wind"]
        n = one.revision
        if (route.number, one.digest, one.packed, one.candidate[: len(f"c{n}")]) != (n, f"d{n}", f"/{n}.npz", f"c{n}"):
            return 2
        if len(one.candidate) != len(f"c{n}") * (1 + 50 * (n % 2)) or not route_bytes(route):
            return 3
    return 0
