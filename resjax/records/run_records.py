"""All records of a run, or of several runs together, with those of each replica read when they are asked for."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np

from resjax.records.dataset import DatasetRecord, Gallery, SplitRecord
from resjax.records.files import read_lines, read_record
from resjax.records.probes import Probes
from resjax.records.replica import Diverged, Done, MetricsLine, read_result
from resjax.records.storage import RecordError, read_npz
from resjax.records.summary import Summary

T = TypeVar("T")


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

    summary: Summary
    folders: Mapping[str, Mapping[int, Path]]
    """The folder of each replica that was asked for, by network and seed."""
    dataset: DatasetRecord | None
    split: SplitRecord | None
    thumbnails: Mapping[str, str]
    """Data URIs of pictures, by id."""
    probes: Probes | None = None
    """What the probes measured."""

    def results(self) -> dict[str, dict[int, Done | Diverged | None]]:
        """`result.json` of each replica, None of one that has not ended."""
        return {
            network: {seed: _result(folder / "result.json") for seed, folder in seeds.items()}
            for network, seeds in self.folders.items()
        }

    def history(self, network: str, seed: int) -> list[MetricsLine]:
        """The lines of `metrics.jsonl`, none where there is no such file."""
        path = self.folders[network][seed] / "metrics.jsonl"
        return read_lines(path, MetricsLine) if path.exists() else []

    def predictions(self, network: str, seed: int, side: str) -> Predictions | None:
        """Predictions on the images of a side, None where they were not kept."""
        path = self.folders[network][seed] / "predictions.npz"
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
    summary = _read(workdir / "summary.json", Summary)
    if summary is None:
        raise RecordError(f"{workdir}: no summary.json there; expected the workdir of a comparison")
    folders = {
        name: {seed: workdir / "runs" / name / f"seed{seed}" for seed in network.seeds}
        for name, network in summary.architectures.items()
    }
    gallery = _read(workdir / "gallery.json", Gallery)
    return RunRecords(
        summary,
        folders,
        _read(workdir / "dataset.json", DatasetRecord),
        _read(workdir / "split.json", SplitRecord),
        gallery.thumbnails if gallery else {},
        _read(workdir / "probes.json", Probes),
    )


def _read(path: Path, kind: type[T]) -> T | None:
    return read_record(path, kind) if path.exists() else None


def _result(path: Path) -> Done | Diverged | None:
    return read_result(path) if path.exists() else None
