"""The export environment reads model files by the releases that wrote them."""

from __future__ import annotations

import re

import pytest

from include.config.settings import PROJECT

PIN = re.compile(r"^([a-z0-9-]+)==([0-9.]+)((?: ;[^\\\n#]*)?)", re.MULTILINE)


def pins(file: str) -> dict[tuple[str, str], str]:
    """The releases by name and by the Python they are for."""
    text = (PROJECT / file).read_text(encoding="utf-8")
    return {(name, python.strip(" ;")): release for name, release, python in PIN.findall(text)}


@pytest.mark.parametrize("name", ["scikit-learn", "skops", "numpy"])
def test_what_a_model_file_is_read_by_is_the_release_of_the_lock(name):
    locked, exported = pins("requirements.txt"), pins("requirements-export.txt")
    assert {key: r for key, r in exported.items() if key[0] == name} == {
        key: r for key, r in locked.items() if key[0] == name
    }
    assert any(key[0] == name for key in exported)
