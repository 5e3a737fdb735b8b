"""A comparison's summary as text: for the terminal, and as the tables of README.md and BUILD_NOTES.md."""

COLUMNS = {
    "best_val_accuracy": "val, best epoch",
    "final_val_accuracy": "val, last epoch",
    "final_train_accuracy": "train, last epoch",
    "test_accuracy": "test, best epoch",
}


def comparison_text(summary: dict) -> str:
    """The arms side by side with what was not counted, their paired differences, and a warning where images leak."""
    header, *rows = _cells(summary)
    width = max(len(row[0]) for row in rows) + 2
    lines = ["", "accuracy in %, mean and standard deviation over seeds"]
    lines += [f"{row[0]:<{width}}{row[1]:>12}" + "".join(f"{cell:>20}" for cell in row[2:]) for row in (header, *rows)]
    for name, arm in summary["architectures"].items():
        troubled = [f"seed {seed} {status}" for seed, status in arm["status"].items() if status != "done"]
        lines += [f"not counted of {name}: {', '.join(troubled)}"] if troubled else []
    lines += differences(summary)
    if leaked := summary["dataset"]["leaked_images"]:
        lines.append(f"WARNING: {leaked} images have copies on another side of the split; accuracies are too high")
    return "\n".join(lines)


def ledger_line(name: str, arm: dict) -> str:
    """What an arm costs, in a line."""
    flops, by_xla = arm["forward_flops"] / 1e9, arm["forward_flops_xla"]
    counted = f" ({by_xla / 1e9:.3g} by XLA's count)" if by_xla is not None else ""
    return (
        f"{name}: {arm['parameters']:,} parameters; an image forward {flops:.3g} GFLOP{counted}, "
        f"{arm['activation_bytes'] / 1e6:.3g} MB of activations"
    )


def markdown_table(summary: dict) -> str:
    """The arms as a table in Markdown, with the paired differences below."""
    header, *rows = _cells(summary)
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n\n" + "\n".join(differences(summary))


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


def _cells(summary: dict) -> list[list[str]]:
    columns = [column for column in COLUMNS if any(column in arm for arm in summary["architectures"].values())]
    header = ["", "parameters", *(COLUMNS[column] for column in columns)]
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
    return f"{100 * fraction:+.1f}"
