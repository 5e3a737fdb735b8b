"""A whole comparison, from settings to the report: the engine behind every door."""

import os
from collections.abc import Callable
from contextlib import redirect_stdout, suppress

from resjax.data.sources.catalogue import Catalogue
from resjax.report.records import write_json
from resjax.run.comparison import Run
from resjax.run.load_data import load_dataset, load_splits
from resjax.run.progress import duration
from resjax.run.replica import follow
from resjax.run.settings import ProbeSettings, Settings
from resjax.run.several_splits import compare_splits, settings_on
from resjax.run.stopping import Stopped
from resjax.run.timing import phase, timed
from resjax.run.workdir_lock import only_writer, require_writable
from resjax.training.processes import announcing_end
from resjax.types import BadInput


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
