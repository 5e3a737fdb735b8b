"""All records of a run, or of several runs together; those of a replica are read when they are asked for."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np

from resjax.errors import RecordError
from resjax.records.files import read_lines, read_record
from resjax.records.kinds.dataset import DatasetRecord, Gallery, SplitRecord
from resjax.records.kinds.probes import Probes
from resjax.records.kinds.replica import MetricsLine, Result, read_result
from resjax.records.kinds.summary import Summary
from resjax.records.storage import read_npz

T = TypeVar("T")


class Predictions(NamedTuple):
    """What the network of a replica's best epoch answers on the images of one side."""

    ids: list[str]
    labels: np.ndarray
    """(image,)"""
    logits: np.ndarray
    """(image, class)"""


@dataclass(frozen=True)
class RunRecords:
    """A summary with the folders of its replicas and the other records of its workdir; None for a missing record."""

    summary: Summary
    folders: Mapping[str, Mapping[int, Path]]
    """The folder of each replica, by network and seed."""
    dataset: DatasetRecord | None
    split: SplitRecord | None
    thumbnails: Mapping[str, str]
    """Data URIs of images, by id."""
    probes: Probes | None = None

    def results(self) -> dict[str, dict[int, Result | None]]:
        """`result.json` of each replica by network and seed, None for a replica that has not ended."""
        return {
            network: {seed: _result(folder) for seed, folder in folders.items()}
            for network, folders in self.folders.items()
        }

    def history(self, network: str, seed: int) -> list[MetricsLine]:
        """The lines of `metrics.jsonl`, none if there is no such file."""
        path = self.folders[network][seed] / "metrics.jsonl"
        return read_lines(path, MetricsLine) if path.exists() else []

    def predictions(self, network: str, seed: int, side: str) -> Predictions | None:
        """Predictions on the images of a side, None if they were not kept."""
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
      RecordError: if the workdir holds no summary, or a record that cannot be read.
    """
    summary = _read(workdir / "summary.json", Summary)
    if summary is None:
        raise RecordError(f"{workdir}: no summary.json there; expected the workdir of a comparison")
    gallery = _read(workdir / "gallery.json", Gallery)
    return RunRecords(
        summary,
        folders={
            name: {seed: workdir / "runs" / name / f"seed{seed}" for seed in network.seeds}
            for name, network in summary.architectures.items()
        },
        dataset=_read(workdir / "dataset.json", DatasetRecord),
        split=_read(workdir / "split.json", SplitRecord),
        thumbnails=gallery.thumbnails if gallery else {},
        probes=_read(workdir / "probes.json", Probes),
    )


def _read(path: Path, kind: type[T]) -> T | None:
    return read_record(path, kind) if path.exists() else None


def _result(folder: Path) -> Result | None:
    path = folder / "result.json"
    return read_result(path) if path.exists() else None
