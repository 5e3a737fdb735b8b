"""What can be wrong with what a user gives, and with records on disk; each text is one line for the user."""

import difflib
from collections.abc import Iterable


class BadInput(ValueError):
    """What the user gave cannot be used.

    The text is one line that names the value and what is expected; the command line prints it and exits with status 2.

    >>> from resjax import BadInput, architecture
    >>> try:
    ...     architecture("resnet34", width=0)
    ... except BadInput as error:
    ...     print(error)
    --width=0: expected a number of channels, 1 or more
    """


class RecordError(ValueError):
    """A record that cannot be read; the text names the file and the way out."""


class DamagedRecord(RecordError):
    """A record that is not what was written: cut short, or changed."""


def closest(given: str, choices: Iterable[str], most: int = 1) -> list[str]:
    """The choices, `most` or fewer, that are spelt most like what was given, whatever its case; for error texts.

    >>> closest("AdamW", ["adam", "adamw", "sgd"])
    ['adamw']
    """
    by_lower = {choice.lower(): choice for choice in choices}
    return [by_lower[near] for near in difflib.get_close_matches(given.lower(), by_lower, n=most)]
