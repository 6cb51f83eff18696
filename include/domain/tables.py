"""A gate's result as text: the last lines of a task's log, and the body of a form."""

from __future__ import annotations

from collections.abc import Sequence

from include.domain.verdicts import CriterionResult, GateResult, Mode
from include.domain.wording import bounds_in_words

WIDTH = 120
_HEAD = ("criterion", "measured", "allowed", "rows", "champion", "verdict")
_WIDEST = (30, 10, 36, 11, 10, 12)
_RIGHT = (False, True, False, True, True, False)


def as_table(result: GateResult) -> str:
    """The result as fixed-width text, at most 120 columns, ending in the verdict and its reason on one line.

    Below a criterion are its interval (positive: the candidate is worse) and the naive baseline, where there are any.

    >>> from include.domain.verdicts import Direction, against_bound
    >>> auc = against_bound("roc_auc", 0.71, Direction.AT_LEAST, 0.65, rows=9000, champion=0.7)
    >>> print(as_table(GateResult("threshold_gate", Mode.BLOCKING, (auc,))))
    criterion  measured  allowed   rows  champion  verdict
    ---------  --------  -------  -----  --------  -------
    roc_auc      0.7100  >= 0.65  9,000    0.7000  PASS
    data verdict: PASS (threshold_gate, blocking) because roc_auc 0.71 is within its bound >= 0.65 on 9,000 rows.
    """
    rows = [_cells(c) for c in result.criteria]
    widths = [min(most, max(len(r[i]) for r in [_HEAD, *rows])) for i, most in enumerate(_WIDEST)]
    lines = [_line(_HEAD, widths), _line(["-" * w for w in widths], widths)]
    for criterion, cells in zip(result.criteria, rows, strict=True):
        lines.append(_line([_cut(cell, w) for cell, w in zip(cells, widths, strict=True)], widths))
        lines += [f"  {line}" for line in _extra(criterion)]
    return "\n".join([*lines, _verdict(result)])


def as_markdown(result: GateResult) -> str:
    """The result as a markdown table, every criterion's reason below it, the verdict first."""
    lines = [
        f"**{_escaped(_verdict(result))}**",
        "",
        _piped(_HEAD),
        _piped(["---", "---:", "---", "---:", "---:", "---"]),
    ]
    lines += [_piped([_escaped(cell) for cell in _cells(c)]) for c in result.criteria]
    lines.append("")
    for criterion in result.criteria:
        extra = " ".join(f"({line})" for line in _extra(criterion))
        lines.append(f"- {_escaped(criterion.reason)} {_escaped(extra)}".rstrip())
    return "\n".join(lines)


def number(value: float | None) -> str:
    """A value for a table: four digits behind the point where that shows anything, ``-`` where there is none.

    >>> [number(v) for v in (0.71234, 12345.6, 0.00001234, 3.0, None)]
    ['0.7123', '12,346', '1.234e-05', '3', '-']
    """
    if value is None:
        return "-"
    size = abs(value)
    if size >= 1e9:
        return f"{value:.4g}"
    if value == int(value):
        return f"{int(value):,}"
    if size >= 1000:
        return f"{value:,.0f}"
    return f"{value:.4f}" if size >= 0.001 else f"{value:.4g}"


def _cells(c: CriterionResult) -> list[str]:
    return [
        _plain(c.criterion),
        number(c.measured),
        _plain(c.allowed),
        f"{c.rows:,}",
        number(c.champion),
        c.verdict.value,
    ]


def _extra(c: CriterionResult) -> list[str]:
    lines = []
    if c.low is not None and c.high is not None:
        lines.append(bounds_in_words(c.low, c.high))
    if c.baseline is not None:
        lines.append(f"naive baseline {number(c.baseline)}")
    return lines


def _verdict(result: GateResult) -> str:
    kind = "blocking" if result.mode is Mode.BLOCKING else "advisory"
    return f"data verdict: {result.verdict.value} ({result.gate}, {kind}) because {_plain(result.reason)}"


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = [cell.rjust(w) if right else cell.ljust(w) for cell, w, right in zip(cells, widths, _RIGHT, strict=True)]
    return "  ".join(padded).rstrip()


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


def _plain(text: str) -> str:
    """One line without control characters, so that a name from outside cannot forge a row or a verdict."""
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())


def _piped(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _escaped(text: str) -> str:
    plain = _plain(text)
    for char in "\\|<>*_`[]":
        plain = plain.replace(char, f"\\{char}")
    return plain
