"""The bases of what is told in one line: what a person has to mend, and what only takes time."""


class Refusal(Exception):
    """Something was asked for that must not be done, or was written wrongly. Trying again changes nothing.

    The message is one line: what, the value, what is allowed, and the way out. Dags and the command line show it as it
    is,
    without a stack trace.
    """


class NotYet(Exception):
    """Something is missing that somebody else is about to bring. A task is tried again, and tells it in one line."""


class BadField(Refusal, ValueError):
    """One field of a request is wrong: which, its value, and what is allowed."""

    def __init__(self, what: str, value: object, allowed: str) -> None:
        self.what, self.value, self.allowed = what, value, allowed
        shown = "missing" if value is None else repr(value if not isinstance(value, str) else value[:80])
        super().__init__(f"{what} is {shown}; {allowed.rstrip('.')}.")
