"""The bases of what is reported in one line: what a person has to fix, and what only takes time.

Each class knows the exit code the command line ends with (``exit_code``); one that has none is broken machinery.

    Refusal            64   asked for wrongly, or must not be done; trying again changes nothing
      BadField         64   one field of a request
    NotYet             70   another process is about to bring it; a task is tried again Unavailable        69   a
    service does not answer, or cannot be started here now NotDone            70   the machinery did not do what it was
    asked, and says so in one sentence
"""

from typing import ClassVar


class Refusal(Exception):
    """Something was asked for that must not be done, or was written wrongly. Trying again changes nothing.

    The message is one line: what, the value, what is allowed, and the way out. Dags and the command line show it as it
    is, without a stack trace.
    """

    exit_code: ClassVar[int] = 64


class NotYet(Exception):
    """Something is missing that another process is about to bring. A task is tried again, and says so in one line."""


class BadField(Refusal, ValueError):
    """One field of a request is wrong: which, its value, and what is allowed."""

    def __init__(self, what: str, value: object, allowed: str) -> None:
        self.what, self.value, self.allowed = what, value, allowed
        shown = "missing" if value is None else repr(value if not isinstance(value, str) else value[:80])
        super().__init__(f"{what} is {shown}; {allowed.rstrip('.')}.")


class Unavailable(RuntimeError):
    """A service does not answer, or another process has what it needs. The message is one line with the way out."""

    exit_code: ClassVar[int] = 69


class NotDone(RuntimeError):
    """The machinery did not do what it was asked, and can say why in one line."""

    exit_code: ClassVar[int] = 70
