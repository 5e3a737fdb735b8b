"""`--measure=end_to_end`: the first exercise from JPEGs to the last file, next to a PyTorch script.

Ours is the command `compare`, cold (nothing decoded, nothing compiled) and warm (in a new workdir, with the caches of
the cold run). PyTorch's is the script `pytorch/exercise.py`. Each run is a process of its own, measured from its start
to its end.
"""

import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from resjax.errors import BadInput
from resjax.records import Part, Summary, read_record, read_values

from .harness.cases import AUGMENT, PHOTOGRAPHS
from .harness.contenders import KILLED, LONGEST_REASON
from .harness.machine import BackgroundLoad, Device
from .harness.rows import EndToEndRow, medians_of, spread, versions

WIDTH, HEIGHT = 480, 320
"""The most frequent size of the photographs of the first exercise."""
CAVEAT = (
    "This is one seed of each network, as in the first exercise. The torch script writes weights alone; ours writes "
    "records, checkpoints, figures and a report, and looks for duplicates. The files are in the file cache of the "
    "operating system. This does not tell the accuracy, and little about longer runs, in which the start weighs less."
)
OURS = ("cold", "warm")


@dataclass(frozen=True)
class Exercise:
    """The exercise that both sides run."""

    dataset: str
    """`csv:PATH` or `folder:PATH`."""
    image_dir: str | None
    architectures: str
    image_size: int
    batch_size: int
    epochs: int
    dtype: str
    sizes: tuple[tuple[str, object], ...] = ()
    """`width` and `stem`, if they are given."""

    def flags(self) -> list[str]:
        """The command line arguments that both programs understand."""
        shared = ("dataset", "image_dir", "architectures", "image_size", "batch_size", "epochs", "dtype")
        given = [(name, getattr(self, name)) for name in shared]
        return [f"--{name}={value}" for name, value in (*given, *self.sizes) if value is not None]


def write_photographs(folder: Path, count: int = PHOTOGRAPHS, classes: int = 5) -> None:
    """Writes different JPEGs in a folder per class, as detailed as photographs, so that decoding takes as long."""
    rng = np.random.default_rng(0)
    for index in range(count):
        place = folder / f"class{index % classes}"
        place.mkdir(parents=True, exist_ok=True)
        coarse = Image.fromarray(rng.integers(0, 256, (16, 24, 3), np.uint8))
        smooth = np.asarray(coarse.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC), np.int16)
        noise = rng.integers(-12, 13, smooth.shape, np.int16)
        Image.fromarray((smooth + noise).clip(0, 255).astype(np.uint8)).save(place / f"{index:06}.jpg", quality=90)


def require_photographs(dataset: str) -> None:
    """Raises `BadInput` unless the torch script can read the images, too."""
    kind, _, place = dataset.partition(":")
    if kind not in ("csv", "folder") or not Path(place).exists():
        raise BadInput(f"--dataset={dataset}: expected csv:PATH or folder:PATH of images that exist")


@dataclass(frozen=True)
class TimedRun:
    """A run of one side."""

    seconds: float
    """From its start to its end."""
    parts: dict[str, float]
    """Seconds by part of the work."""
    images: int
    """Training images per epoch."""


class TorchTiming(Part, frozen=True, kw_only=True):
    """The file that the torch script writes; its parts add up to `seconds`."""

    accuracies: dict[str, list[float]]
    train_images: int
    val_images: int
    reading_seconds: float
    training_seconds: float
    writing_seconds: float
    seconds: float
    description_seconds: float
    """The time to import JAX for the description of the networks, which `seconds` does not contain."""


def end_to_end_rows(
    exercise: Exercise, device: Device, torch_modes: tuple[str, ...], samples: int
) -> list[EndToEndRow]:
    """A row for ours cold and one for ours warm, against PyTorch's best mode. The programs take turns."""
    runs: dict[str, list[TimedRun]] = {name: [] for name in (*OURS, *torch_modes)}
    failures: dict[str, str] = {}
    load = BackgroundLoad()
    with tempfile.TemporaryDirectory(prefix="resjax-end-to-end-") as scratch:
        for sample in range(samples):
            caches = Path(scratch) / f"caches{sample}"
            # Warm follows cold at once, and the modes of torch change places.
            for name in (*OURS, *(torch_modes[::-1] if sample % 2 else torch_modes)):
                if name in failures:
                    continue
                folder = Path(scratch) / f"{name}{sample}"
                folder.mkdir()
                try:
                    if name in OURS:
                        runs[name].append(_run_ours(exercise, folder, caches))
                    else:
                        runs[name].append(_run_torch(exercise, name, device.platform, folder))
                except _Ended as ended:
                    failures[name] = str(ended)
    cores = load.cores()
    return [_row(exercise, device, name, torch_modes, runs, failures, cores) for name in OURS]


