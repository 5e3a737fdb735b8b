"""Comparisons whose replicas are not trained, for the tests of what comes before and after training."""

from types import SimpleNamespace

import msgspec
import numpy as np
import pytest

from resjax.evaluation.metrics import per_class_scores
from resjax.records import Summary, read_record, write_npz, write_record
from resjax.run import compare as engine
from resjax.run import comparison
from tests.made_results import made_done


def undiagnosed(workdir, dataset):
    return msgspec.structs.replace(read_record(workdir / "summary.json", Summary), diagnosis=[])


@pytest.fixture
def trained(monkeypatch):
    """Replicas that only write what training would leave; `gain` is how much more the residual arm has right."""
    started, gain = [], {"residual": 0.0, "plain": 0.0}

    def replica_folder(trainer, name, seed, folder, dataset, sides, *rest):
        return name, seed, folder, dataset, sides["val"]

    def run_replicas(programs, way, replicas, on_epoch):
        return [run_replica(*replica) for replica in replicas]

    def run_replica(name, seed, folder, dataset, images):
        started.append((name, seed))
        rng = np.random.default_rng([seed, len(name)])
        right = rng.random(len(images)) < 0.4 + gain[name]
        logits = np.stack([~right, right], 1).astype(np.float32)
        folder.mkdir(parents=True)
        side = np.full(len(images), "val")
        write_npz(folder / "predictions.npz", label=np.ones(len(images), int), side=side, logits=logits)
        matrix = np.eye(len(dataset.classes), dtype=int)
        scores = per_class_scores(matrix, dataset.classes)
        done = made_done(float(right.mean()), matrix=matrix.tolist(), per_class=scores, train_accuracy=0.5)
        result = msgspec.structs.replace(done, architecture=name, seed=seed)
        write_record(folder / "result.json", result)
        (folder / "metrics.jsonl").write_text("")
        return result

    monkeypatch.setattr(comparison, "run_replicas", run_replicas)
    monkeypatch.setattr(comparison, "ReplicaFolder", replica_folder)
    monkeypatch.setattr(comparison, "Trainer", lambda *arguments: SimpleNamespace(compile_ahead=lambda *_: None))
    monkeypatch.setattr(engine, "draw_figures", lambda workdir: [])
    # What these replicas leave is enough for the verdict, and not for a page about them.
    monkeypatch.setattr(engine, "write_run_report", undiagnosed)
    return started, gain


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")
