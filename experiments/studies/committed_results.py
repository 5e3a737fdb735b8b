"""Takes the committed records of trained networks again: those of older numerics than the code's, or named ones.

  python -m experiments.studies.committed_results --data=FOLDER
  python -m experiments.studies.committed_results --records=quickstart,leak_demo

`--data` is a folder with `indonesian_food/train.csv` and with `tfds`, which holds `cifar10_jpeg` as TFDS prepared it.
Records whose images are missing there are skipped, with a line. The small files of each record replace those in
experiments/results; the tables of the pages are then brought up to date by hand, until `pytest tests/test_readme.py`
passes. The same command resumes where it was stopped.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
from absl import flags

from resjax.cli.flags.paths import define_path
from resjax.cli.program import Command, run_command
from resjax.errors import BadInput
from resjax.records import (
    NUMERICS_VERSION,
    Environment,
    Part,
    Probes,
    Record,
    ReproductionRecord,
    Splits,
    Summary,
    Sweep,
    read_record,
    read_result,
)
from resjax.report.tables import Table, markdown
from resjax.run.progress import duration
from resjax.run.stopping import released_on_leaving

FLAGS = flags.FLAGS
ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "experiments" / "results"
KINDS: dict[str, type[Record]] = {
    "summary.json": Summary,
    "splits.json": Splits,
    "probes.json": Probes,
    "reproduction.json": ReproductionRecord,
    "sweep.json": Sweep,
}
"""Records of trained networks, by the name of their file; `result.json` is another."""
TRAINED = (*KINDS, "result.json")
KEPT = (*TRAINED, "config.flags", "metrics.jsonl")
"""The files of a workdir that are committed."""
PHOTOGRAPHS, CIFAR10_JPEG = "indonesian_food/train.csv", "tfds/cifar10_jpeg"
"""In `--data`."""
SMALL_PHOTOGRAPHS = f"--flagfile=indonesian_food --dataset=csv:{PHOTOGRAPHS} --image_size=64 --width=16"


@dataclass(frozen=True)
class CommittedResult:
    """A folder of committed records, and how it is made."""

    name: str
    question: str
    commands: tuple[str, ...]
    """After `resjax`; each gets `--workdir`."""
    images: str | None = None
    """What it needs of `--data`."""
    kept: tuple[str, ...] = KEPT
    pictures: tuple[str, ...] = ()
    """Of the workdir's figures."""
    beside: str = ""
    """Time that the records do not hold."""


