"""The first rule of a diagnosis: which networks are not shown to have learned anything, and what usually helps."""

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from resjax.evaluation.comparison.chance import LEVEL, ChanceTest
from resjax.evaluation.comparison.measures import MEASURES
from resjax.evaluation.diagnosis.rules import finding
from resjax.records import Finding
from resjax.records.defaults import said
from resjax.records.kinds.base import Config

IMBALANCED = 1.5
"""Class weights and another metric are suggested if the largest class has this many times an even share."""
RATES = (0.1, 0.3, 1, 3, 10)
"""The learning rates that a sweep is suggested over, times that of the run."""
SWEEP_SEEDS = 3
OF_COMPARE_ALONE = (
    *("probes", "probe_seeds", "probe_images", "probe_scored", "landscape_side", "landscape_chunk"),
    *("curvature_steps", "curvature_samples", "dose_training", "learning_rate", "seeds", "max_seeds", "workdir"),
    *("comparisons", "metric", "margin"),
)
"""Flags of a comparison that its sweep does not take, or takes with another value."""
WORDS = {"val": "validation", "test": "test"}


def at_chance(
    tests: Mapping[str, ChanceTest | None],
    measure: str,
    classes: Sequence[str],
    sizes: Sequence[int],
    side: str,
    config: Config,
) -> Finding | None:
    """The networks that are not shown to be better than the best answer that does not look at the image.

    See `against_chance` for the test. They share one sentence.

    Args:
      tests: of each network by name; None for a network without a finished seed.
      sizes: images of each class on the reported side.
      side: `val` or `test`.
      config: the flags of the run.
    """
    found = {name: test for name, test in tests.items() if test and not test.is_above}
    if not found:
        return None
    shown = _value(measure)
    parts = [f"{name} ({shown(test.mean)}{_evidence(test)})" for name, test in found.items()]
    blind = next(iter(found.values())).blind
    largest = int(np.argmax(sizes))
    even = max(sizes) == min(sizes)
    if measure == "accuracy" and not even:
        answer = f"always answering {classes[largest]} is right on {shown(blind)} of the {WORDS[side]} images"
    elif measure == "log_loss":
        answer = f"answering with the shares of the classes has {shown(blind)}"
    else:
        answer = f"guessing gives {shown(blind)}"
    optimism = max(test.optimism for test in found.values())
    less = f", less up to {100 * optimism:.1f} points because the best epoch was chosen" if optimism > 0.0005 else ""
    remedies = _remedies(measure, max(sizes) * len(sizes) / sum(sizes), config)
    described = MEASURES[measure].words
    confusions = "its confusions are" if len(found) == 1 else "their confusions are"
    sentence = (
        f"Not shown to be better than chance in {described}: {' and '.join(parts)}{less}; {answer}. "
        f"So {confusions} not described. Usual remedies: {'; '.join(remedies)}."
    )
    evidence = {
        "measure": measure,
        "networks": {name: test._asdict() for name, test in found.items()},
        "largest_class": classes[largest],
        "largest_share": max(sizes) / sum(sizes),
        "level": LEVEL,
        "remedies": remedies,
    }
    return finding("at chance", next(iter(found)) if len(found) == 1 else None, sentence, evidence)


def rate_sweep(config: Config) -> str:
    """The command that tries other learning rates for the networks and the recipe of a run."""
    own = {name: value for name, value in said(config).items() if name not in OF_COMPARE_ALONE}
    rates = ",".join(f"{factor * config.get('learning_rate', 5e-4):.3g}" for factor in RATES)
    workdir = f"{config.get('workdir') or 'runs/compare'}_learning_rates"
    flags = own | {"seeds": SWEEP_SEEDS, "workdir": workdir, "grid": f"learning_rate={rates}"}
    return shlex.join(["resjax", "sweep", *(f"--{name}={value}" for name, value in flags.items())])


def _remedies(measure: str, imbalance: float, config: Config) -> list[str]:
    epochs: Any = config.get("epochs")
    found = [f"more epochs (--epochs={3 * epochs} instead of {epochs})" if epochs else "more epochs (--epochs)"]
    if imbalance >= IMBALANCED and measure in ("accuracy", "log_loss"):
        weights = [] if config.get("class_weights") == "balanced" else ["--class_weights=balanced"]
        found.append(f"{' and '.join([*weights, '--metric=balanced_accuracy'])}, because the classes are uneven")
    return [*found, "another learning rate" if config.get("python") else f"another learning rate: {rate_sweep(config)}"]


def _evidence(test: ChanceTest) -> str:
    seeds = f"{test.seeds} seed{'s' if test.seeds > 1 else ''}"
    if test.p_value is None:
        return f", {seeds}"
    if test.seeds == 1:
        return f", one seed, p = {test.p_value:.2g} over images alone"
    return f", {seeds}, p = {test.p_value:.2g}"


def _value(measure: str):
    if MEASURES[measure].is_share:
        return lambda value: f"{100 * value:.1f} %"
    return lambda value: f"{value:.3f} nats"
