"""A whole comparison, from settings to the report, on one split or on several side by side."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout, suppress
from dataclasses import replace

from msgspec import UNSET

from resjax.data.dataset import Dataset
from resjax.data.sources.catalogue import Catalogue
from resjax.data.splits import Split
from resjax.errors import BadInput, RecordError
from resjax.evaluation.comparison.designs.cross_validation import cross_validate
from resjax.models.own_network import architectures_among
from resjax.records import (
    NUMERICS_VERSION,
    NetworkOnSplit,
    Splits,
    SplitsDataset,
    SplitSummary,
    Summary,
    read_record,
    write_record,
)
from resjax.report.comparison_text import comparison_text, diagnosis_text, splits_text
from resjax.report.figures.run_figures import draw_figures
from resjax.report.figures.split_figures import draw_splits
from resjax.run.comparison import ComparisonRun
from resjax.run.progress import rough_duration
from resjax.run.replica import follow
from resjax.run.reporting import write_gallery, write_results, write_results_of_splits, write_run_report
from resjax.run.settings import ProbeSettings, Settings
from resjax.run.setup.class_table import class_table
from resjax.run.setup.dataset import fold_record, load_dataset, load_splits, require_outside_images
from resjax.run.stopping import Stopped
from resjax.run.timing import phase, timed
from resjax.run.workdir.contents import write_flags
from resjax.run.workdir.lock import only_writer, remove_unfinished, require_writable
from resjax.run.workdir.ownership import COMPARISON_RECORDS, require_no_point, require_own
from resjax.run.workdir.sound_records import read_or_quarantine
from resjax.terminal import activity, duration, status_line
from resjax.training.processes import announcing_end


def compare(
    settings: Settings,
    probes: ProbeSettings | None = None,
    check: Callable[[Catalogue], None] | None = None,
    before_training: Callable[[float], None] | None = None,
) -> Summary | Splits:
    """Runs what is pending of a comparison and returns its record, which is also in the workdir.

    The record is the summary, or that of `splits.json` with several splits. `check` may refuse the images by raising
    `BadInput`, before they are decoded. `before_training` is told roughly how many seconds the training takes, before
    anything is written, and may raise.

    Raises:
      BadInput: before anything is written, if data, split and recipe do not fit each other or the workdir's, or the
        workdir has somebody else's files under names of ours; and at the end, if the device's memory was too small for
        a network. The others are finished then.
    """
    with announcing_end():
        require_outside_images(settings.source, settings.workdir)
        require_writable(settings.workdir)
        with only_writer(settings.workdir):
            with status_line(), activity("preparing"), timed() as timeline:
                record, written = _compare(settings, probes, check, before_training)
            timing = timeline.record()
            write_record(settings.workdir / "timing.json", timing)
    print(f"\n{written} are in {settings.workdir} ({duration(timing['seconds'])} in all)")
    parts = record.splits.values() if isinstance(record, Splits) else [record]
    problems = [each.problem for part in parts for each in part.architectures.values() if each.problem is not UNSET]
    if problems:
        raise BadInput("; ".join(dict.fromkeys(problems)))
    return record


def _compare(
    settings: Settings,
    probes: ProbeSettings | None,
    check: Callable[[Catalogue], None] | None,
    before_training: Callable[[float], None] | None,
) -> tuple[Summary | Splits, str]:
    """The record, and the names of the files that hold it."""
    if probes and not architectures_among(settings.architectures):
        raise BadInput("--probes with networks of your own alone: expected none; they look at resjax's architectures")
    # A damaged splits.json is made again from the folders of the splits.
    of_splits = ("*/recipe.json",) if (settings.workdir / "splits.json").exists() else ()
    require_own(settings.workdir, records=(*COMPARISON_RECORDS, *of_splits))
    with phase("reading"), activity("reading"):
        _, dataset = load_dataset(settings.source, settings.image_size, check)
        splits = load_splits(settings, dataset)
    if len(splits) > 1:
        if probes:
            raise BadInput(
                "--probes with several splits or folds: expected none; experiments.probe takes one of their folders"
            )
        if settings.looks:
            raise BadInput("--seeds=auto with several splits or folds: expected a number of seeds such as 6")
        return compare_splits(
            settings, dataset, splits, before_training
        ), "splits.json, results.csv, figures and a folder for each split"
    (split,) = splits.values()
    run = ComparisonRun(settings, dataset, split)
    run.require_same_recipe()
    pending, seconds = run.work_left()
    if pending:
        require_no_point(settings.workdir)
    if before_training:
        before_training(seconds)
    remove_unfinished(settings.workdir)
    run.write_preamble()
    return complete(run, probes), "summary.json, report.html, results.csv and figures"


def complete(run: ComparisonRun, probes: ProbeSettings | None = None) -> Summary:
    """Prints the classes, trains what is pending, probes it if asked, and writes and prints the results."""
    print(f"{class_table(run.dataset, run.split)}\n", flush=True)
    paragraph = ""
    with _when_stopped(lambda: write_results(run.workdir)):
        run.complete()
        if probes:
            from resjax.run.probing import probe

            # Grad-CAM looks at the pictures that the report will show.
            with phase("writing"), activity("choosing pictures"):
                write_gallery(run.workdir, run.dataset)
            with phase("probing"):
                paragraph = f"{probe(run, probes).paragraph}\n\n"
    with phase("writing"):
        with activity("drawing figures"):
            draw_figures(run.workdir)
        with activity("writing the report"):
            summary = write_run_report(run.workdir, run.dataset)
    print(paragraph + diagnosis_text(summary), end="")
    print(comparison_text(summary))
    return summary


@contextmanager
def _when_stopped(write: Callable[[], None]) -> Iterator[None]:
    """Writes what there is so far if the run is asked to stop."""
    try:
        yield
    except Stopped:
        # Whatever is wrong with the disk or a record, a stop stays a stop.
        with suppress(OSError, RecordError):
            write()
        raise


def follow_compare(settings: Settings) -> bool:
    """What every process but the first does of a comparison: it computes its part, and writes nothing.

    If it is asked to stop, it asks the first process to stop after the epoch. False if the comparison ended early.
    """
    with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere):
        _, dataset = load_dataset(settings.source, settings.image_size)
        splits = load_splits(settings, dataset)
        own = {
            name: settings_on(settings, name, split) if len(splits) > 1 else settings for name, split in splits.items()
        }
        runs = [ComparisonRun(own[name], dataset, split) for name, split in splits.items()]
        programs = {programs.label: programs for run in runs for programs in run.programs.values()}
        # The first process has said what stopped it.
        with suppress(Stopped), settings.stopping.waiting(), activity("computing with process 0"):
            return follow(programs, lambda: settings.stopping.signalled)
    return False


def compare_splits(
    settings: Settings,
    dataset: Dataset,
    splits: Mapping[str, Split],
    before_training: Callable[[float], None] | None = None,
) -> Splits:
    """Runs what is pending on each split, in a folder of its name, and returns the record of `splits.json`.

    Raises:
      BadInput: before anything is written, if a folder holds a run of another recipe or split.
    """
    runs = {name: ComparisonRun(settings_on(settings, name, split), dataset, split) for name, split in splits.items()}
    _require_same_splits(settings, splits)
    for run in runs.values():
        run.require_same_recipe()
    replicas, seconds = map(sum, zip(*(run.work_left() for run in runs.values()), strict=True))
    if before_training:
        before_training(seconds)
    remove_unfinished(settings.workdir)
    for run in runs.values():
        run.write_preamble()
    record = _write_splits(settings, runs)
    write_flags(settings)
    print(
        f"{len(runs)} splits, {', '.join(runs)}: "
        + (f"{replicas} replicas to train, {rough_duration(seconds)} in all" if replicas else "nothing to train"),
        flush=True,
    )
    with activity("preparing", len(runs)) as its:
        for number, (name, run) in enumerate(runs.items(), start=1):
            its.about = f"{name} ({number} of {len(runs)})"
            print(f"\n{name}, in {run.workdir}", flush=True)
            with _when_stopped(lambda: write_results_of_splits(settings.workdir, runs)):
                complete(run)
            record = _write_splits(settings, runs)
            its.advance()
    write_results_of_splits(settings.workdir, runs)
    draw_splits(settings.workdir)
    print(splits_text(record))
    return record


def settings_on(settings: Settings, name: str, split: Split) -> Settings:
    """The settings of one split's run. Its flags, given as a flagfile, go on with this run alone."""
    workdir = settings.workdir / name
    flags = settings.flags | {"workdir": str(workdir)}
    if split.fold:
        flags |= {"folds": None, "split": None, "split_file": str(workdir / "split.json")}
    else:
        flags |= {"split": split.method}
    return replace(settings, workdir=workdir, flags=flags)


