"""What can be wrong with a source: one class for each cause, one line for each message."""

from __future__ import annotations

from sqlalchemy import URL

from include.config.problems import did_you_mean
from include.domain.errors import Refusal


class SourceUnreachable(ConnectionError):
    """The source did not answer, or broke off, in every attempt."""

    def __init__(self, url: URL, attempts: int, reason: str) -> None:
        self.reason = reason
        super().__init__(
            f"The source {_shown(url)} could not be read in {attempts} attempt(s): {reason}. Nothing was kept. "
            "Check that it runs and that SLIPWAY_SOURCE_URL is right, then clear the task."
        )


class SourceRefused(Refusal, PermissionError):
    """The source answered, and refused the query."""

    def __init__(self, url: URL, name: str, reason: str) -> None:
        super().__init__(
            f"The source {_shown(url)} refused to give table {name!r}: {reason}. "
            "Ask its owner for the right to read it."
        )


class TableVanished(Refusal, LookupError):
    """A declared table is not in the source."""

    def __init__(self, url: URL, name: str, has: list[str]) -> None:
        self.has = has
        super().__init__(
            f"The source {_shown(url)} has no table {name!r}; it has: {', '.join(has) or 'no tables'}. "
            "Restore it, or change the declaration that reads it." + did_you_mean(name, has)
        )


class ColumnVanished(Refusal, LookupError):
    """A declared column is not in its table."""

    def __init__(self, name: str, missing: str, has: list[str]) -> None:
        self.column, self.has = missing, has
        super().__init__(
            f"The source's table {name!r} has no column {missing!r}; it has: {', '.join(has)}. "
            "Restore it, or raise the view's version with SQL that does without." + did_you_mean(missing, has)
        )


class ColumnUnreadable(Refusal, TypeError):
    """A column's type, or a value in it, cannot be carried over without loss."""

    def __init__(self, name: str, which: str, reason: str, what: str | None = None) -> None:
        asked = f"{what}: the" if what else "The"
        self.column, self.reason = which, reason
        super().__init__(f"{asked} source's column {name}.{which} cannot be read: {reason}.")


def _shown(url: URL) -> str:
    return url.render_as_string(hide_password=True)