COMMITTED = (
    CommittedResult(
        "quickstart",
        "Does the shortcut help on five drawn dishes?",
        ("compare --flagfile=quickstart",),
        pictures=("answer.png",),
    ),
    CommittedResult("leak_demo", "How much accuracy do leaks add, on drawn dishes?", ("compare --flagfile=leak_demo",)),
    CommittedResult(
        "indonesian_food",
        "Does the shortcut help on the photographs of the first exercise?",
        (f"compare {SMALL_PHOTOGRAPHS}",),
        images=PHOTOGRAPHS,
        pictures=("answer.png",),
    ),
    CommittedResult(
        "indonesian_food_96px",
        "Four networks on the same photographs, larger, with a test set, until there is a verdict",
        (
            f"compare --flagfile=indonesian_food --dataset=csv:{PHOTOGRAPHS} --image_size=96 --width=32 "
            "--architectures=plain34,resnet34,preact_resnet34,se_resnet34 --seeds=auto --max_seeds=12 "
            "--test_fraction=0.2",
            "probe --probes=gradients,signals,shattering,lesions,dose,landscape,curvature,linear,connectivity",
        ),
        images=PHOTOGRAPHS,
        pictures=("answer.png",),
    ),
    CommittedResult(
        "indonesian_food_rates",
        "The same photographs, each network at its own best learning rate",
        (
            f"sweep --dataset=csv:{PHOTOGRAPHS} --architectures=plain34,resnet34 --image_size=64 --stem=imagenet "
            "--width=16 --epochs=10 --batch_size=24 --optimizer=adam --weight_decay=5e-4 --schedule=constant "
            "--augment=flip,rotate:15,color:0.2,0.2,0.2,0.1 --grid=learning_rate=1.25e-4,2.5e-4,5e-4,1e-3,2e-3 "
            "--seeds=3 --test_fraction=0.2",
        ),
        images=PHOTOGRAPHS,
        kept=("sweep.json",),
        pictures=("sensitivity.png",),
    ),
    CommittedResult(
        "leak_demo_indonesian_food",
        "How much accuracy do leaks add, on the photographs?",
        (
            f"compare --flagfile=leak_demo --dataset=csv:{PHOTOGRAPHS} --image_size=64 --stem=imagenet --width=16 "
            "--seeds=3 --epochs=10 --batch_size=24 --learning_rate=1e-3",
        ),
        images=PHOTOGRAPHS,
        pictures=("splits.png",),
    ),
    CommittedResult(
        "probes_indonesian_food",
        "Which explanations of the shortcut do measurements support?",
        (f"compare {SMALL_PHOTOGRAPHS} --seeds=3", "probe --probes=all"),
        images=PHOTOGRAPHS,
        kept=("probes.json",),
        beside=" and 2 min of training",
    ),
    CommittedResult(
        "sweep_demo",
        "Does the shortcut help more with depth, each network at its own best learning rate?",
        ("sweep --flagfile=sweep_demo",),
        kept=("sweep.json",),
        pictures=("sensitivity.png",),
    ),
    CommittedResult(
        "reproduce_cifar10_quick",
        "Does the shortcut lower the training loss of deep networks, as in He et al. 2015?",
        (
            "reproduce --flagfile=reproduce_cifar10 --quick --dataset=tfds:cifar10_jpeg@train[:40%] --data_dir=tfds "
            "--image_size=32 --width=16 --epochs=5 --augment=crop:4,flip",
        ),
        images=CIFAR10_JPEG,
        pictures=("depth.png",),
    ),
    CommittedResult(
        "reproduce_first_exercise_quick",
        "The first exercise with four networks, next to its published numbers",
        (
            f"reproduce --flagfile=reproduce_first_exercise --quick --dataset=csv:{PHOTOGRAPHS} --image_size=64 "
            "--width=16 --epochs=10",
        ),
        images=PHOTOGRAPHS,
    ),
)


def trained_records(folder: Path) -> list[Path]:
    """The files in a folder and below it that hold results of trained networks."""
    return sorted(path for path in folder.rglob("*.json") if path.name in TRAINED)


def numerics_of(path: Path) -> int:
    """The oldest `NUMERICS_VERSION` that a record of trained networks says; 0 if it says none.

    Raises:
      RecordError: if it cannot be read.
    """
    record = read_result(path) if path.name == "result.json" else read_record(path, KINDS[path.name])
    return min(_versions(record), default=0)


def _versions(part: object) -> Iterator[int]:
    """Those of all environments in a record, and its own."""
    if isinstance(part, Environment) or (isinstance(part, Part) and hasattr(part, "numerics_version")):
        version: int | msgspec.UnsetType = getattr(part, "numerics_version", msgspec.UNSET)
        yield 0 if version is msgspec.UNSET else version
    elif isinstance(part, Part):
        for name in ("environment", "environments"):
            yield from _versions(getattr(part, name, None))
    elif isinstance(part, list):
        for each in part:
            yield from _versions(each)


def older_folders(results: Path = RESULTS) -> set[str]:
    """The folders of records that are of older numerics than the code's."""
    return {
        path.relative_to(results).parts[0] for path in trained_records(results) if numerics_of(path) < NUMERICS_VERSION
    }


def recorded_seconds(folder: Path) -> float:
    """How long the replicas, cells and probes of a folder took, as their records say."""
    seconds = 0.0
    for path in trained_records(folder):
        if path.name == "result.json":
            seconds += read_result(path).timing.seconds
        elif path.name == "probes.json":
            seconds += sum(probe.seconds for probe in read_record(path, Probes).probes.values())
        elif path.name == "sweep.json":
            seconds += sum(cell.seconds or 0.0 for cell in read_record(path, Sweep).cells)
    return seconds


