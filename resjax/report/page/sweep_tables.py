"""A sweep's record as text for the terminal."""

from typing import Any

from resjax.report.page.sweep_words import choice_caveat, choice_rows, failures, headline


def sweep_text(record: dict[str, Any]) -> str:
    """What was chosen for each architecture, what that comes to, the comparisons, and every cell that did not end."""
    lines = ["", headline(record)]
    for condition in record["conditions"]:
        header, *rows = choice_rows(record, condition)
        widths = [max(map(len, column)) + 2 for column in zip(header, *rows, strict=True)]
        lines += ["", condition["label"]] if condition["label"] else [""]
        lines += [
            "".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in (header, *rows)
        ]
        lines += [pair["sentence"] for pair in condition["comparisons"]]
    lines += ["", choice_caveat(record)]
    lines += [f"{kind}: {text}" for kind, text in failures(record)]
    return "\n".join(lines)
