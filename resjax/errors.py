"""What can be wrong with what a user gives, and with records on disk; each text is one line for the user."""

import difflib
from collections.abc import Iterable

__all__ = ["BadInput", "DamagedRecord", "RecordError", "closest"]


class BadInput(ValueError):
    """A `ValueError`: what the user gave cannot be used.

    The text is one line that names the value and what is expected; the command line prints it and exits with status 2.

    >>> from resjax import BadInput, architecture
    >>> try:
    ...     architecture("resnet34", width=0)
    ... except BadInput as error:
    ...     print(error)
    --width=0: expected a number of channels, 1 or more
    """


class RecordError(ValueError):
    """A record that cannot be read; the text names the file and the way out.

    >>> import tempfile
    >>> from pathlib import Path
    >>> from resjax import RecordError
    >>> from resjax.records import Summary, read_record, write_text
    >>> path = Path(tempfile.mkdtemp()) / "summary.json"
    >>> write_text(path, "{}")
    >>> try:
    ...     read_record(path, Summary)
    ... except RecordError as error:
    ...     print("summary.json" in str(error))
    True
    """


class DamagedRecord(RecordError):
    """A record that is not what was written: cut short, or changed.

    >>> import tempfile
    >>> from pathlib import Path
    >>> from resjax import DamagedRecord
    >>> from resjax.records import Gallery, read_record, write_record
    >>> path = Path(tempfile.mkdtemp()) / "gallery.json"
    >>> write_record(path, Gallery(thumbnails={}))
    >>> _ = path.write_text(path.read_text().replace("{}", '{"a": "b"}'))
    >>> try:
    ...     read_record(path, Gallery)
    ... except DamagedRecord as error:
    ...     print("gallery.json" in str(error))
    True
    """


def closest(given: str, choices: Iterable[str], most: int = 1) -> list[str]:
    """The choices, `most` or fewer, that are spelt most like what was given, whatever its case; for error texts.

    >>> closest("AdamW", ["adam", "adamw", "sgd"])
    ['adamw']
    """
    by_lower = {choice.lower(): choice for choice in choices}
    return [by_lower[near] for near in difflib.get_close_matches(given.lower(), by_lower, n=most)]
