"""A sweep in words and tables, for the terminal and the page."""

from collections.abc import Mapping

from resjax.records import Condition, Sweep
from resjax.report.cautions import mixed_environments
from resjax.report.majority import majority_of_sweep
from resjax.report.tables import Table, in_columns
from resjax.report.words import DASH, SIDES, counted, plain_number, points, spread

MOST_LISTED = 200
"""Cells that are named, those that differ in the seed alone in one line; the rest is counted, and in `sweep.json`."""


def sweep_text(record: Sweep) -> str:
    """What was chosen for each network, what that comes to, the comparisons, and every cell that did not finish."""
    lines = ["", headline(record)]
    for condition in record.conditions:
        lines += ["", *([condition.label] if condition.label else [])]
        lines.append(in_columns(choice_table(record, condition), names=2 if record.tuned else 1))
        lines += [pair.sentence for pair in condition.comparisons]
    lines += ["", *filter(None, [majority_of_sweep(record.dataset)]), choice_caution(record)]
    lines += [f"{kind}: {text}" for kind, text in failures(record)]
    return "\n".join(lines)


def headline(record: Sweep) -> str:
    """How many cells are done, and how many of them diverged, failed or are pending."""
    counts = record.counts
    total = counts.done + counts.diverged + counts.failed + counts.pending
    others = {"diverged": counts.diverged, "failed": counts.failed, "pending": counts.pending}
    named = "".join(f", {count} {status}" for status, count in others.items() if count)
    return f"{counts.done} of {counted(total, 'cell')} done{named}"


def setting_words(choices: Mapping[str, object]) -> str:
    """`learning rate 0.001, weight decay 0`."""
    named = [f"{name.replace('_', ' ')} {value_words(value)}" for name, value in choices.items()]
    return ", ".join(named) or "as declared"


def value_words(value: object) -> str:
    """A value of a flag: `0.001`, `0`, `cosine`."""
    return plain_number(value) if isinstance(value, float) else str(value)


def choice_table(record: Sweep, condition: Condition) -> Table:
    """Each network at its own best setting, under one condition; where nothing was tuned, at the only one."""
    tested = record.reported_on == "test"
    reported = SIDES[record.reported_on]
    header = ["", *["best at"] * bool(record.tuned), "seeds", "validation", "training"]
    header += ["test"] if tested else []
    if record.tuned:
        header += [f"{reported}, chosen by the other seeds"]
        header += [] if tested else ["optimism of the choice"]
    rows = []
    for name, network in condition.networks.items():
        if network.chosen is None:
            rows.append([name, *["nothing finished"] * bool(record.tuned), *[DASH] * (len(header) - 1)][: len(header)])
            continue
        chosen = network.settings[network.chosen]
        done = sum(status == "done" for status in chosen.status.values())
        edge = " (edge)" if network.edges else ""
        row = [name, *[setting_words(network.choices) + edge] * bool(record.tuned), f"{done} of {len(chosen.status)}"]
        row += [spread(chosen.best_val_accuracy), spread(chosen.final_train_accuracy)]
        row += [spread(chosen.test_accuracy)] if tested else []
        if record.tuned:
            row += [spread(network.chosen_by_others)]
            row += [] if tested else [points(network.optimism_of_choice)]
        rows.append(row)
    return Table(header, rows)


def choice_caution(record: Sweep) -> str:
    """What choosing a setting does to the numbers, which choices lie at an edge of the grid, and mixed environments."""
    if not record.tuned:
        text = "Nothing was chosen: neither learning rate nor weight decay has several values."
    elif record.reported_on == "test":
        text = (
            "Each network has the setting with the best mean validation accuracy. The networks are compared on test "
            "images, which were not used for the choice. The seeds are the same for both, which leaves a little "
            "optimism; the column “chosen by the other seeds” is free of it."
        )
    else:
        text = (
            "There is no test set: setting and best epoch were chosen on the images that accuracies are reported on. "
            "Accuracies are therefore too high by about the “optimism of the choice”, and a difference by that of one "
            "network minus that of the other; p-values do not account for it. --test_fraction keeps a test set apart."
        )
    edges = sorted(
        {
            f"{name} ({', '.join(edge.replace('_', ' ') for edge in network.edges)})"
            for condition in record.conditions
            for name, network in condition.networks.items()
            if network.edges
        }
    )
    if edges:
        text += f" Best at an edge of the grid, so a better setting may lie outside: {'; '.join(edges)}."
    if mixed := mixed_environments(record):
        text += f" {mixed}"
    return text


def failures(record: Sweep) -> list[tuple[str, str]]:
    """Every cell that diverged, failed or is pending: status and words; pending ones are counted alone."""
    found = []
    for status in ("failed", "diverged"):
        seeds: dict[tuple[str, str, str | None], list[int]] = {}
        for cell in record.cells:
            if cell.status == status:
                seeds.setdefault((cell.architecture, cell.point, cell.reason), []).append(cell.seed)
        for (network, point, reason), of in [*seeds.items()][:MOST_LISTED]:
            word = "seed" if len(of) == 1 else "seeds"
            found.append((status, f"{network} {word} {', '.join(map(str, of))} at {point}: {reason}"))
        if len(seeds) > MOST_LISTED:
            found.append((status, f"and {len(seeds) - MOST_LISTED:,} more, all in sweep.json"))
    if record.counts.pending:
        found.append(("pending", counted(record.counts.pending, "cell")))
    return found
