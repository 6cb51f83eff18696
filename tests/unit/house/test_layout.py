"""The tests are laid out like the house: who knows where code is, knows where its unit tests are."""

from __future__ import annotations

import pytest

from include.config.settings import PROJECT

UNIT = PROJECT / "tests" / "unit"
ABOUT = {
    "house": "the repository itself",
    "docs": "the documentation",
    "benchmarks": "the benchmarks",
    "plugins": "plugins/",
}
"""Folders of unit tests about what is not below ``include/``."""
FOLDERS = sorted(
    folder.relative_to(UNIT).as_posix()
    for folder in UNIT.rglob("*")
    if folder.is_dir() and any(folder.glob("test_*.py"))
)


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_folder_of_unit_tests_is_about_a_folder_of_the_code(folder: str) -> None:
    place = PROJECT if folder in ABOUT else PROJECT / "include"
    if folder != "house":
        assert (place / folder).is_dir(), (
            f"tests/unit/{folder} is about no folder of {place.relative_to(PROJECT.parent)}"
        )


def test_no_unit_test_lies_beside_the_folders() -> None:
    assert [file.name for file in UNIT.glob("test_*.py")] == []


@pytest.mark.parametrize("layer", ["adapters", "commands", "config", "domain", "workflows"])
def test_every_layer_has_unit_tests(layer: str) -> None:
    assert any((UNIT / layer).rglob("test_*.py"))
