"""Class labels: the class that a value means, in any spelling.

``1``, ``1.0``, ``"1"`` and ``Decimal("1.00")`` are one number. Where the two classes are words for no and yes (``0``
and ``1``, ``false`` and ``true``, ``no`` and ``yes``), every such word means the same. All other texts are taken as
they are, without blanks around them: ``Late`` is not ``late``, and ``01`` is a code, no number.

A label that is none of the declared classes has no position. The caller reports it by name.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from include.domain.spellings import NO, YES, key_of, meaning, truth_of

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

__all__ = [
    "BINARY",
    "NO",
    "YES",
    "Found",
    "Strange",
    "conflict",
    "found_in",
    "key_of",
    "meaning",
    "named_by",
    "positions",
    "refused",
    "truth_of",
]
BINARY = ("0", "1")
"""The classes of a binary label where none are declared."""
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Strange:
    """A label that is none of the classes, and in how many rows it is."""

    value: Any
    rows: int


def conflict(classes: Sequence[str]) -> str | None:
    """Why these cannot be the classes of one label, as a clause; None where they can.

    >>> conflict(["1", "1.0"])
    "'1' and '1.0' are the same label written in two ways"
    """
    seen: dict[Hashable, str] = {}
    for name in classes:
        key = key_of(name)
        if key is None:
            return "one of them is empty"
        if seen.get(key) == name:
            return f"{name!r} is there twice"
        if key in seen:
            return f"{seen[key]!r} and {name!r} are the same label written in two ways"
        seen[key] = name
    # Two letters may be codes; 0 and no can only be the same class twice.
    if len(classes) == 2 and not all(name.strip().isalpha() and len(name.strip()) == 1 for name in classes):
        first, second = map(truth_of, classes)
        if first is not None and first is second:
            return f"{classes[0]!r} and {classes[1]!r} both mean {'yes' if first else 'no'}"
    return None


def positions(
    classes: Sequence[str], values: pd.Series[Any]
) -> tuple[np.ndarray[Any, np.dtype[np.float64]], tuple[Strange, ...]]:
    """``(n,)``: the position of each label's class, NaN where there is none; and the labels that are no class, the most
    frequent first."""
    import numpy as np
    import pandas as pd

    codes, distinct = pd.factorize(values, use_na_sentinel=True)
    listed = distinct.tolist() if hasattr(distinct, "tolist") else list(distinct)
    meant = meaning(classes, listed)
    of_code = np.array([np.nan if at is None else float(at) for at in [*meant, None]], dtype=np.float64)
    rows = np.bincount(codes[codes >= 0], minlength=len(listed))
    strange = [
        Strange(value, int(n))
        for value, at, n in zip(listed, meant, rows, strict=True)
        if at is None and key_of(value) is not None
    ]
    return of_code[codes], tuple(sorted(strange, key=lambda s: (-s.rows, str(s.value))))


def named_by(scores: Sequence[str], values: pd.Series[Any]) -> tuple[str, ...] | None:
    """The classes that several columns of scores are of, in their order: the columns' names, whole or behind what all
    begin with, or else their positions. The first of these that every label is one of; None where there is none.

    >>> import pandas as pd
    >>> named_by(["p_1", "p_2", "p_3"], pd.Series([1.0, 3.0])), named_by(["a", "b"], pd.Series([0, 1, 1]))
    (('1', '2', '3'), ('0', '1'))
    """
    shared = scores[0]
    while shared and not (shared[-1] in "_-. " and all(s.startswith(shared) and s != shared for s in scores)):
        shared = shared[:-1]
    for names in (tuple(scores), tuple(s.removeprefix(shared) for s in scores), tuple(map(str, range(len(scores))))):
        if conflict(names) is None and not positions(names, values)[1]:
            return names
    return None


def refused(name: str, strange: Sequence[Strange], classes: Sequence[str]) -> str:
    """One line about labels that are no class: which, in how many rows, what is allowed, and what may have been meant.

    >>> refused("y", [Strange("Late", 3), Strange(2.0, 1)], ["late", "on_time"])
    "Label 'y' has 'Late' (3 rows), 2.0 (1 row); the classes are: late, on_time. Did you mean 'late' for 'Late'?"
    """
    shown = ", ".join(
        f"{_plain(s.value)!r} ({s.rows:,} row{'' if s.rows == 1 else 's'})".replace("\n", " ") for s in strange[:_SHOWN]
    )
    more = f" and {len(strange) - _SHOWN:,} more" if len(strange) > _SHOWN else ""
    folded = {name.strip().casefold(): name for name in classes}
    close = next(((s.value, folded[c]) for s in strange if (c := str(s.value).strip().casefold()) in folded), None)
    hint = f" Did you mean {close[1]!r} for {close[0]!r}?" if close else ""
    return f"Label {_plain(name)!r} has {shown}{more}; the classes are: {', '.join(classes)}.{hint}"


@dataclass(frozen=True, slots=True)
class Found:
    """The classes of a label without declared classes.

    Attributes:
        names: in order: numbers by size, texts by alphabet, and no before yes.
        spellings: of each class that is written in several ways, these.
    """

    names: tuple[str, ...]
    spellings: dict[str, tuple[str, ...]]


def found_in(values: pd.Series[Any]) -> Found:
    """The distinct labels of a column, whatever they are; each is named by its most frequent spelling."""
    counts = values.dropna().value_counts()
    spelled: dict[Hashable, list[Any]] = {}
    rows: dict[Hashable, int] = {}
    for value, n in zip(counts.index.tolist(), counts.tolist(), strict=True):
        if (key := key_of(value)) is not None:
            spelled.setdefault(key, []).append(value)
            rows[key] = rows.get(key, 0) + int(n)
    truths = {key: truth_of(key) for key in spelled}
    if len(spelled) > 1 and None not in truths.values():  # every one is a word for no or yes
        pairs: dict[Hashable, list[Any]] = {}
        for key, written in sorted(spelled.items(), key=lambda item: -rows[item[0]]):
            pairs.setdefault(truths[key], []).extend(written)
        groups = [pairs[truth] for truth in (False, True) if truth in pairs]
    else:
        groups = [spelled[key] for key in sorted(spelled, key=_order)]
    names = tuple(_name(written[0]) for written in groups)
    several = {
        name: tuple(dict.fromkeys(repr(_plain(value)) for value in written))
        for name, written in zip(names, groups, strict=True)
        if len(written) > 1
    }
    return Found(names, several)


def same_but_for_capitals(names: Sequence[str]) -> tuple[str, str] | None:
    """The first two names that differ in upper and lower case only; None where no two do."""
    seen: dict[str, str] = {}
    for name in names:
        other = seen.setdefault(name.casefold(), name)
        if other != name:
            return other, name
    return None


def _order(key: Hashable) -> tuple[int, Any]:
    return (0, key) if isinstance(key, Decimal) else (1, str(key))


def _name(value: Any) -> str:
    key = key_of(value)
    if not isinstance(key, Decimal):
        return str(key)
    plain = key.normalize()
    return f"{plain:f}" if abs(plain.adjusted()) < 16 else str(plain)


def _plain(value: Any) -> Any:
    """The value without its library's type, for a message; a long text is cut."""
    if isinstance(value, str):
        return value if len(value) <= 40 else f"{value[:37]}..."
    return value.item() if hasattr(value, "item") else value
