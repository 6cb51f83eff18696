"""The one base of everything a person, not a machine, has to mend."""


class Refusal(Exception):
    """Something was asked for that must not be done, or was written wrongly. Trying again changes nothing.

    The message is one line: what, the value, what is allowed, and the way out. Dags and the command line show it as it
    is,
    without a stack trace.
    """
