"""A sweep's record in words: the same on the terminal and on the page."""

from collections.abc import Mapping
from typing import Any

from resjax.report.page import words

Record = Mapping[str, Any]
SIDES = {"test": "test", "val": "validation"}
MOST_LISTED = 200
"""Cells that are named, those that differ in the seed alone in one line; the rest is counted, and in `sweep.json`."""


def headline(record: Record) -> str:
    """How many cells have ended, and how many of them not well."""
    counts = record["counts"]
    total = sum(counts.values())
    others = [f"{counts[status]} {status}" for status in ("diverged", "failed", "pending") if counts[status]]
    return f"{counts['done']} of {words.counted(total, 'cell')} done" + (f", {', '.join(others)}" if others else "")


def at(choices: Mapping[str, object]) -> str:
    """`learning rate 0.001, weight decay 0`."""
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in choices.items()) or "as declared"


def choice_rows(record: Record, condition: Record) -> list[list[str]]:
    """A table under one condition, with its header: each arm at its own best setting."""
    reported = SIDES[record["reported_on"]]
    header = ["", "best at", "seeds", "validation", "training"]
    header += ["test"] if reported == "test" else []
    header += [f"{reported}, chosen by the other seeds"]
    header += ["choice's optimism"] if reported != "test" else []
    rows = [header]
    for name, arm in condition["arms"].items():
        if arm["chosen"] is None:
            rows.append([name, "nothing finished", *[words.DASH] * (len(header) - 2)])
            continue
        chosen = arm["settings"][arm["chosen"]]
        done = sum(status == "done" for status in chosen["status"].values())
        row = [name, at(arm["choices"]) + (" (edge)" if arm["edges"] else ""), f"{done} of {len(chosen['status'])}"]
        row += [words.spread(chosen[key]) for key in ("best_val_accuracy", "final_train_accuracy")]
        row += [words.spread(chosen["test_accuracy"])] if reported == "test" else []
        row += [words.spread(arm["chosen_by_others"])]
        row += [words.points(arm["optimism_of_choice"])] if reported != "test" else []
        rows.append(row)
    return rows


def choice_caveat(record: Record) -> str:
    """What choosing does to the numbers, and which choices lie at an edge."""
    edge = sorted(
        {
            f"{arm} ({', '.join(part['edges'])})"
            for condition in record["conditions"]
            for arm, part in condition["arms"].items()
            if part["edges"]
        }
    )
    if not record["tuned"]:
        text = "Nothing was chosen: neither learning rate nor weight decay has several values."
    elif record["reported_on"] == "test":
        text = (
            "Each architecture has the setting with the best mean validation accuracy; the comparison is on test "
            "images, which had no say. The seeds are the same, so a little of their luck remains: “chosen by the "
            "other seeds” is without it."
        )
    else:
        text = (
            "There is no test set: setting, best epoch and the accuracy that is reported are of the same images, so "
            "accuracies are too high by about what “choice's optimism” says, and the difference by that of one arm "
            "less that of the other. The p values do not know of it. --test_fraction keeps images for the comparison."
        )
    if edge:
        text += f" Best at an edge of what was tried, so that the best may lie beyond: {'; '.join(edge)}."
    return text


def failures(record: Record) -> list[tuple[str, str]]:
    """Every cell that diverged, failed or is pending: status and words; pending ones are counted alone."""
    found = []
    for status in ("failed", "diverged"):
        seeds: dict[tuple[str, str, str], list[int]] = {}
        for cell in record["cells"]:
            if cell["status"] == status:
                seeds.setdefault((cell["architecture"], cell["point"], cell["reason"]), []).append(cell["seed"])
        for (arm, point, reason), of in [*seeds.items()][:MOST_LISTED]:
            word = "seed" if len(of) == 1 else "seeds"
            found.append((status, f"{arm} {word} {', '.join(map(str, of))} at {point}: {reason}"))
        if len(seeds) > MOST_LISTED:
            found.append((status, f"and {len(seeds) - MOST_LISTED:,} more, all in sweep.json"))
    if pending := record["counts"]["pending"]:
        found.append(("pending", words.counted(pending, "cell")))
    return found
