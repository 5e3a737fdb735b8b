"""Records of comparisons on several splits, made for the tests of tables, figures and schemas."""

from resjax.evaluation.comparison.statistics import describe
from resjax.evaluation.diagnosis.explanations import explain


def splits_record(folds: bool = False, tested: bool = False, seeds: int = 3, arms: tuple[str, ...] = ("a18", "b18")):
    """`splits.json` of three methods, of which two leak, or of three folds of a grouped split."""
    methods = ["grouped"] * 3 if folds else ["overlapping", "random", "grouped"]
    names = ["fold1", "fold2", "fold3"] if folds else methods
    splits = {}
    for place, (name, method) in enumerate(zip(names, methods, strict=True)):
        leaked = 0 if method == "grouped" else 40 - 20 * place
        fold = {"number": place + 1, "of": 3} if folds else None
        splits[name] = {
            "method": method,
            "label": method if leaked == 0 else f"{method} (faulty: shown on purpose)",
            "is_faulty": leaked > 0,
            "fold": fold,
            "sides": {"train": 150, "val": 50, "test": 25 * tested},
            "leaked": {"val": 0 if tested else leaked, "test": leaked // 2 * tested},
            "leaked_images": leaked,
            "architectures": {arm: _arm(index, place, leaked, tested, seeds) for index, arm in enumerate(arms)},
            "comparisons": [_comparison(arms, seeds, "test_accuracy" if tested else "best_val_accuracy")],
        }
    pooled = {
        "images": 150,
        "architectures": {
            arm: {"seeds": [*range(seeds)], "best_val_accuracy": described(0.6, seeds)}
            | {"final_val_accuracy": described(0.55, seeds)}
            for arm in arms
        },
        "comparisons": [_comparison(arms, seeds, "best_val_accuracy")],
    }
    return {
        "schema_version": 1,
        "config": {"folds": 3 if folds else None},
        "dataset": {"name": "synthetic", "classes": ["bakso", "rendang"], "images": 200},
        "splits": splits,
        "cross_validated": pooled if folds else None,
    }


def described(mean: float, seeds: int) -> dict:
    return describe([mean + 0.02 * (seed - (seeds - 1) / 2) for seed in range(seeds)])


def _arm(index: int, place: int, leaked: int, tested: bool, seeds: int) -> dict:
    accuracy = 0.9 - 0.1 * place + 0.03 * index
    arm = {
        "seeds": list(range(seeds)),
        "status": {str(seed): "done" for seed in range(seeds)},
        "best_val_accuracy": described(accuracy, seeds),
        "final_val_accuracy": described(accuracy - 0.05, seeds),
        "final_train_accuracy": described(0.97, seeds),
    }
    if tested:
        arm["test_accuracy"] = described(accuracy - 0.02, seeds)
    if leaked:
        arm |= {"leaked_accuracy": described(0.95, seeds), "clean_accuracy": described(0.65, seeds)}
    return arm


def _comparison(arms: tuple[str, ...], seeds: int, metric: str) -> dict:
    difference = describe([0.03] * seeds)
    names = {"baseline": arms[0], "candidate": arms[-1], "metric": metric, "seeds": list(range(seeds))}
    return names | {"differences": difference["values"], **{key: difference[key] for key in ("mean", "sd", "ci95")}}


def probes_record(seeds: int = 3, plain: float = 2.0, residual: float = 0.5) -> dict:
    """`probes.json` of two arms with two blocks each, whose gradients grow by so many decades towards the input."""
    blocks = [{"stage": stage, "index": 0, "keeps_shape": stage == 0} for stage in range(2)]
    measurements = {"gradients": [], "lesions": [], "saliency": []}
    for arm, decades in (("plain18", plain), ("resnet18", residual)):
        for seed in range(seeds):
            head = {"arm": arm, "seed": seed, "at": "init", "epoch": 0}
            ratio = 10 ** (decades + 0.05 * seed)
            flow = {"block_inputs": [ratio, ratio**0.5, 1.0], "kernels": [0.1, 0.1, 0.1]}
            measurements["gradients"].append(head | {"values": flow})
            best = head | {"at": "best", "epoch": 4}
            without = {"intact": [0.6], "without_block": [0.5 - 0.01 * seed, None if arm == "plain18" else 0.4]}
            measurements["lesions"].append(
                best | {"values": without | {"deleted": [1.0], "without_random": [0.5 - 0.01 * seed]}}
            )
            measurements["saliency"].append(best | {"values": {"size": [2, 2], "000.png": [0.0, 1.0, 0.5, 0.25]}})
    record = {
        "schema_version": 1,
        "environment": {"jax": "0.10"},
        "arms": {
            "plain18": {"blocks": blocks, "shortcut": "none"},
            "resnet18": {"blocks": blocks, "shortcut": "project"},
        },
        "probes": {
            name: {
                "settings": {"images": 64},
                "seconds": 1.0,
                "measurements": each,
                "left_out": [{"arm": "plain18", "seed": 9, "reason": "diverged"}],
                "sentence": "",
            }
            for name, each in measurements.items()
        },
    }
    explain(record)
    return record


def prediction_record() -> dict:
    """What predict says of an image, with a picture of what it looked at."""
    return {
        "image": "photo.jpg",
        "class": "bakso",
        "probability": 0.75,
        "probabilities": {"bakso": 0.75, "rendang": 0.25},
        "problem": "none of them is",
        "architecture": "resnet18",
        "seeds": [0, 1],
        "temperature": 1.5,
        "grad_cam": "pictures/00001_photo.png",
    }


def export_record() -> dict:
    """`config.json` of an exported ensemble of two."""
    calibrated = {"expected_calibration_error": 0.04, "expected_by_chance": 0.03, "loss": 0.9}
    scores = {"precision": 0.5, "recall": 0.5, "f1": 0.5, "support": 20}
    return {
        "schema_version": 1,
        "architecture": "resnet18",
        "width": 4,
        "stem": "imagenet",
        "parameters": 1000,
        "dtype": "float32",
        "seeds": [0, 1],
        "chosen": "resnet18, the ensemble of seeds 0, 1",
        "pooling": "mean",
        "classes": ["bakso", "rendang"],
        "image_size": 32,
        "resize": "bilinear",
        "mean": [0.5, 0.5, 0.5],
        "std": [0.2, 0.2, 0.2],
        "temperature": 1.5,
        "calibration": {
            "temperature": 1.5,
            "problem": "to be told apart from null",
            "images": 40,
            "leaked_left_out": 0,
            "measured_on": "cross-fitted",
            "measured_images": 40,
            "before": calibrated,
            "after": calibrated,
        },
        "scores": {
            "side": "val",
            "images": 40,
            "pictures": 30,
            "accuracy": 0.5,
            "accuracy_ci95": [0.3, 0.7],
            "per_class": {"bakso": scores, "rendang": scores},
        },
        "dataset": {
            "name": "synthetic",
            "fingerprint": "0123456789abcdef",
            "images": 200,
            "splits": {"train": 160, "val": 40},
            "split_label": "grouped",
        },
        "environment": {"jax": "0.10.2"},
        "files": {"seed0.safetensors": {"bytes": 1000, "sha256": "00"}},
    }


def reproduction_record(splits: tuple[str, ...] = ("",), depths: tuple[int, ...] = (20, 56)) -> dict:
    """`reproduction.json` of plain and residual twins, on one split or several."""
    arms = [f"{kind}{depth}" for depth in depths for kind in ("plain", "resnet")]
    loss = {"plain": 1.5, "resnet": 1.25}
    own = [
        {"split": split, "arm": arm, "seeds": [0, 1, 2], "status": dict.fromkeys("012", "done")}
        | {"measures": {"final_val_accuracy": described(0.6, 3), "train_loss": described(loss[arm[:-2]], 3)}}
        for split in splits
        for arm in arms
    ]
    published = {"who": "Somebody", "where": "table 1", "measures": "test error", "high": None, "hedge": ""}
    several = {
        "who": "Others",
        "where": "their READMEs",
        "measures": "lowest to highest",
        "high": 12.5,
        "hedge": "about",
    }
    changes = {"final_val_accuracy": described(0.01, 3), "train_loss": described(-0.25, 3)}
    twins = [{"depth": depth, "baseline": f"plain{depth}", "candidate": f"resnet{depth}"} for depth in depths]
    measures = {
        name: {"by_depth": [described(-0.01 * depth, 3) for depth in depths], "slope": described(-0.1, 3)}
        for name in ("train_accuracy", "train_loss", "val_accuracy", "gap")
    }
    for measure in measures.values():
        measure["slope"]["p_value"] = 0.25
    return {
        "schema_version": 1,
        "target": "cifar10",
        "title": "Twins & <others>",
        "quantity": "error",
        "quick": True,
        "command": "python -m experiments.reproduce --target=cifar10 --quick",
        "environment": {
            **{"processor": "a processor", "cpu_count": 2, "jax": "0.10.2", "flax": "0.12.8"},
            **{"device_kind": "cpu", "device_count": 1},
        },
        "replica_seconds": 600.0,
        "config": {"epochs": 3},
        "dataset": "made",
        "reports": ["comparison/report.html"],
        "notes": ["made: no images at all"],
        "departures": ["--epochs=3: the recipe has 182"],
        "measures": {"final_val_accuracy": "validation, last epoch", "train_loss": "training loss, last epoch (nats)"},
        "published": [
            *({"arm": arm, "value": 10.0 - place, **published} for place, arm in enumerate(arms)),
            {"arm": arms[0], "value": 9.0, **several},
        ],
        "own": own,
        "pairs": [
            {"baseline": pair["baseline"], "candidate": pair["candidate"]}
            | {"own": [{"split": split, "measures": changes} for split in splits]}
            for pair in twins
        ],
        "depth": [{"twins": twins, "seeds": [0, 1, 2], "measures": measures}] if len(splits) == 1 else None,
        "recalls": [{"of": "published", "arm": arms[0], "classes": {"cat": 0.5, "dog": 1.0}}],
        "sentences": ["Inconclusive: made."],
    }
