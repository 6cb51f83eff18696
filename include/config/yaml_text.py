"""YAML as Slipway reads it everywhere: a key is given once.

YAML says that the keys of a mapping are unique. PyYAML lets the last one win without a word: of a bound that was
written twice, the first was lost unseen.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Any

import yaml

from include.domain.errors import Refusal

LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""Every task reads the declarations again: libyaml's loader, where PyYAML was built with it, is ten times as fast."""


class KeyGivenTwice(Refusal, ValueError):
    """A mapping has a key more than once. ``problems`` are pairs of a line (from 1) and a sentence."""

    def __init__(self, problems: list[tuple[int, str]]) -> None:
        self.problems = problems
        super().__init__(" ".join(sentence for _, sentence in problems))


def parsed(text: str) -> Any:
    """The text's one document as plain values.

    >>> parsed("bound: 0.9")
    {'bound': 0.9}

    Raises:
        KeyGivenTwice: naming each key with its lines. yaml.YAMLError: where it is not YAML.
    """
    try:
        return _loaded(text, LOADER)
    except yaml.YAMLError:
        return _loaded(text, yaml.SafeLoader)  # slower, and its message says more


def _loaded(text: str, kind: Any) -> Any:
    loader = kind(text)
    try:
        root = loader.get_single_node()
        if root is None:
            return None
        twice = sorted(_given_twice(loader, root, (), set()))
        if twice:
            raise KeyGivenTwice(twice)
        return loader.construct_document(root)
    finally:
        loader.dispose()


def _given_twice(loader: Any, node: Any, path: tuple[str, ...], seen: set[int]) -> Iterator[tuple[int, str]]:
    """Of each key that a mapping has again: the line where it is first given again, and the sentence. A node that
    several anchors share is checked once."""
    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        for i, each in enumerate(node.value):
            yield from _given_twice(loader, each, (*path, str(i)), seen)
    if not isinstance(node, yaml.MappingNode):
        return
    lines: dict[Hashable, list[int]] = {}
    names: dict[Hashable, str] = {}
    for key, value in node.value:
        name = str(key.value) if isinstance(key, yaml.ScalarNode) else f"the key in line {key.start_mark.line + 1}"
        same = _comparable(loader, key)
        lines.setdefault(same, []).append(key.start_mark.line + 1)
        names.setdefault(same, name)
        yield from _given_twice(loader, key, (*path, name), seen)
        yield from _given_twice(loader, value, (*path, name), seen)
    for same, where in lines.items():
        if len(where) > 1:
            yield where[1], _sentence(".".join((*path, names[same])), where)


def _comparable(loader: Any, key: Any) -> Hashable:
    """What makes two keys one: ``1`` and ``0x1`` are, and so are ``yes`` and ``true``. ``<<`` is itself: given twice,
    the second hides the first; several mappings are merged by a list of them."""
    if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
        value = loader.construct_object(key, deep=True)
        if isinstance(value, Hashable):
            return value
    return str(yaml.serialize(key))


def _sentence(name: str, lines: list[int]) -> str:
    often = "twice" if len(lines) == 2 else f"{len(lines)} times"
    # Both in one line is what a mapping in braces may have.
    different = list(dict.fromkeys(map(str, lines)))
    before, last = different[:-1], different[-1]
    where = f"lines {', '.join(before)} and {last}" if before else f"line {last}"
    way = " Give << a list of what it merges." if name.split(".")[-1] == "<<" else ""
    return f"{name} is given {often}, {where}.{way}"
