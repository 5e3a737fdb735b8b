"""The tables of the page of benchmarks, from the rows of its records."""

from collections.abc import Iterable

from resjax.report.tables import Table, markdown

from .rows import ConvolutionRow, TrainStepRow, spread


def train_step_markdown(rows: Iterable[TrainStepRow]) -> str:
    """Images per second next to PyTorch's faster mode, median and range, and peak memory."""
    heads = ["network, width", "px, batch", "ours", "torch", "ours / torch", "memory, ours / torch"]
    return markdown(Table([*heads, "load of others (cores)"], [_train_step(row) for row in rows]))


def _train_step(row: TrainStepRow) -> list[str]:
    assert row.torch_mode is not None and row.ratio is not None
    memory = row.peak_bytes["ours"] / row.peak_bytes[row.torch_mode]
    return [
        f"{row.architecture}, {row.width}",
        f"{row.image_size}, {row.batch_size}",
        spread(row.samples["ours"]),
        f"{spread(row.samples[row.torch_mode])}, {row.torch_mode}",
        f"{row.ratio:.2f}",
        f"{memory:.2f}",
        f"{row.other_programs_cores:.2f}" if isinstance(row.other_programs_cores, float) else "unknown",
    ]


def convolution_markdown(rows: Iterable[ConvolutionRow]) -> str:
    """Milliseconds of a layer's forward pass and both gradients."""
    return markdown(Table(["layer", "images", "kernel", "ours", "XLA", "torch", "torch / ours"], [*map(_layer, rows)]))


def _layer(row: ConvolutionRow) -> list[str]:
    torch = min((value, mode) for mode, value in row.milliseconds.items() if mode not in ("ours", "xla"))
    return [
        row.layer,
        "x".join(map(str, row.images)),
        "x".join(map(str, row.kernel)),
        f"{row.milliseconds['ours']:.2f}",
        f"{row.milliseconds['xla']:.2f}",
        f"{torch[0]:.2f}, {torch[1]}",
        f"{row.torch_over_ours:.2f}" if row.torch_over_ours else "",
    ]
