"""The text of a csv in the encodings that spreadsheets write."""

import codecs
from pathlib import Path

from resjax.errors import BadInput

BYTE_ORDER_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    # Before UTF-16, whose mark is the beginning of this one.
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
ZIP = b"PK\x03\x04"


def read_text(spec: str, path: Path) -> tuple[str, list[str]]:
    """The text of a file with its line ends, and a line for the user if the encoding had to be guessed.

    The encoding is UTF-8, what a byte order mark says, or else Windows-1252, in which spreadsheets of Western languages
    write (it holds all letters of Latin-1).

    Args:
      spec: the `--dataset` value, for error texts.

    Raises:
      BadInput: if the file cannot be read or is not text.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BadInput(f"dataset {spec!r}: cannot be read ({error.strerror}); expected a csv") from error
    if data.startswith(ZIP):
        raise BadInput(f"dataset {spec!r}: a zip archive or an Excel workbook; expected a csv, as Excel exports it")
    encoding = next((name for mark, name in BYTE_ORDER_MARKS.items() if data.startswith(mark)), "utf-8")
    notes = []
    try:
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            if encoding != "utf-8":
                raise
            text = data.decode("cp1252")
            line = next(line for line in text.splitlines() if not line.isascii())
            notes = [f"{path.name} is not UTF-8 and is read as Windows-1252, such as {line[:80]!r}"]
    except UnicodeDecodeError:
        raise BadInput(f"dataset {spec!r}: not text in {encoding.upper()}; expected a csv in UTF-8") from None
    if "\0" in text:
        raise BadInput(f"dataset {spec!r}: holds NUL characters, so it is no text in UTF-8; expected a csv in UTF-8")
    return text, notes