class _Ended(Exception):
    """A program failed; the text says how in one line."""


def _run_ours(exercise: Exercise, folder: Path, caches: Path) -> TimedRun:
    """Runs `compare`."""
    flags = [f"--workdir={folder}", f"--cache_dir={caches}", "--seeds=0,", f"--augment={AUGMENT}"]
    wall = _run([sys.executable, "-m", "resjax", "compare", *exercise.flags(), *flags])
    timing: dict[str, float] = read_values(folder / "timing.json")
    parts = {name.removesuffix("_seconds"): timing[name] for name in timing if name.endswith("_seconds")}
    parts["starting"] = wall - timing["seconds"]
    return TimedRun(wall, parts, read_record(folder / "summary.json", Summary).dataset.splits["train"])


def _run_torch(exercise: Exercise, mode: str, platform: str, folder: Path) -> TimedRun:
    """Runs the torch script. The time in which it imports JAX for the description of the networks does not count."""
    flags = [f"--mode={mode}", f"--platform={platform}", f"--record={folder / 'record.json'}"]
    wall = _run([sys.executable, "-m", f"{__package__}.pytorch.exercise", *exercise.flags(), *flags])
    timing = read_record(folder / "record.json", TorchTiming)
    wall -= timing.description_seconds
    parts = {"reading": timing.reading_seconds, "training": timing.training_seconds, "writing": timing.writing_seconds}
    return TimedRun(wall, parts | {"starting": wall - timing.seconds}, timing.train_images)


def _run(command: list[str]) -> float:
    """The seconds that a command takes; raises `_Ended` if it fails."""
    # A compilation cache of the user would help a run that is meant to be cold.
    environment = {name: value for name, value in os.environ.items() if name != "JAX_COMPILATION_CACHE_DIR"}
    start = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode == KILLED:
        raise _Ended("out of memory: the system ended the process")
    if done.returncode:
        last = (done.stderr.strip() or "nothing was said").splitlines()[-1]
        raise _Ended(f"ended with status {done.returncode}: {last[:LONGEST_REASON]}")
    return time.perf_counter() - start


def _row(
    exercise: Exercise,
    device: Device,
    ours: str,
    torch_modes: tuple[str, ...],
    runs: dict[str, list[TimedRun]],
    failures: dict[str, str],
    cores: float | None,
) -> EndToEndRow:
    of_sides = {"ours": runs[ours]} | {mode: runs[mode] for mode in torch_modes}
    of_sides = {name: side for name, side in of_sides.items() if side}
    trained = exercise.epochs * len(exercise.architectures.split(","))
    rates = {name: [trained * run.images / run.seconds for run in side] for name, side in of_sides.items()}
    sizes: dict[str, Any] = dict(exercise.sizes)
    return EndToEndRow(
        measure="end_to_end",
        architecture=exercise.architectures,
        image_size=exercise.image_size,
        batch_size=exercise.batch_size,
        dtype=exercise.dtype,
        **sizes,
        epochs=exercise.epochs,
        dataset=exercise.dataset,
        train_images={name: side[0].images for name, side in of_sides.items()},
        cache=ours,
        device=device.name,
        **medians_of(rates)._asdict(),
        versions=versions("jax", "jaxlib", "flax", *(("torch",) if torch_modes else ())),
        samples=rates,
        seconds={name: [run.seconds for run in side] for name, side in of_sides.items()},
        shares={name: _shares(side) for name, side in of_sides.items()},
        failed={name: why for name, why in failures.items() if name == ours or name in torch_modes},
        other_programs_cores=cores,
    )


def _shares(runs: list[TimedRun]) -> dict[str, float]:
    """The fraction of the seconds of all runs that each part took, the largest first."""
    total = sum(run.seconds for run in runs)
    parts = {name: sum(run.parts.get(name, 0.0) for run in runs) for name in runs[0].parts}
    return {name: seconds / total for name, seconds in sorted(parts.items(), key=lambda part: -part[1])}


def describe_end_to_end(row: EndToEndRow) -> str:
    """A row in words: the seconds of each side with their spread, their parts, and the ratio."""
    lines = [
        f"{row.architecture} at {row.image_size} px, batch {row.batch_size}, {row.dtype}, {row.epochs} epochs, "
        f"ours {row.cache}:"
    ]
    for name, seconds in row.seconds.items():
        side = f"ours {row.cache}" if name == "ours" else f"torch {name}"
        shares = ", ".join(f"{part} {share:.0%}" for part, share in row.shares[name].items())
        lines.append(f"  {side}: {spread(seconds)} s, {len(seconds)} sample(s); {shares}")
    lines += [f"  {name} FAILED, {why}" for name, why in row.failed.items()]
    if row.ratio is not None:
        lines.append(f"  ours / torch {row.torch_mode} = {row.ratio:.2f} in images per second")
    return "\n".join(lines)
