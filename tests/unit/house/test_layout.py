"""The tests are laid out like the house: who knows where code is, knows where its unit tests are."""

from __future__ import annotations

from pathlib import Path

import pytest

from include.config.settings import PROJECT

UNIT = PROJECT / "tests" / "unit"
GUARANTEES = PROJECT / "tests" / "guarantees"
ABOUT = {
    "house": "the repository itself",
    "docs": "the documentation",
    "benchmarks": "the benchmarks",
    "plugins": "plugins/",
}
"""Folders of unit tests about what is not below ``include/``."""


def folders_of(tests: Path) -> list[str]:
    found = (f for f in tests.rglob("*") if f.is_dir() and any(f.glob("test_*.py")))
    return sorted(f.relative_to(tests).as_posix() for f in found)


FOLDERS = folders_of(UNIT)


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_folder_of_unit_tests_is_about_a_folder_of_the_code(folder: str) -> None:
    place = PROJECT if folder in ABOUT else PROJECT / "include"
    if folder != "house":
        assert (place / folder).is_dir(), (
            f"tests/unit/{folder} is about no folder of {place.relative_to(PROJECT.parent)}"
        )


@pytest.mark.parametrize("folder", folders_of(GUARANTEES))
def test_a_folder_of_guarantees_is_about_a_folder_of_the_domain(folder: str) -> None:
    assert (PROJECT / "include" / "domain" / folder).is_dir()


def test_no_unit_test_lies_beside_the_folders() -> None:
    assert [file.name for file in UNIT.glob("test_*.py")] == []


@pytest.mark.parametrize("layer", ["adapters", "commands", "config", "domain", "workflows"])
def test_every_layer_has_unit_tests(layer: str) -> None:
    assert any((UNIT / layer).rglob("test_*.py"))
