"""`benchmark --measure=end_to_end`: the first exercise from JPEGs to the last file, next to a torch script.

Ours is `python -m experiments.compare`, cold (nothing decoded, nothing compiled) and again warm (what the cold run left
in its caches, a new workdir); PyTorch's is `experiments.benchmarks.torch_exercise`. Each run is a process of its own,
from its start to its end.
"""

import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from experiments.benchmarks.background_load import Others
from experiments.benchmarks.cases import Device, compared, spread, versions
from experiments.benchmarks.contenders import KILLED, LONGEST_REASON
from resjax.errors import BadInput
from resjax.report.records import read_json

AUGMENT = "flip,rotate:15,color:0.2,0.2,0.2,0.1"
PHOTOGRAPHS = 1166
"""As many as the first exercise has, in its most frequent size."""
WIDTH, HEIGHT = 480, 320
CAVEAT = (
    "One seed of each network, as the first exercise; the torch script writes weights alone, ours records, "
    "checkpoints, figures and a report, and looks for copies. The files are in the operating system's memory. This "
    "tells nothing of accuracy, and little of longer runs, where what happens once weighs less."
)
OURS = ("cold", "warm")


@dataclass(frozen=True)
class Exercise:
    """What both sides are told."""

    dataset: str
    """`csv:PATH` or `folder:PATH`."""
    image_dir: str | None
    architectures: str
    image_size: int
    batch_size: int
    epochs: int
    dtype: str
    sizes: tuple[tuple[str, object], ...] = ()
    """`width` and `stem`, where they are given."""

    def flags(self) -> list[str]:
        """As command line arguments, which both programs understand."""
        shared = ("dataset", "image_dir", "architectures", "image_size", "batch_size", "epochs", "dtype")
        given = [(name, getattr(self, name)) for name in shared]
        return [f"--{name}={value}" for name, value in (*given, *self.sizes) if value is not None]


def write_photographs(folder: Path, count: int = PHOTOGRAPHS, classes: int = 5) -> None:
    """Writes so many different JPEGs, a folder a class, with as much detail as makes them photographs to a decoder."""
    rng = np.random.default_rng(0)
    for index in range(count):
        place = folder / f"class{index % classes}"
        place.mkdir(parents=True, exist_ok=True)
        coarse = Image.fromarray(rng.integers(0, 256, (16, 24, 3), np.uint8))
        smooth = np.asarray(coarse.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC), np.int16)
        noise = rng.integers(-12, 13, smooth.shape, np.int16)
        Image.fromarray((smooth + noise).clip(0, 255).astype(np.uint8)).save(place / f"{index:06}.jpg", quality=90)


def require_photographs(dataset: str) -> None:
    """Raises `BadInput` unless the torch script can read the set too."""
    kind, _, place = dataset.partition(":")
    if kind not in ("csv", "folder") or not Path(place).exists():
        raise BadInput(f"--dataset={dataset}: csv:PATH or folder:PATH of images that are there is accepted")


def end_to_end_rows(exercise: Exercise, device: Device, torch_modes: tuple[str, ...], samples: int) -> list[dict]:
    """A row for ours cold and one for ours warm, against torch's best mode; the programs take turns."""
    runs: dict[str, list[dict]] = {name: [] for name in (*OURS, *torch_modes)}
    failures: dict[str, str] = {}
    others = Others()
    with tempfile.TemporaryDirectory(prefix="resjax-end-to-end-") as scratch:
        for sample in range(samples):
            caches = Path(scratch) / f"caches{sample}"
            # Warm follows cold at once, and torch's modes change places.
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
    cores = {"other_programs_cores": others.cores()}
    return [_row(exercise, device, name, torch_modes, runs, failures) | cores for name in OURS]


class _Ended(Exception):
    """A program ended badly; the text says how in one line."""


