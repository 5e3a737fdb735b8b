"""A finished run made of records alone, for the tests of the report: no image is decoded and no network trained."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np

from resjax.evaluation.comparison.comparing import compare_networks
from resjax.evaluation.comparison.summary import summarize_network
from resjax.evaluation.metrics import accuracy_by_leak, confusion_matrix, loss_and_accuracy, per_class_scores
from resjax.records import (
    NUMERICS_VERSION,
    DatasetRecord,
    Diverged,
    Done,
    Environment,
    ExpectedLeak,
    Gallery,
    MetricsLine,
    NetworkCosts,
    SplitImage,
    SplitRecord,
    Summary,
    SummaryDataset,
    from_plain,
    plain,
    write_lines,
    write_npz,
    write_record,
)

PIXEL = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAwAAAAMBAMAAACkW0HUAAAAGFBMVEXw3JavnDzLkjyHkDzWcDzIXTyGdjyMYDwTa4GJ"
    "AAAAQ0lEQVR42kXKMQ2AMAAEwOunApCAFAY8oYYERQQJSOgKCZSR6ZYrS2/PIeCn3CuVzT7kvOjynn8ZopISbTJKV2fSwAcEDg+3h2v5wQAAAABJRU5E"
    "rkJggg=="
)
"""A picture of 12 x 12 pixels."""
Results = Mapping[str, Mapping[int, Done | Diverged | None]]


def make_run(
    workdir: Path,
    networks: Mapping[str, float],
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
      networks: the share of right images of each, to which seeds differ a little unless they are the `same`.
      leaked: validation images, from the first on, that are said to leak.
    """
    workdir.mkdir(parents=True)
    ids = list(ids or (f"{image:03}.png" for image in range(images)))
    labels = np.arange(images) % len(classes)
    results: dict[str, dict[int, Done | Diverged | None]] = {name: {} for name in networks}
    for place, (name, share) in enumerate(networks.items()):
        for seed in seeds:
            folder = workdir / "runs" / name / f"seed{seed}"
            if (name, seed) in pending:
                results[name][seed] = None
                continue
            folder.mkdir(parents=True)
            rng = np.random.default_rng(place if same else (place, seed))
            logits = _logits(rng, labels, len(classes), share)
            if (name, seed) in diverged:
                result = _diverged(name, seed, share, epochs)
            else:
                result = _done(name, seed, logits, labels, classes, epochs, leaked)
                sides = np.array(["val"] * images)
                write_npz(folder / "predictions.npz", id=np.array(ids), label=labels, side=sides, logits=logits)
            results[name][seed] = result
            write_record(folder / "result.json", result)
            write_lines(folder / "metrics.jsonl", [metrics_line(epoch, share) for epoch in range(1, epochs + 1)])
    _write_data(workdir, ids, labels, classes)
    write_record(workdir / "summary.json", _summary(results, classes, images, leaked, seeds, config or {}))
    write_record(workdir / "gallery.json", Gallery(thumbnails=dict.fromkeys(ids[::2], PIXEL)))
    return workdir


def metrics_line(epoch: int, share: float) -> MetricsLine:
    return MetricsLine(
        epoch=epoch,
        train_loss=1.5 / epoch,
        train_accuracy=min(1.0, 0.1 * epoch + 0.3),
        val_loss=1.2 + 0.1 * abs(epoch - 2),
        val_accuracy=share,
        learning_rate=5e-4,
        is_best=epoch == 1,
        seconds=2.0,
        images_per_second=100.0,
    )


def environment() -> Environment:
    return Environment(
        jax="0.10.2",
        flax="0.12.8",
        platform="cpu",
        device_kind="cpu",
        device_count=1,
        process_count=1,
        cpu_count=2,
        xla_flags=None,
        git_revision=None,
        dtype="float32",
    )


def _logits(rng: np.random.Generator, labels: np.ndarray, classes: int, share: float) -> np.ndarray:
    """Logits of which exactly about `share` are right; a seed is as sure where it is wrong."""
    wrong = (labels + rng.integers(1, classes, len(labels))) % classes
    right = rng.random(len(labels)) < share
    taken = np.where(right, labels, wrong)
    return (3 * np.eye(classes)[taken] + 0.1 * rng.random((len(labels), classes))).astype(np.float32)


