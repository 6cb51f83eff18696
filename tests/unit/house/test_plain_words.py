"""Plain words: a second-language reader understands each comment, docstring and message at first reading."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]

PLAIN = {
    "nobody": "no one, or the passive",
    "mend": "fix, repair",
    "mends": "fixes, repairs",
    "mended": "fixed, repaired",
    "stands": "holds, is, means, blocks",
    "alike": "too, equal, similar",
    "shall": "must, will, is to",
    "anew": "again",
    "whence": "from which",
    "lest": "so that not",
    "thereof": "of it",
    "for want of": "without",
    "worth a word": "say what it means",
    "tells nobody": "notifies no one",
    "told apart": "distinguished",
    "looks at nothing": "ignores its inputs",
}
"""Words and phrases that the product does not use, each with what to write instead."""

KEPT = {
    ("include/config/loader.py", "mend"): "the loader's messages keep their form",
    (
        "include/workflows/evidence/probes.py",
        "nobody",
    ): "a value; the rows that a seeded candidate refuses follow from it",
}
"""Where one of them stays, and why. Quoted values and code between double backticks are no prose."""

REFUSED = re.compile(rf"\b({'|'.join(sorted(PLAIN, key=len, reverse=True))})\b", re.IGNORECASE)


def product() -> list[Path]:
    """Every file with text for people, without the migrations, which are never edited once released."""
    return [
        file
        for folder in ("include", "plugins", "dags")
        for kind in ("*.py", "*.html", "*.yaml")
        for file in sorted((ROOT / folder).rglob(kind))
        if "migrations" not in file.parts
    ]


def prose(text: str, suffix: str) -> Iterator[tuple[int, str]]:
    """Each comment, docstring and message with its line; a string without blanks is a name or a value. Of another
    kind of file the whole is prose."""
    if suffix != ".py":
        yield 1, text
        return
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value.strip():
            yield node.lineno, node.value
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


def old_words(text: str, suffix: str) -> Iterator[tuple[int, str]]:
    if not REFUSED.search(text):
        return  # nowhere, so not in prose; to take a file apart takes long
    for line, said in prose(text, suffix):
        for found in REFUSED.finditer(re.sub(r"``[^`]*``", "", said)):
            yield line, found.group(1).lower()


def test_comments_docstrings_and_messages_use_plain_words():
    files = product()
    assert len(files) > 300, "the files were not read"
    wrong, kept = [], set()
    for file in files:
        path = file.relative_to(ROOT).as_posix()
        for line, word in old_words(file.read_text(encoding="utf-8"), file.suffix):
            if (path, word) in KEPT:
                kept.add((path, word))
            else:
                wrong.append(f"{path}:{line}: {word!r}; write: {PLAIN[word]}")
    assert wrong == []
    assert kept == set(KEPT), "an exception that is no longer needed"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param('"""Nobody is told."""', ["nobody"], id="a docstring"),
        pytest.param("x = 1  # begun anew", ["anew"], id="a comment"),
        pytest.param('f"{x} is broken; mend it"', ["mend"], id="a message"),
        pytest.param('role = "nobody"', [], id="a value"),
        pytest.param('"""``nobody`` sends no notice."""', [], id="code in a docstring"),
        pytest.param("nobody = 1", [], id="a name of code"),
        pytest.param('"""A recommendation about standstill."""', [], id="within a longer word"),
    ],
)
def test_a_word_is_found_in_prose_only(text, words):
    assert [word for _, word in old_words(text, ".py")] == words
