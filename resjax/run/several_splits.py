"""The same comparison once a split, each in a folder of its own, and what they say side by side."""

from collections.abc import Mapping
from dataclasses import replace

from resjax.data.dataset import Dataset
from resjax.data.splits import Split
from resjax.errors import BadInput
from resjax.evaluation.comparison.cross_validation import cross_validate
from resjax.report.figures.split_figures import draw_splits
from resjax.report.page.tables import splits_text
from resjax.report.records import SCHEMA_VERSION, read_json, write_json
from resjax.run.comparison import Run, write_flags
from resjax.run.progress import duration
from resjax.run.replica_folder import read_or_set_aside
from resjax.run.settings import Settings

SHOWN = (
    *("seeds", "status", "best_val_accuracy", "final_val_accuracy", "final_train_accuracy"),
    *("test_accuracy", "final_test_accuracy", "leaked_accuracy", "clean_accuracy", "problem"),
)
"""What `splits.json` repeats of each arm's part of a summary."""


def compare_splits(settings: Settings, dataset: Dataset, splits: Mapping[str, Split]) -> dict:
    """Runs what is pending on each split, in a folder of its name, and returns the record of `splits.json`.

    Raises:
      BadInput: before anything is written, where a folder holds a run of another recipe or split.
    """
    runs = {name: Run(settings_on(settings, name, split), dataset, split) for name, split in splits.items()}
    _require_same_kind(settings, splits)
    for run in runs.values():
        run.require_same_recipe()
    for run in runs.values():
        run.write_preamble()
    write_flags(settings)
    _write_record(settings, runs)
    replicas, seconds = map(sum, zip(*(run.work_left() for run in runs.values()), strict=True))
    print(
        f"{len(runs)} splits, {', '.join(runs)}: "
        + (f"{replicas} replicas to train, about {duration(seconds)} in all" if replicas else "nothing to train"),
        flush=True,
    )
    for name, run in runs.items():
        print(f"\n{name}, in {run.workdir}", flush=True)
        run.complete()
        _write_record(settings, runs)
    draw_splits(settings.workdir)
    record = read_json(settings.workdir / "splits.json")
    print(splits_text(record))
    return record


def settings_on(settings: Settings, name: str, split: Split) -> Settings:
    """The settings of one split's run: given back as a flagfile, its flags go on with that run alone."""
    workdir = settings.workdir / name
    flags = settings.flags | {"workdir": str(workdir)}
    if split.fold:
        flags |= {"folds": None, "split": None, "split_file": str(workdir / "split.json")}
    else:
        flags |= {"split": split.method}
    return replace(settings, workdir=workdir, flags=flags)


def _require_same_kind(settings: Settings, splits: Mapping[str, Split]) -> None:
    workdir = settings.workdir
    if (workdir / "summary.json").exists():
        raise BadInput(f"--workdir={workdir} holds a comparison on one split: name a new one")
    if (record := read_or_set_aside(workdir / "splits.json")) is not None:
        before = record["splits"]
        folds_before = [name for name, split in before.items() if split["fold"]]
        folds = [name for name, split in splits.items() if split.fold]
        if folds_before != folds:
            raise BadInput(f"--workdir={workdir} holds a comparison on {', '.join(before)}: name a new one")


def _write_record(settings: Settings, runs: Mapping[str, Run]) -> None:
    """Writes `splits.json` from the summaries that there are."""
    splits = {name: _split_part(run) for name, run in runs.items()}
    dataset = next(iter(runs.values())).dataset
    pooled = None
    if all(split["fold"] for split in splits.values()):
        val_images = [split["sides"]["val"] for split in splits.values()]
        pooled = cross_validate([run.results() for run in runs.values()], val_images)
    record = {
        "schema_version": SCHEMA_VERSION,
        "config": settings.flags,
        "dataset": {"name": dataset.name, "classes": list(dataset.classes), "images": len(dataset.ids)},
        "splits": splits,
        "cross_validated": pooled,
    }
    write_json(settings.workdir / "splits.json", record)


def _split_part(run: Run) -> dict:
    summary = read_json(run.workdir / "summary.json")
    dataset = summary["dataset"]
    return {
        "method": dataset["split"],
        "label": dataset["split_label"],
        "is_faulty": dataset["split_is_faulty"],
        "fold": run.split.fold and run.split.fold._asdict(),
        "sides": dataset["splits"],
        "leaked": dataset["leaked"],
        "leaked_images": dataset["leaked_images"],
        "architectures": {
            name: {key: arm[key] for key in SHOWN if key in arm} for name, arm in summary["architectures"].items()
        },
        "comparisons": summary["comparisons"],
    }