def _done(
    name: str,
    seed: int,
    logits: np.ndarray,
    labels: np.ndarray,
    classes: Sequence[str],
    epochs: int,
    leaked: int,
) -> Done:
    loss, accuracy = loss_and_accuracy(logits, labels)
    confusion = confusion_matrix(logits.argmax(-1), labels, len(classes))
    record = {
        "schema_version": 1,
        "architecture": name,
        "seed": seed,
        "status": "done",
        "parameters": 1000,
        "best": metrics_line(1, accuracy),
        "last": metrics_line(epochs, accuracy),
        "best_updates": 1,
        "trained_as": ["alone"],
        "evaluated_on": "val",
        "loss": loss,
        "accuracy": accuracy,
        "confusion_matrix": confusion,
        "per_class": per_class_scores(confusion, classes),
        "last_three_val_accuracy": accuracy,
        "best_optimism": None,
        "timing": {"seconds": 2.5, "training_seconds": 2.0, "device": "cpu"},
    }
    if leaked:
        record |= accuracy_by_leak(logits, labels, np.arange(len(labels)) < leaked)
    return from_plain(plain(record), Done, "made")


def _diverged(name: str, seed: int, share: float, epochs: int) -> Diverged:
    record = {
        "schema_version": 1,
        "architecture": name,
        "seed": seed,
        "status": "diverged",
        "parameters": 1000,
        "best": None,
        "last": metrics_line(epochs, share),
        "best_updates": 0,
        "trained_as": ["alone"],
        "evaluated_on": "val",
        "diverged_at": {"epoch": 1, "step": 3},
        "timing": {"seconds": 2.5, "training_seconds": 2.0, "device": "cpu"},
    }
    return from_plain(plain(record), Diverged, "made")


def _summary(
    results: Results,
    classes: Sequence[str],
    images: int,
    leaked: int,
    seeds: Sequence[int],
    config: Mapping[str, object],
) -> Summary:
    costs = NetworkCosts(
        parameters=1000, forward_flops=36e6, forward_flops_xla=None, activation_bytes=483_000, init_from=None
    )
    flags = {"architectures": ",".join(results), "seeds": ",".join(map(str, seeds)), "workdir": "runs/made"}
    return Summary(
        recipe_version=NUMERICS_VERSION,
        config={"dataset": "made", "epochs": 6, "learning_rate": 5e-4, "optimizer": "adam"} | flags | dict(config),
        environment=environment(),
        dataset=SummaryDataset(
            name="made",
            fingerprint="0123456789abcdef",
            classes=list(classes),
            images=4 * images,
            split="random" if leaked else "grouped",
            split_label="random (faulty: shown on purpose)" if leaked else "grouped",
            split_is_faulty=leaked > 0,
            splits={"train": 3 * images, "val": images, "test": 0},
            exact_copies=2,
            near_copies=None,
            leaked_images=leaked,
            leaked={"val": leaked, "test": 0},
            unreadable=[],
            left_out=0,
        ),
        architectures={name: summarize_network(of, classes, costs) for name, of in results.items()},
        comparisons=compare_networks(results, [*combinations(results, 2)]),
        depth=None,
    )


def _write_data(workdir: Path, ids: Sequence[str], labels: np.ndarray, classes: Sequence[str]) -> None:
    counts = dict(zip(classes, np.bincount(labels, minlength=len(classes)).tolist(), strict=True))
    dataset = DatasetRecord(
        name="made",
        classes=counts,
        images=len(ids),
        distinct_contents=len(ids),
        distinct_pictures=len(ids),
        pictures_of_class=counts,
        decoded=0,
        excluded=[],
        findings=None,
        expected_leak=ExpectedLeak(val_fraction=0.2, exact=0.0, pictures=0.0),
        given_split=None,
        conflicts=[],
        groups=[],
    )
    write_record(workdir / "dataset.json", dataset)
    # The first and second image are copies of each other, as are the third and fourth.
    groups = [place // 2 * 2 if place < 4 else place for place in range(len(ids))]
    split = SplitRecord(
        method="grouped",
        label="grouped",
        seed=0,
        fold=None,
        train_fraction=1.0,
        fractions={"val": 1.0},
        images=[
            SplitImage(id=name, label=classes[int(label)], group=f"{group:012}", side="val", content=f"{place:064}")
            for place, (name, label, group) in enumerate(zip(ids, labels, groups, strict=True))
        ],
    )
    write_record(workdir / "split.json", split)
