"""All records of a run, or of several runs together, with those of each replica read when they are asked for."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from resjax.errors import RecordError
from resjax.report.records import read_json, read_lines
from resjax.report.storage import read_npz


class Predictions(NamedTuple):
    """What a replica's best epoch said of the images that its result is of."""

    ids: list[str]
    labels: np.ndarray
    """(image,)"""
    logits: np.ndarray
    """(image, class)"""


@dataclass(frozen=True)
class RunRecords:
    """A summary with the folders of its replicas, and what else is known of the data; None is for what is not there."""

    summary: dict[str, Any]
    folders: Mapping[str, Mapping[int, Path]]
    """The folder of each replica that was asked for, by arm and seed."""
    dataset: dict[str, Any] | None
    split: dict[str, Any] | None
    thumbnails: Mapping[str, str]
    """Data URIs of pictures, by id."""
    probes: dict[str, Any] | None = None
    """What the probes measured."""

    def results(self) -> dict[str, dict[int, dict | None]]:
        """`result.json` of each replica, None of one that has not ended."""
        return {
            arm: {seed: _read(folder / "result.json") for seed, folder in seeds.items()}
            for arm, seeds in self.folders.items()
        }

    def history(self, arm: str, seed: int) -> list[dict]:
        """The lines of `metrics.jsonl`, none where there is no such file."""
        path = self.folders[arm][seed] / "metrics.jsonl"
        return read_lines(path) if path.exists() else []

    def predictions(self, arm: str, seed: int, side: str) -> Predictions | None:
        """Predictions on the images of a side, None where they were not kept."""
        path = self.folders[arm][seed] / "predictions.npz"
        if not path.exists():
            return None
        stored = read_npz(path)
        try:
            here = stored["side"] == side
            return Predictions(stored["id"][here].tolist(), stored["label"][here], stored["logits"][here])
        except (KeyError, IndexError) as error:
            raise RecordError(f"{path}: not predictions ({error!r}); delete it to leave them out") from None


def read_run_records(workdir: Path) -> RunRecords:
    """Reads the records of a workdir.

    Raises:
      RecordError: where it holds no summary, or a record that cannot be read.
    """
    summary = _read(workdir / "summary.json")
    if summary is None:
        raise RecordError(f"{workdir}: no summary.json there; the workdir of a comparison is accepted")
    folders = {
        arm: {seed: workdir / "runs" / arm / f"seed{seed}" for seed in record["seeds"]}
        for arm, record in summary["architectures"].items()
    }
    gallery = _read(workdir / "gallery.json") or {"thumbnails": {}}
    dataset, split = _read(workdir / "dataset.json"), _read(workdir / "split.json")
    return RunRecords(summary, folders, dataset, split, gallery["thumbnails"], _read(workdir / "probes.json"))


def _read(path: Path) -> dict | None:
    return read_json(path) if path.exists() else None