def _require_same_splits(settings: Settings, splits: Mapping[str, Split]) -> None:
    workdir = settings.workdir
    if (workdir / "summary.json").exists():
        raise BadInput(f"--workdir={workdir} holds a comparison on one split: name a new folder")
    if (record := read_or_quarantine(workdir / "splits.json", Splits)) is not None:
        folds_before = [name for name, part in record.splits.items() if part.fold]
        folds = [name for name, split in splits.items() if split.fold]
        if folds_before != folds:
            raise BadInput(f"--workdir={workdir} holds a comparison on {', '.join(record.splits)}: name a new folder")


def _write_splits(settings: Settings, runs: Mapping[str, ComparisonRun]) -> Splits:
    """Writes `splits.json` from the summaries of the splits, and returns it."""
    parts = {name: _split_summary(run) for name, run in runs.items()}
    dataset = next(iter(runs.values())).dataset
    pooled = None
    if all(part.fold for part in parts.values()):
        pooled = cross_validate(
            [run.results() for run in runs.values()], [part.sides["val"] for part in parts.values()]
        )
    record = Splits(
        config=settings.flags,
        numerics_version=NUMERICS_VERSION,
        dataset=SplitsDataset(name=dataset.name, classes=list(dataset.classes), images=len(dataset.ids)),
        splits=parts,
        cross_validated=pooled,
    )
    write_record(settings.workdir / "splits.json", record)
    return record


def _split_summary(run: ComparisonRun) -> SplitSummary:
    summary = read_record(run.workdir / "summary.json", Summary)
    dataset = summary.dataset
    return SplitSummary(
        method=dataset.split,
        label=dataset.split_label,
        is_faulty=dataset.split_is_faulty,
        fold=fold_record(run.split),
        sides=dataset.splits,
        class_images=dataset.class_images,
        leaked=dataset.leaked,
        leaked_images=dataset.leaked_images,
        architectures={name: NetworkOnSplit.of(network) for name, network in summary.architectures.items()},
        comparisons=summary.comparisons,
    )
