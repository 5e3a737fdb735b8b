"""Does the shortcut help on these images? Trains every arm over several seeds and writes down what came out.

  python -m experiments.compare --flagfile=experiments/flags/quickstart.flags
  python -m experiments.compare --dataset=folder:my_images --image_size=64 --width=16 --seeds=6 --workdir=runs/mine

All arms see the same images in the same order with the same recipe, and start from the same numbers where they share
parameters. Results lie in --workdir: summary.json, figures/, and a folder for each replica. The same command skips the
replicas that are finished and goes on with the others.
"""

import os
import time
from collections import Counter
from pathlib import Path

from experiments.comparison import Run
from experiments.options import Settings, define_data_flags, define_training_flags, main_program, settings
from experiments.progress import duration
from experiments.tables import comparison_text
from resjax.data.decoding import decode
from resjax.data.sources import open_catalogue
from resjax.data.splits import Split, make_split, split_from_record
from resjax.report.figures import draw_figures
from resjax.report.records import read_json
from resjax.types import BadInput, Dataset


def compare(settings: Settings) -> dict:
    """Runs what is pending of a comparison and returns its summary record, which is also in the workdir.

    Raises:
      BadInput: before anything is written, where data, split and recipe do not fit each other or the workdir's.
    """
    started = time.perf_counter()
    _require_writable(settings.workdir)
    dataset = load_dataset(settings)
    split = load_split(settings, dataset)
    run = Run(settings, dataset, split)
    run.require_same_recipe()
    run.write_preamble()
    run.announce()
    run.train()
    summary = run.write_summary()
    figures = draw_figures(settings.workdir)
    print(comparison_text(summary))
    print(
        f"\n{len(figures)} figures and summary.json are in {settings.workdir} "
        f"({duration(time.perf_counter() - started)} in all)"
    )
    return summary


def load_dataset(settings: Settings) -> Dataset:
    """The decoded images, and a line for the reader about what was left out and why."""
    data = settings.data
    catalogue = open_catalogue(data.dataset, image_dir=data.image_dir, image_size=data.image_size)
    dataset = decode(catalogue, data.image_size, cache_dir=data.cache_dir, progress=True)
    reasons = Counter(exclusion.reason for exclusion in dataset.exclusions)
    counted = ", ".join(f"{reason} {count}" for reason, count in reasons.items())
    left_out = f"; left out {reasons.total()}: {counted}" if reasons else ""
    print(
        f"{dataset.name}: {len(dataset.ids):,} images of {len(dataset.classes)} classes, "
        f"{len(set(dataset.contents)):,} distinct{left_out}"
    )
    return dataset


def load_split(settings: Settings, dataset: Dataset) -> Split:
    """The split of the flags, or the one that `--split_file` gives back."""
    data = settings.data
    if data.split_file:
        if not data.split_file.is_file():
            raise BadInput(f"--split_file={data.split_file}: no such file; a split.json of an earlier run is accepted")
        return split_from_record(read_json(data.split_file), dataset)
    return make_split(
        dataset,
        method=data.split,
        seed=data.split_seed,
        val_fraction=data.val_fraction,
        test_fraction=data.test_fraction,
    )


def _require_writable(workdir: Path) -> None:
    """Raises `BadInput` where `workdir` could not be made, without making it."""
    there = workdir.absolute()
    while not there.exists():
        there = there.parent
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        raise BadInput(f"--workdir={workdir}: {there} is no folder that can be written; name another")


if __name__ == "__main__":
    main_program(lambda: compare(settings("compare")), define_data_flags, define_training_flags)