def _run_ours(exercise: Exercise, folder: Path, caches: Path) -> dict:
    """Seconds of `experiments.compare` from start to end, its timing, and its images an epoch."""
    flags = [f"--workdir={folder}", f"--cache_dir={caches}", "--seeds=0,", f"--augment={AUGMENT}"]
    wall = _run([sys.executable, "-m", "experiments.compare", *exercise.flags(), *flags])
    timing = read_json(folder / "timing.json")
    splits = read_json(folder / "summary.json")["dataset"]["splits"]
    parts = {name.removesuffix("_seconds"): value for name, value in timing.items() if name != "seconds"}
    parts["starting"] = wall - timing["seconds"]
    return {"seconds": wall, "parts": parts, "images": splits["train"]}


def _run_torch(exercise: Exercise, mode: str, platform: str, folder: Path) -> dict:
    """The same of the torch script, less the time in which it imports JAX for the networks' description."""
    flags = [f"--mode={mode}", f"--platform={platform}", f"--record={folder / 'record.json'}"]
    wall = _run([sys.executable, "-m", "experiments.benchmarks.torch_exercise", *exercise.flags(), *flags])
    record = read_json(folder / "record.json")
    wall -= record["description_seconds"]
    parts = {name: record[f"{name}_seconds"] for name in ("reading", "training", "writing")}
    parts["starting"] = wall - record["seconds"]
    return {"seconds": wall, "parts": parts, "images": record["train_images"]}


def _run(command: list[str]) -> float:
    """Seconds that a command takes; raises `_Ended` where it fails."""
    # A cache of the user's own would help a run that is to be cold.
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
    runs: dict[str, list[dict]],
    failures: dict[str, str],
) -> dict:
    of_sides = {"ours": runs[ours]} | {mode: runs[mode] for mode in torch_modes}
    of_sides = {name: side for name, side in of_sides.items() if side}
    arms = len(exercise.architectures.split(","))
    trained = exercise.epochs * arms
    rates = {name: [trained * run["images"] / run["seconds"] for run in side] for name, side in of_sides.items()}
    row = {
        "measure": "end_to_end",
        "architecture": exercise.architectures,
        "image_size": exercise.image_size,
        "batch_size": exercise.batch_size,
        "dtype": exercise.dtype,
        **dict(exercise.sizes),
        "epochs": exercise.epochs,
        "dataset": exercise.dataset,
        "train_images": {name: side[0]["images"] for name, side in of_sides.items()},
        "cache": ours,
        "device": device.name,
    }
    return (
        row
        | compared(rates)
        | {
            "versions": versions("jax", "jaxlib", "flax", *(("torch",) if torch_modes else ())),
            "samples": rates,
            "seconds": {name: [run["seconds"] for run in side] for name, side in of_sides.items()},
            "shares": {name: _shares(side) for name, side in of_sides.items()},
            "failed": {name: why for name, why in failures.items() if name == ours or name in torch_modes},
        }
    )


def _shares(runs: list[dict]) -> dict[str, float]:
    """Of all the seconds of a side's runs, what went where."""
    total = sum(run["seconds"] for run in runs)
    parts = {name: sum(run["parts"].get(name, 0.0) for run in runs) for name in runs[0]["parts"]}
    return {name: seconds / total for name, seconds in sorted(parts.items(), key=lambda part: -part[1])}


def describe_end_to_end(row: dict) -> str:
    """A row in words: seconds of each side with their spread, where they went, and torch's time over ours."""
    lines = [
        f"{row['architecture']} at {row['image_size']} px, batch {row['batch_size']}, {row['dtype']}, "
        f"{row['epochs']} epochs, ours {row['cache']}:"
    ]
    for name, seconds in row["seconds"].items():
        side = f"ours {row['cache']}" if name == "ours" else f"torch {name}"
        shares = ", ".join(f"{part} {share:.0%}" for part, share in row["shares"][name].items())
        lines.append(f"  {side}: {spread(seconds)} s, {len(seconds)} sample(s); {shares}")
    lines += [f"  {name} FAILED, {why}" for name, why in row["failed"].items()]
    if row["ratio"] is not None:
        lines.append(f"  ours / torch {row['torch_mode']} = {row['ratio']:.2f} in images per second")
    return "\n".join(lines)
