"""Does the shortcut help on these images? Trains every arm over several seeds and writes down what came out.

  python -m experiments.compare --flagfile=experiments/flags/quickstart.flags
  python -m experiments.compare --dataset=folder:my_images --image_size=64 --width=16 --seeds=6 --workdir=runs/mine

All arms see the same images in the same order with the same recipe, and start from the same numbers where they share
parameters. Results lie in --workdir: report.html, summary.json, figures/, and a folder for each replica; timing.json
says where the time went. The same command skips the replicas that are finished and goes on with the others. It ends
with a sentence: which arm is better, by how much and within what interval, or that this is inconclusive and what would
settle it. --seeds=auto adds seeds until then.

With --folds=5, or several methods in --split, all of that happens once a split, each in a folder of its own in
--workdir, and splits.json and a figure show them side by side.

On several devices each trains a replica (--replicas_as), or some share every batch (--mesh). Several hosts run the same
command with --coordinator_address.
"""

import os
from collections.abc import Callable
from contextlib import redirect_stdout, suppress
from pathlib import Path

from experiments.data_options import define_source_flags, define_split_flags
from experiments.options import Settings, define_training_flags, main_program, settings
from experiments.probe_options import ProbeSettings, define_probe_flags, probe_settings
from experiments.process_flags import define_process_flags, take_part
from experiments.progress import duration
from experiments.stopping import Stopped
from experiments.timing import phase, timed
from experiments.workdir_lock import only_writer
from resjax.data.catalogue import Catalogue
from resjax.data.fractions import take_train_fraction
from resjax.data.split_record import read_split
from resjax.data.splits import Split, make_folds, make_split
from resjax.report.records import write_json
from resjax.types import BadInput, Dataset


def compare(
    settings: Settings, probes: ProbeSettings | None = None, check: Callable[[Catalogue], None] | None = None
) -> dict:
    """Runs what is pending of a comparison and returns its record, which is also in the workdir.

    That is the summary, or with several splits the record of `splits.json`. `check` may refuse the images by raising
    `BadInput`, before they are decoded.

    Raises:
      BadInput: before anything is written, where data, split and recipe do not fit each other or the workdir's; and at
        the end, where the device's memory did not do for an arm: the others are finished.
    """
    from resjax.training.processes import announcing_end

    with announcing_end():
        require_writable(settings.workdir)
        with only_writer(settings.workdir):
            with timed() as timeline:
                record, written = _compare(settings, probes, check)
            timing = timeline.record()
            write_json(settings.workdir / "timing.json", timing)
    print(f"\n{written} are in {settings.workdir} ({duration(timing['seconds'])} in all)")
    problems = [arm["problem"] for part in record.get("splits", {"": record}).values() for arm in _arms(part)]
    if problems:
        raise BadInput("; ".join(dict.fromkeys(problems)))
    return record


def _arms(part: dict) -> list[dict]:
    """The arms of a comparison that something ended before all their replicas were finished."""
    return [arm for arm in part["architectures"].values() if "problem" in arm]


def _compare(
    settings: Settings, probes: ProbeSettings | None, check: Callable[[Catalogue], None] | None
) -> tuple[dict, str]:
    """The record, and the names of the files that hold it."""
    # They import jax, which --help does without.
    from experiments.comparison import Run
    from experiments.load_data import load_dataset
    from experiments.several_splits import compare_splits

    with phase("reading"):
        _, dataset = load_dataset(settings.source, settings.image_size, check)
        splits = load_splits(settings, dataset)
    if len(splits) > 1:
        if probes:
            raise BadInput(
                "--probes with several splits or folds: experiments.probe on one of their folders is accepted"
            )
        if settings.looks:
            raise BadInput("--seeds=auto with several splits or folds: a number of seeds such as 6 is accepted")
        return compare_splits(settings, dataset, splits), "splits.json, figures and a folder for each split"
    (split,) = splits.values()
    run = Run(settings, dataset, split)
    run.require_same_recipe()
    run.write_preamble()
    return run.complete(probes), "summary.json, report.html and figures"


def help_compare(settings: Settings) -> bool:
    """What every process but the first does of a comparison: it computes its part, and writes nothing.

    Where it is asked to stop, it asks the first to, after the epoch. False where the comparison ended early.
    """
    from experiments.comparison import Run
    from experiments.load_data import load_dataset
    from experiments.replica import follow
    from experiments.several_splits import settings_on

    with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere):
        _, dataset = load_dataset(settings.source, settings.image_size)
        splits = load_splits(settings, dataset)
        own = {
            name: settings_on(settings, name, split) if len(splits) > 1 else settings for name, split in splits.items()
        }
        runs = [Run(own[name], dataset, split) for name, split in splits.items()]
        programs = {programs.label: programs for run in runs for programs in run.programs.values()}
        # What stopped it has been said by the first process.
        with suppress(Stopped), settings.stopping.waiting():
            return follow(programs, lambda: settings.stopping.signalled)
    return False


def main() -> None:
    asked, probes = settings("compare"), probe_settings()
    take_part(asked.stopping, lambda: compare(asked, probes), lambda: help_compare(asked))


def load_splits(settings: Settings, dataset: Dataset) -> dict[str, Split]:
    """The splits of the flags, by the names that their folders get where there are several."""
    asked = settings.split
    return {
        name: take_train_fraction(dataset, split, asked.train_fraction, seed=asked.seed)
        for name, split in whole_splits(settings, dataset).items()
    }


def whole_splits(settings: Settings, dataset: Dataset) -> dict[str, Split]:
    """The same with all their training images."""
    asked = settings.split
    if asked.file:
        split = read_split(asked.file, dataset)
        return {split.method: split}
    if dataset.sides and asked.methods and "given" not in asked.methods:
        print(f"{dataset.name} comes with a split of its own, which --split={','.join(asked.methods)} leaves aside")
    divide = {"seed": asked.seed, "test_fraction": asked.test_fraction}
    if asked.folds:
        folds = make_folds(dataset, asked.folds, method=next(iter(asked.methods), None), **divide)
        return {f"fold{number}": split for number, split in enumerate(folds, start=1)}
    divide["val_fraction"] = asked.val_fraction
    splits = [make_split(dataset, method=method, **divide) for method in asked.methods or (None,)]
    return {split.method: split for split in splits}


def require_writable(workdir: Path, flag: str = "--workdir") -> None:
    """Raises `BadInput` where the folder that `flag` names could not be made, without making it."""
    if "\0" in str(workdir):
        raise BadInput(f"{flag}={str(workdir)!r}: a folder's name without a zero byte is accepted")
    there = workdir.absolute()
    while not there.exists():
        there = there.parent
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        raise BadInput(f"{flag}={workdir}: {there} is no folder that can be written; name another")


if __name__ == "__main__":
    main_program(
        main,
        *(define_source_flags, define_split_flags, define_training_flags, define_probe_flags, define_process_flags),
    )
