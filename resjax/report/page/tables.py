"""A comparison's summary as text: for the terminal, and as the tables of README.md and BUILD_NOTES.md."""

from collections.abc import Iterable

from resjax.report.figures.run import data_note, leak_warning, split_of

COLUMNS = {
    "best_val_accuracy": "val, best epoch",
    "final_val_accuracy": "val, last epoch",
    "last_three_val_accuracy": "val, last three",
    "final_train_accuracy": "train, last epoch",
    "test_accuracy": "test, best epoch",
    "final_test_accuracy": "test, last epoch",
    "leaked_accuracy": "leaked images",
    "clean_accuracy": "clean images",
}
"""Accuracies with their headings; leaked and clean are the parts of test where there is one, else of val."""


def comparison_text(summary: dict) -> str:
    """The arms side by side with what was not counted, their paired differences, and a warning where images leak."""
    header, *rows = _cells(summary)
    width = max(len(row[0]) for row in rows) + 2
    lines = ["", "accuracy in %, mean and standard deviation over seeds"]
    lines += [f"{row[0]:<{width}}{row[1]:>12}" + "".join(f"{cell:>20}" for cell in row[2:]) for row in (header, *rows)]
    for name, arm in summary["architectures"].items():
        troubled = [f"seed {seed} {status}" for seed, status in arm["status"].items() if status != "done"]
        lines += [f"not counted of {name}: {', '.join(troubled)}"] if troubled else []
    lines += optimism(summary)
    lines += differences(summary)
    lines += sentences(summary)
    for family in summary.get("depth") or []:
        lines += depth_lines(family)
    lines += filter(None, (data_note(summary["dataset"]["name"]), leak_warning(split_of(summary["dataset"]))))
    return "\n".join(lines)


def diagnosis_text(summary: dict) -> str:
    """What the diagnosis found, a line for each sentence, after an empty one; empty where it found nothing."""
    lines = [f"{finding['kind']}: {finding['sentence']}\n" for finding in summary["diagnosis"]]
    return "".join(["\n", *lines]) if lines else ""


def ledger_line(name: str, arm: dict) -> str:
    """What an arm costs, in a line."""
    flops, by_xla = arm["forward_flops"] / 1e9, arm["forward_flops_xla"]
    counted = f" ({by_xla / 1e9:.3g} by XLA's count)" if by_xla is not None else ""
    return (
        f"{name}: {arm['parameters']:,} parameters; an image forward {flops:.3g} GFLOP{counted}, "
        f"{arm['activation_bytes'] / 1e6:.3g} MB of activations"
    )


def splits_text(record: dict) -> str:
    """The splits of `splits.json` side by side with their paired differences, and a warning for each that leaks."""
    header, *rows = _split_cells(record)
    widths = [max(len(row[place]) for row in rows) + 2 for place in (0, 1)]
    lines = ["", "split by split: accuracy in %, mean and standard deviation over seeds"]
    for row in (header, *rows):
        lines.append("".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=False)))
        lines[-1] += "".join(f"{cell:>20}" for cell in row[2:])
    for name, part in _parts(record).items():
        lines += [f"{name}: {line}" for line in differences(part)]
    lines += filter(None, (data_note(record["dataset"]["name"]), *map(leak_warning, record["splits"].values())))
    return "\n".join(lines)


def splits_markdown(record: dict) -> str:
    """The splits of `splits.json` as a table in Markdown, with the paired differences below."""
    header, *rows = _split_cells(record)
    below = [f"* {name}: {line}" for name, part in _parts(record).items() for line in differences(part)]
    return _markdown([header, ["---"] * len(header), *rows]) + "\n\n" + "\n".join(below)


def markdown_table(summary: dict) -> str:
    """The arms as a table in Markdown, with the paired differences below."""
    header, *rows = _cells(summary)
    lines = [header, ["---"] * len(header), *rows]
    return _markdown(lines) + "\n\n" + "\n".join(differences(summary))


def differences(summary: dict) -> list[str]:
    """A sentence for each pair of arms: the mean paired difference in percentage points, its spread, every seed's."""
    lines = []
    for pair in summary["comparisons"]:
        if pair["mean"] is not None:
            spread = f", standard deviation {100 * pair['sd']:.1f}" if pair["sd"] is not None else ""
            by_seed = " ".join(_points(value) for value in pair["differences"])
            lines.append(
                f"{pair['candidate']} minus {pair['baseline']}, {COLUMNS[pair['metric']]}: {_points(pair['mean'])} "
                f"points on average{spread}; by seed {by_seed}"
            )
    return lines