def committed_markdown(results: Path = RESULTS) -> str:
    """The table of `experiments/results/README.md`."""
    rows = [
        [
            f"[{each.name}]({each.name}/README.md)",
            each.question,
            ", then ".join(f"`{command}`" for command in each.commands),
            duration(recorded_seconds(results / each.name)) + each.beside,
        ]
        for each in COMMITTED
    ]
    return markdown(Table(["folder", "question", "command, after `resjax`", "training and probes"], rows))


def chosen(names: str | None) -> list[CommittedResult]:
    """The records that `--records` names; without it those of older numerics.

    Raises:
      BadInput: for a name that is not in the table.
    """
    if names is None:
        older = older_folders()
        return [each for each in COMMITTED if each.name in older]
    by_name = {each.name: each for each in COMMITTED}
    if names == "all":
        return list(COMMITTED)
    for name in names.split(","):
        if name not in by_name:
            raise BadInput(f"--records={names}: there is no {name!r}; expected all or some of {', '.join(by_name)}")
    return [by_name[name] for name in names.split(",")]


def take_again(result: CommittedResult, data: Path | None, scratch: Path, results: Path = RESULTS) -> str:
    """Runs the commands of a record in a folder of its own, copies its small files, and says what became of it."""
    if result.images and not (data and (data / result.images).exists()):
        return f"skipped: needs {result.images} in the folder of --data"
    scratch.mkdir(parents=True, exist_ok=True)
    # Records hold the paths that were given, so these are short and the same everywhere.
    for name in {Path(each).parts[0] for each in (PHOTOGRAPHS, CIFAR10_JPEG)} if data else ():
        if not (scratch / name).is_symlink():
            (scratch / name).symlink_to((data or Path()).absolute() / name)
    workdir = Path("runs") / result.name
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    for command in result.commands:
        words = [sys.executable, "-m", "resjax", *command.split(), f"--workdir={workdir}"]
        with subprocess.Popen(words, cwd=scratch, env=environment) as program, released_on_leaving(program.terminate):
            status = program.wait()
        if status:
            return f"ended with status {status}: resjax {command}"
    return f"{copy_small_files(result, scratch / workdir, results / result.name)} files"


def copy_small_files(result: CommittedResult, workdir: Path, folder: Path) -> int:
    """Replaces the committed files of a record by those of its workdir, and returns how many there are."""
    wanted = [path for path in workdir.rglob("*") if path.name in result.kept and "figures" not in path.parts]
    for path in _committed_files(result, folder):
        path.unlink()
    for path in wanted:
        place = folder / path.relative_to(workdir)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, place)
    for name in result.pictures:
        shutil.copyfile(workdir / "figures" / name, folder / name)
    return len(wanted) + len(result.pictures)


def _committed_files(result: CommittedResult, folder: Path) -> Iterable[Path]:
    return [path for path in folder.rglob("*") if path.name in result.kept]


def define_committed_flags() -> None:
    flags.DEFINE_string(
        "records", None, "folders of experiments/results, joined by commas, or all; by default the older"
    )
    define_path(
        "data", None, f"folder with {PHOTOGRAPHS} and {CIFAR10_JPEG}; without it, records of images are skipped"
    )
    define_path("scratch", "runs/committed_results", "folder for the workdirs")


def main() -> None:
    found = {}
    data = Path(FLAGS.data) if FLAGS.data else None
    if data and not data.is_dir():
        raise BadInput(f"--data={data}: expected a folder")
    for result in chosen(FLAGS.records):
        print(f"{result.name}: {result.question}", flush=True)
        found[result.name] = take_again(result, data, Path(FLAGS.scratch))
    for name, ended in found.items():
        print(f"{name}: {ended}")
    if not found:
        print(f"Every record is of numerics version {NUMERICS_VERSION}.")
    if any(ended.startswith("ended") for ended in found.values()):
        sys.exit(1)


COMMAND = Command("studies.committed_results", __doc__ or "", main, (define_committed_flags,))

if __name__ == "__main__":
    run_command(COMMAND)
