"""Messages about a file that cannot be used: one line with the file, the column, what it holds and what is allowed."""

from __future__ import annotations

from pathlib import Path

from include.domain.errors import Refusal


class BadTable(Refusal, ValueError):
    """A file that cannot be used the way it was asked for; the message says what is wrong and what is allowed."""


class readable:
    """Turns what pyarrow and pandas raise for a file that is not what its name says into one line."""

    def __init__(self, path: Path, kind: str) -> None:
        self.path, self.kind = path, kind

    def __enter__(self) -> None:
        return None

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if isinstance(error, (OSError, ValueError)) and not isinstance(error, Refusal):
            text = (str(error) or type(error).__name__).splitlines()[0]
            raise BadTable(f"{self.path} cannot be read as {self.kind}: {text}") from None
