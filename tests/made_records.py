"""Records made for the tests of tables, figures, pages and schemas."""

from typing import Any

from resjax.evaluation.comparison.statistics.describing import describe
from resjax.evaluation.diagnosis.explanations import explain
from resjax.records import (
    Comparison,
    CrossValidation,
    Described,
    ExportConfig,
    Fold,
    NetworkOnSplit,
    OverBoth,
    OverSeeds,
    PooledDifference,
    PooledNetwork,
    Prediction,
    Probes,
    ReproductionRecord,
    Splits,
    SplitsDataset,
    SplitSummary,
    from_plain,
    plain,
)
from tests.made_run import environment


def splits_record(
    folds: bool = False, tested: bool = False, seeds: int = 3, networks: tuple[str, ...] = ("a18", "b18")
) -> Splits:
    """`splits.json` of three methods, of which two leak, or of three folds of a grouped split."""
    methods = ["grouped"] * 3 if folds else ["overlapping", "random", "grouped"]
    names = ["fold1", "fold2", "fold3"] if folds else methods
    splits = {}
    for place, (name, method) in enumerate(zip(names, methods, strict=True)):
        leaked = 0 if method == "grouped" else 40 - 20 * place
        splits[name] = SplitSummary(
            method=method,
            label=method if leaked == 0 else f"{method} (faulty: shown on purpose)",
            is_faulty=leaked > 0,
            fold=Fold(number=place + 1, of=3) if folds else None,
            sides={"train": 150, "val": 50, "test": 25 * tested},
            leaked={"val": 0 if tested else leaked, "test": leaked // 2 * tested},
            leaked_images=leaked,
            architectures={
                network: _on_split(index, place, leaked, tested, seeds) for index, network in enumerate(networks)
            },
            comparisons=[_comparison(networks, seeds, "test_accuracy" if tested else "best_val_accuracy")],
        )
    pooled = PooledNetwork(
        seeds=[*range(seeds)], best_val_accuracy=described(0.6, seeds), final_val_accuracy=described(0.55, seeds)
    )
    difference = described(0.03, seeds)
    pair = PooledDifference(
        baseline=networks[0],
        candidate=networks[-1],
        metric="best_val_accuracy",
        seeds=[*range(seeds)],
        differences=difference.values,
        mean=difference.mean,
        sd=difference.sd,
        ci95=difference.ci95,
    )
    cross_validated = CrossValidation(images=150, architectures=dict.fromkeys(networks, pooled), comparisons=[pair])
    return Splits(
        config={"folds": 3 if folds else None},
        dataset=SplitsDataset(name="synthetic", classes=["bakso", "rendang"], images=200),
        splits=splits,
        cross_validated=cross_validated if folds else None,
    )


def described(mean: float, seeds: int) -> Described:
    values = [mean + 0.02 * (seed - (seeds - 1) / 2) for seed in range(seeds)]
    return describe(values)


def _on_split(index: int, place: int, leaked: int, tested: bool, seeds: int) -> NetworkOnSplit:
    accuracy = 0.9 - 0.1 * place + 0.03 * index
    more: dict[str, Any] = {"test_accuracy": described(accuracy - 0.02, seeds)} if tested else {}
    if leaked:
        more |= {"leaked_accuracy": described(0.95, seeds), "clean_accuracy": described(0.65, seeds)}
    return NetworkOnSplit(
        seeds=[*range(seeds)],
        status=dict.fromkeys(range(seeds), "done"),
        best_val_accuracy=described(accuracy, seeds),
        final_val_accuracy=described(accuracy - 0.05, seeds),
        final_train_accuracy=described(0.97, seeds),
        **more,
    )


def _comparison(networks: tuple[str, ...], seeds: int, metric: str) -> Comparison:
    return comparison(networks[0], networks[-1], [0.03] * seeds, metric=metric)


def comparison(baseline: str, candidate: str, differences: list[float], **known: Any) -> Comparison:
    """A comparison of which nothing is known but the differences, and what else is given."""
    found = describe(differences)
    values: dict[str, Any] = {
        "baseline": baseline,
        "candidate": candidate,
        "metric": "best_val_accuracy",
        "seeds": [*range(len(differences))],
        "differences": differences,
        "mean": found.mean,
        "sd": found.sd,
        "ci95": found.ci95,
        "interval": None,
        "p_value": None,
        "test": None,
        "level": 0.05,
        "over_seeds": OverSeeds(p_value=None, test=None, ci95=None),
        "over_images": [],
        "over_both": OverBoth(p_value=None, bootstrap_ci95=None),
        "smallest_detectable": None,
        "detectable": {},
        "seeds_to_settle": None,
        "holm_p_value": None,
        "verdict": "inconclusive",
        "sentence": f"Inconclusive: {candidate} and {baseline} are made.",
    }
    return Comparison(**(values | known))


def probes_record(seeds: int = 3, plain_decades: float = 2.0, residual_decades: float = 0.5) -> Probes:
    """`probes.json` of two networks with two blocks each, whose gradients grow by so many decades towards the input."""
    blocks = [{"stage": stage, "index": 0, "keeps_shape": stage == 0} for stage in range(2)]
    measurements = {"gradients": [], "lesions": [], "saliency": []}
    for network, decades in (("plain18", plain_decades), ("resnet18", residual_decades)):
        for seed in range(seeds):
            head = {"arm": network, "seed": seed, "at": "init", "epoch": 0}
            ratio = 10 ** (decades + 0.05 * seed)
            flow = {"block_inputs": [ratio, ratio**0.5, 1.0], "kernels": [0.1, 0.1, 0.1]}
            measurements["gradients"].append(head | {"values": flow})
            best = head | {"at": "best", "epoch": 4}
            without = {"intact": [0.6], "without_block": [0.5 - 0.01 * seed, None if network == "plain18" else 0.4]}
            measurements["lesions"].append(
                best | {"values": without | {"deleted": [1.0], "without_random": [0.5 - 0.01 * seed]}}
            )
            measurements["saliency"].append(best | {"values": {"size": [2, 2], "000.png": [0.0, 1.0, 0.5, 0.25]}})
    record = {
        "schema_version": 1,
        "environment": environment(),
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
    return explain(from_plain(plain(record | {"explanations": [], "paragraph": ""}), Probes, "made"))


def prediction_record() -> Prediction:
    """What predict says of an image, with a picture of what it looked at."""
    record = {
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
    return from_plain(record, Prediction, "made")


def export_record() -> ExportConfig:
    """`config.json` of an exported ensemble of two."""
    calibrated = {"expected_calibration_error": 0.04, "expected_by_chance": 0.03, "loss": 0.9}
    scores = {"precision": 0.5, "recall": 0.5, "f1": 0.5, "support": 20}
    record = {
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
            "splits": {"train": 160, "val": 40, "test": 0},
            "split_label": "grouped",
        },
        "environment": environment(),
        "files": {"seed0.safetensors": {"bytes": 1000, "sha256": "00"}},
    }
    return from_plain(plain(record), ExportConfig, "made")


def reproduction_record(splits: tuple[str, ...] = ("",), depths: tuple[int, ...] = (20, 56)) -> ReproductionRecord:
    """`reproduction.json` of plain and residual twins, on one split or several."""
    networks = [f"{kind}{depth}" for depth in depths for kind in ("plain", "resnet")]
    loss = {"plain": 1.5, "resnet": 1.25}
    own = [
        {"split": split, "arm": network, "seeds": [0, 1, 2], "status": dict.fromkeys(range(3), "done")}
        | {"measures": {"final_val_accuracy": described(0.6, 3), "train_loss": described(loss[network[:-2]], 3)}}
        for split in splits
        for network in networks
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
        name: {
            "by_depth": [described(-0.01 * depth, 3) for depth in depths],
            "slope": plain(described(-0.1, 3)) | {"p_value": 0.25},
        }
        for name in ("train_accuracy", "train_loss", "val_accuracy", "gap")
    }
    record = {
        "schema_version": 1,
        "target": "cifar10",
        "title": "Twins & <others>",
        "quantity": "error",
        "quick": True,
        "command": "python -m experiments.reproduce --target=cifar10 --quick",
        "environment": environment(),
        "replica_seconds": 600.0,
        "config": {"epochs": 3},
        "dataset": "made",
        "reports": ["comparison/report.html"],
        "notes": ["made: no images at all"],
        "departures": ["--epochs=3: the recipe has 182"],
        "measures": {"final_val_accuracy": "validation, last epoch", "train_loss": "training loss, last epoch (nats)"},
        "published": [
            *({"arm": network, "value": 10.0 - place, **published} for place, network in enumerate(networks)),
            {"arm": networks[0], "value": 9.0, **several},
        ],
        "own": own,
        "pairs": [
            {"baseline": pair["baseline"], "candidate": pair["candidate"]}
            | {"own": [{"split": split, "measures": changes} for split in splits]}
            for pair in twins
        ],
        "depth": [{"twins": twins, "seeds": [0, 1, 2], "measures": measures}] if len(splits) == 1 else None,
        "recalls": [{"of": "published", "arm": networks[0], "classes": {"cat": 0.5, "dog": 1.0}}],
        "sentences": ["Inconclusive: made."],
    }
    return from_plain(plain(record), ReproductionRecord, "made")
