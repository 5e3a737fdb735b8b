"""What a run cannot say, from its own records."""

from collections.abc import Mapping
from typing import Any

from resjax.report.figures.run import leak_warning, split_of
from resjax.report.page.words import counted, number

FEWEST_SEEDS = 6
"""Below this no two-sided sign-flip test over seeds can reach p < 0.05: the least is 2 / 2^n."""


def limits(summary: Mapping[str, Any]) -> list[str]:
    """Sentences on what does not follow from a run; each from its records, none that holds of every experiment."""
    dataset, arms, config = summary["dataset"], summary["architectures"], summary["config"]
    found = []
    unfinished = [
        f"{name} seed {seed} {status}"
        for name, arm in arms.items()
        for seed, status in arm["status"].items()
        if status != "done"
    ]
    if unfinished:
        more = f" and {len(unfinished) - 10} more" if len(unfinished) > 10 else ""
        found.append(f"Not counted: {', '.join(unfinished[:10])}{more}. A mean over the rest may flatter an arm.")
    seeds = min((len(pair["seeds"]) for pair in summary["comparisons"]), default=0)
    if 0 < seeds < FEWEST_SEEDS:
        found.append(
            f"With {counted(seeds, 'seed')}, no two-sided sign-flip test over seeds can be below "
            f"{2 / 2**seeds:.2g}; {FEWEST_SEEDS} seeds can be below 0.05."
        )
    tested = any(arm.get("test_accuracy") for arm in arms.values())
    val = dataset["splits"].get("val", 0)
    if not tested:
        found.append(
            f"The best epoch was chosen on the same {val:,} validation images that it is reported on, so accuracies "
            f"are a little too high, in every arm{_optimism(arms)} (--test_fraction keeps a test set apart)."
        )
    images = dataset["splits"].get("test" if tested else "val", 0)
    if images:
        words = "test" if tested else "validation"
        half = 100 * 1.96 * (0.25 / images) ** 0.5
        found.append(
            f"{images:,} {words} images: chance in drawing them alone moves one network's accuracy of 50 % by "
            f"{half:.1f} points either way (95 %)."
        )
    found.append("All seeds share one split: how the result varies over splits is not in it (--folds=5 shows it).")
    if dataset.get("near_copies") is None:
        found.append("Near-copies were not looked for, or not recorded; exact copies were.")
    if leak_warning(split_of(dataset)):
        found.append("On a split that leaks, accuracies say little about new images, and differences may be hidden.")
    found.append(
        f"One recipe{_recipe(config)} for every arm: none was tuned, and another recipe may rank them otherwise."
    )
    found.append(f"One set of images, {dataset['name']}: nothing here carries over to other images by itself.")
    return found


def _optimism(arms: Mapping[str, Any]) -> str:
    known = {name: number((arm.get("best_optimism") or {}).get("mean")) for name, arm in arms.items()}
    listed = [f"{name} {100 * mean:.1f}" for name, mean in known.items() if mean is not None]
    return f", by about {', '.join(listed)} points" if listed else ""


def _recipe(config: Mapping[str, Any]) -> str:
    phrases = {"epochs": "{} epochs", "optimizer": "{}", "learning_rate": "learning rate {}", "image_size": "{} px"}
    given = [phrase.format(config[flag]) for flag, phrase in phrases.items() if config.get(flag) is not None]
    return f" ({', '.join(given)})" if given else ""