def optimism(summary: dict) -> list[str]:
    """How much of each arm's accuracy at the best epoch is owed to choosing it, where that is known."""
    known = {
        name: arm["best_optimism"]["mean"]
        for name, arm in summary["architectures"].items()
        if arm.get("best_optimism") and arm["best_optimism"]["mean"] is not None
    }
    listed = ", ".join(f"{name} {100 * mean:.1f} points" for name, mean in known.items())
    return [f"of the best epoch's accuracy on val, choosing it there gave about: {listed}"] if known else []


def sentences(summary: dict) -> list[str]:
    """The verdict on each pair of arms, where there is one."""
    return [pair["sentence"] for pair in summary["comparisons"] if "sentence" in pair and pair["mean"] is not None]


def plan(summary: dict) -> list[str]:
    """What more seeds would show, a line for each pair of arms of which enough is known."""
    lines = []
    for pair in summary["comparisons"]:
        detectable = {count: value for count, value in pair["detectable"].items() if value is not None}
        if not detectable:
            continue
        listed = ", ".join(f"{100 * value:.1f} points with {count}" for count, value in detectable.items())
        settled = pair["seeds_to_settle"]
        wanted = f"about {settled} seeds would settle it" if settled else "no number of seeds up to 200 would settle it"
        lines.append(
            f"{pair['candidate']} minus {pair['baseline']} after {len(pair['seeds'])} seeds: {_points(pair['mean'])} "
            f"points; {wanted}. Smallest true differences that these images show in 80 % of the cases: {listed} seeds"
        )
    return lines


def depth_lines(family: dict) -> list[str]:
    """The differences of twins at each depth with their intervals, and the slopes, as a table."""
    if not family["seeds"]:
        return []
    scales = {"train_accuracy": 100, "train_loss": 1, "val_accuracy": 100, "gap": 100}
    header = ["", "train, points", "train loss, nats", "val, points", "train less val, points"]
    parts = family["measures"]
    rows = [
        [f"{twins['candidate']} minus {twins['baseline']}"]
        + [_with_interval(parts[name]["by_depth"][place], scale) for name, scale in scales.items()]
        for place, twins in enumerate(family["twins"])
    ]
    rows.append(["per ten layers", *(_with_interval(parts[name]["slope"], scale) for name, scale in scales.items())])
    widths = [max(len(row[place]) for row in (header, *rows)) for place in range(len(header))]
    table = [
        "  ".join(
            [f"{row[0]:<{widths[0]}}", *(f"{cell:>{width}}" for cell, width in zip(row[1:], widths[1:], strict=True))]
        )
        for row in (header, *rows)
    ]
    return ["", f"by depth, after the last epoch, 95 % interval over {len(family['seeds'])} seeds", *table]


def _with_interval(described: dict, scale: float) -> str:
    interval = described["ci95"]
    spread = f" ({scale * interval[0]:+.2f} to {scale * interval[1]:+.2f})" if interval else ""
    return f"{scale * described['mean']:+.2f}{spread}"


def _parts(record: dict) -> dict[str, dict]:
    """What `splits.json` says of each split, and of all folds together."""
    pooled = record["cross_validated"]
    return record["splits"] | ({"all folds": pooled} if pooled else {})


def _split_cells(record: dict) -> list[list[str]]:
    parts = _parts(record)
    columns = _columns(arm for part in parts.values() for arm in part["architectures"].values())
    header = ["split", "", *_headings(columns)]
    return [header] + [
        [name, arm, *(_accuracy(values.get(column)) for column in columns)]
        for name, part in parts.items()
        for arm, values in part["architectures"].items()
    ]


def _columns(arms: Iterable[dict]) -> list[str]:
    found = {column for arm in arms for column in arm}
    return [column for column in COLUMNS if column in found]


def _headings(columns: list[str]) -> list[str]:
    side = "test" if "test_accuracy" in columns else "val"
    parts = {column: f"{side}, {COLUMNS[column]}" for column in ("leaked_accuracy", "clean_accuracy")}
    return [parts.get(column, COLUMNS[column]) for column in columns]


def _markdown(lines: list[list[str]]) -> str:
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _cells(summary: dict) -> list[list[str]]:
    columns = _columns(summary["architectures"].values())
    header = ["", "parameters", *_headings(columns)]
    return [header] + [
        [name, f"{arm['parameters']:,}", *(_accuracy(arm.get(column)) for column in columns)]
        for name, arm in summary["architectures"].items()
    ]


def _accuracy(described: dict | None) -> str:
    if not described or described["mean"] is None:
        return "-"
    spread = f" ± {100 * described['sd']:.1f}" if described["sd"] is not None else ""
    return f"{100 * described['mean']:.1f}{spread}"


def _points(fraction: float) -> str:
    # Adding zero takes the sign from a zero.
    return f"{round(100 * fraction, 1) + 0.0:+.1f}"
