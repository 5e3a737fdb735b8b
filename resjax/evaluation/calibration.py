"""Is a network as often right as it is sure? Reliability diagram and expected calibration error, from logits."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from resjax.evaluation.finding import Finding, percent

BINS = 15
"""Bins of equal width between 0 and 1, as in Guo et al. 2017."""
MISCALIBRATED = 0.05
"""Expected calibration error from which there is a sentence..."""
TIMES_CHANCE = 2.0
"""...if it is also this many times that of a perfectly calibrated network on as many images."""


def reliability(logits: Float[np.ndarray, "image class"], labels: Int[np.ndarray, " image"]) -> dict[str, Any] | None:
    """Confidence against accuracy in 15 bins, and the expected calibration error (Guo et al. 2017, "On calibration").

    The error is the mean over images of |accuracy - confidence| of the image's bin; confidence is the largest softmax
    probability. On few images it is above 0 even where calibration is perfect: `expected_by_chance` is about what it
    would be then, sqrt(2 / pi) times the deviation of each bin's number of right ones. None of no images, or where a
    logit is not finite.
    """
    from scipy.special import softmax

    if len(labels) == 0 or not np.isfinite(logits).all():
        return None
    probabilities = softmax(logits.astype(np.float64), axis=-1)
    confidence, right = probabilities.max(-1), logits.argmax(-1) == labels
    place = np.minimum((confidence * BINS).astype(int), BINS - 1)
    images = np.bincount(place, minlength=BINS)
    sure, hits, variance = (
        np.bincount(place, weights=weights, minlength=BINS)
        for weights in (confidence, right.astype(float), confidence * (1 - confidence))
    )
    return {
        "expected_calibration_error": float(np.abs(hits - sure).sum() / len(labels)),
        "expected_by_chance": float(np.sqrt(2 / np.pi * variance).sum() / len(labels)),
        "confidence": float(confidence.mean()),
        "accuracy": float(right.mean()),
        "bins": [
            {"images": int(n), "confidence": float(s / n), "accuracy": float(h / n)}
            for n, s, h in zip(images, sure, hits, strict=True)
            if n
        ],
    }


def pooled_reliability(
    predictions: Sequence[tuple[Float[np.ndarray, "image class"], Int[np.ndarray, " image"]]],
) -> dict[str, Any] | None:
    """The bins of all seeds together, the errors averaged over the seeds; each prediction is `(logits, labels)`."""
    by_seed = [found for logits, labels in predictions if (found := reliability(logits, labels)) is not None]
    if not by_seed:
        return None
    finite = [pair for pair in predictions if np.isfinite(pair[0]).all()]
    pooled = reliability(*(np.concatenate(parts) for parts in zip(*finite, strict=True)))
    errors = ("expected_calibration_error", "expected_by_chance")
    means = {key: float(np.mean([found[key] for found in by_seed])) for key in errors}
    return (pooled or {}) | means | {"seeds": len(by_seed)}


def miscalibration(arm: str, found: Mapping[str, Any]) -> Finding | None:
    """The expected calibration error is at least 0.05, and at least twice what chance makes on as many images."""
    error, chance = found["expected_calibration_error"], found["expected_by_chance"]
    if error < MISCALIBRATED or error < TIMES_CHANCE * chance:
        return None
    confidence, accuracy = found["confidence"], found["accuracy"]
    kind = "too sure" if confidence > accuracy else "not sure enough"
    return Finding(
        "calibration",
        arm,
        f"{arm} is {kind}: its confidence is {percent(confidence)} on average, its accuracy {percent(accuracy)} "
        f"(expected calibration error {100 * error:.0f} points; {100 * chance:.0f} would be chance).",
        {key: value for key, value in found.items() if key != "bins"} | {"least": MISCALIBRATED},
    )
