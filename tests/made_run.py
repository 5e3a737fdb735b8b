"""A finished run made of records alone, for the tests of the report: no image is decoded and no network trained."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from resjax.evaluation.comparison.summary import compare_arms, summarize_arm
from resjax.evaluation.metrics import accuracy_by_leak, confusion_matrix, loss_and_accuracy, per_class_scores
from resjax.report.records import write_json, write_lines, write_npz

DESCRIBED = ("baseline", "candidate", "metric", "seeds", "differences", "mean", "sd", "ci95")
"""What a comparison has that was described and not tested."""
PIXEL = "data:image/jpeg;base64,/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAP/Z"


def make_run(
    workdir: Path,
    arms: Mapping[str, float],
    *,
    classes: Sequence[str] = ("bakso", "gado_gado", "soto_ayam"),
    seeds: Sequence[int] = (0, 1, 2, 3),
    images: int = 60,
    epochs: int = 6,
    diverged: Sequence[tuple[str, int]] = (),
    pending: Sequence[tuple[str, int]] = (),
    same: bool = False,
    leaked: int = 0,
    config: Mapping[str, object] | None = None,
    ids: Sequence[str] | None = None,
) -> Path:
    """Writes every record of a run into `workdir` and returns it.

    Args:
      arms: the share of right images of each arm, to which seeds differ a little unless they are the `same`.
      leaked: validation images, from the first on, that are said to leak.
    """
    workdir.mkdir(parents=True)
    ids = list(ids or (f"{image:03}.png" for image in range(images)))
    labels = np.arange(images) % len(classes)
    results: dict[str, dict[int, dict | None]] = {arm: {} for arm in arms}
    for place, (arm, share) in enumerate(arms.items()):
        for seed in seeds:
            folder = workdir / "runs" / arm / f"seed{seed}"
            if (arm, seed) in pending:
                results[arm][seed] = None
                continue
            folder.mkdir(parents=True)
            rng = np.random.default_rng(place if same else (place, seed))
            logits = _logits(rng, labels, len(classes), share)
            result = _result(arm, seed, logits, labels, classes, epochs)
            if leaked:
                result |= accuracy_by_leak(logits, labels, np.arange(images) < leaked)
            if (arm, seed) in diverged:
                result |= dict.fromkeys(["best", "loss", "accuracy", "confusion_matrix", "per_class"])
                result |= {"status": "diverged", "diverged_at": {"epoch": 1, "step": 3}}
            else:
                sides = np.array(["val"] * images)
                write_npz(folder / "predictions.npz", id=np.array(ids), label=labels, side=sides, logits=logits)
            results[arm][seed] = result
            write_json(folder / "result.json", result)
            write_lines(folder / "metrics.jsonl", [metrics_line(epoch, share) for epoch in range(1, epochs + 1)])
    _write_data(workdir, ids, labels, classes)
    write_json(workdir / "summary.json", _summary(results, classes, images, leaked, seeds, config or {}))
    write_json(workdir / "gallery.json", {"schema_version": 1, "thumbnails": dict.fromkeys(ids[::2], PIXEL)})
    return workdir


def metrics_line(epoch: int, share: float) -> dict:
    return {
        "epoch": epoch,
        "train_loss": 1.5 / epoch,
        "train_accuracy": min(1.0, 0.1 * epoch + 0.3),
        "val_loss": 1.2 + 0.1 * abs(epoch - 2),
        "val_accuracy": share,
        "learning_rate": 5e-4,
        "is_best": epoch == 1,
        "seconds": 2.0,
        "images_per_second": 100.0,
    }


def _logits(rng: np.random.Generator, labels: np.ndarray, classes: int, share: float) -> np.ndarray:
    """Logits of which exactly about `share` are right; a seed is as sure where it is wrong."""
    wrong = (labels + rng.integers(1, classes, len(labels))) % classes
    right = rng.random(len(labels)) < share
    taken = np.where(right, labels, wrong)
    return (3 * np.eye(classes)[taken] + 0.1 * rng.random((len(labels), classes))).astype(np.float32)


def _result(arm: str, seed: int, logits: np.ndarray, labels: np.ndarray, classes: Sequence[str], epochs: int) -> dict:
    loss, accuracy = loss_and_accuracy(logits, labels)
    confusion = confusion_matrix(logits.argmax(-1), labels, len(classes))
    return {
        "schema_version": 1,
        "architecture": arm,
        "seed": seed,
        "status": "done",
        "parameters": 1000,
        "best": metrics_line(1, accuracy),
        "last": metrics_line(epochs, accuracy) | {"is_best": False},
        "best_updates": 1,
        "evaluated_on": "val",
        "loss": loss,
        "accuracy": accuracy,
        "confusion_matrix": confusion.tolist(),
        "per_class": per_class_scores(confusion, classes),
        "diverged_at": None,
        "timing": {"seconds": 2.5},
    }


def _summary(
    results: Mapping[str, Mapping[int, dict | None]],
    classes: Sequence[str],
    images: int,
    leaked: int,
    seeds: Sequence[int],
    config: Mapping[str, object],
) -> dict:
    ledger = {"parameters": 1000, "forward_flops": 36e6, "forward_flops_xla": None, "activation_bytes": 483_000}
    flags = {"architectures": ",".join(results), "seeds": ",".join(map(str, seeds)), "workdir": "runs/made"}
    return {
        "schema_version": 1,
        "config": {"dataset": "made", "epochs": 6, "learning_rate": 5e-4, "optimizer": "adam"} | flags | config,
        "environment": {
            "jax": "0.10.2",
            "flax": "0.12.8",
            "platform": "cpu",
            "device_kind": "cpu",
            "device_count": 1,
            "git_revision": None,
        },
        "dataset": {
            "name": "made",
            "fingerprint": "0123456789abcdef",
            "classes": list(classes),
            "images": 4 * images,
            "split": "random" if leaked else "grouped",
            "split_label": "random (faulty: shown on purpose)" if leaked else "grouped",
            "split_is_faulty": leaked > 0,
            "splits": {"train": 3 * images, "val": images, "test": 0},
            "exact_copies": 2,
            "near_copies": None,
            "leaked_images": leaked,
            "leaked": {"val": leaked, "test": 0},
            "unreadable": [],
            "left_out": 0,
        },
        "architectures": {arm: ledger | summarize_arm(by_seed, classes) for arm, by_seed in results.items()},
        "comparisons": [{key: pair[key] for key in DESCRIBED} for pair in compare_arms(results)],
    }


def _write_data(workdir: Path, ids: Sequence[str], labels: np.ndarray, classes: Sequence[str]) -> None:
    counts = dict(zip(classes, np.bincount(labels, minlength=len(classes)).tolist(), strict=True))
    dataset = {"schema_version": 1, "name": "made", "classes": counts, "pictures_of_class": counts}
    dataset |= dict.fromkeys(["images", "distinct_contents", "distinct_pictures"], len(ids)) | {"decoded": 0}
    dataset |= {"expected_leak": {"val_fraction": 0.2, "exact": 0.0, "pictures": 0.0}, "given_split": None}
    dataset |= {"excluded": [], "findings": None, "conflicts": [], "groups": []}
    write_json(workdir / "dataset.json", dataset)
    # The first and second image are copies of each other, as are the third and fourth.
    groups = [place // 2 * 2 if place < 4 else place for place in range(len(ids))]
    images = [
        {"id": name, "label": classes[label], "group": f"{group:012}", "side": "val", "content": f"{place:064}"}
        for place, (name, label, group) in enumerate(zip(ids, labels, groups, strict=True))
    ]
    split = {"schema_version": 1, "method": "grouped", "label": "grouped", "seed": 0, "fold": None}
    write_json(workdir / "split.json", split | {"fractions": {"val": 1.0}, "images": images})
