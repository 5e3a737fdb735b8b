"""What confusion matrices show: collapsed classes, confused pairs, and what a candidate gains and loses.

There is a confusion matrix for each seed; rows are true classes, columns predicted ones. A class needs enough different
pictures: copies of one picture count once.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float

from resjax.evaluation.comparison.statistics.describing import wilson
from resjax.evaluation.diagnosis.class_table import Confusions
from resjax.evaluation.diagnosis.rules import finding, in_seeds, is_half, percent
from resjax.records import ClassDifference, Finding, plain

COLLAPSED_RECALL = 0.10
"""A class has collapsed if its recall is at most this..."""
COLLAPSED_BOUND = 0.25
"""...and the upper end of Wilson's 95 % interval over pictures is below this, which needs 12 of them."""
CONFUSED_SHARE = 0.20
"""A pair is confused if this fraction of one class is predicted as the other..."""
CONFUSED_PICTURES = 5
"""...and this is at least so many different pictures, on average over the seeds."""
MOST_NAMED = 3
"""How many pairs, and collapsed classes, of a network are named; the last sentence counts further collapsed classes."""


def collapsed_classes(
    network: str, confusions: Confusions, classes: Sequence[str], pictures: Float[np.ndarray, " class"]
) -> list[Finding]:
    """Classes with a recall near 0 in at least half of the seeds, the largest first, and what they are predicted as.

    Recall near 0: at most 10 %, with the upper end of Wilson's 95 % interval over the class's pictures below 25 %.

    Args:
      pictures: how many images without copies would say as much as those of each class (see `Answers.pictures`).
    """
    collapsed = []
    for label, name in enumerate(classes):
        seeds = [
            seed for seed, confusion in confusions.items() if _has_collapsed(confusion[label], label, pictures[label])
        ]
        if is_half(len(seeds), len(confusions)):
            rows = np.sum([confusions[seed][label] for seed in seeds], axis=0)
            taken = {classes[other]: int(rows[other]) for other in np.argsort(-rows, kind="stable") if other != label}
            taken = {other: count for other, count in taken.items() if count}
            collapsed.append((name, int(rows[label]), int(rows.sum()), seeds, taken))
    collapsed.sort(key=lambda each: -each[2])
    findings = []
    for place, (name, right, images, seeds, taken) in enumerate(collapsed[:MOST_NAMED]):
        # Several seeds look at the same images, so shares are clearer than counts.
        shown = percent if len(seeds) > 1 else str
        part = {other: shown(count / images if len(seeds) > 1 else count) for other, count in taken.items()}
        (first, most), *others = part.items()
        sentence = f"{network} lost {name}{in_seeds(len(seeds), len(confusions))}: "
        sentence += "" if len(seeds) > 1 else f"{right} of {images} images right, "
        sentence += f"recall {percent(right / images)}, {most} predicted as {first}"
        sentence += f", {others[0][1]} as {others[0][0]}." if others else "."
        if place == MOST_NAMED - 1 and len(collapsed) > MOST_NAMED:
            more = len(collapsed) - MOST_NAMED
            sentence += f" {more} more of {len(classes)} classes {'is' if more == 1 else 'are'} lost, too."
        evidence = {"class": name, "right": right, "images": images, "seeds": seeds, "taken_for": taken}
        findings.append(finding("collapsed class", network, sentence, evidence | {"most": COLLAPSED_RECALL}))
    return findings


def confused_pairs(
    network: str, confusions: Confusions, classes: Sequence[str], pictures: Float[np.ndarray, " class"]
) -> Finding | None:
    """The true classes that are most often predicted as another one, at most three.

    A pair counts if at least 20 % of the true class, and 5 pictures on average over the seeds, are predicted as the
    other class. It is a description: no interval would allow for these being the largest of all pairs.
    """
    mean = _mean(confusions)
    if mean is None:
        return None
    support = mean.sum(1)
    shares = mean / np.maximum(support, 1)[:, None]
    np.fill_diagonal(shares, 0)
    pairs, words = [], []
    for place in np.argsort(-shares, axis=None, kind="stable")[:MOST_NAMED]:
        true, predicted = divmod(int(place), len(classes))
        share = float(shares[true, predicted])
        # Five of as many pictures, though ratios of floats are never quite whole.
        if share < CONFUSED_SHARE or share * pictures[true] < CONFUSED_PICTURES - 1e-9:
            break
        names = {"true": classes[true], "predicted": classes[predicted]}
        counts = {"share": share, "images": float(mean[true, predicted]), "of": float(support[true])}
        pairs.append(names | counts | {"back": float(shares[predicted, true])})
        words.append(f"{classes[true]} as {classes[predicted]} ({percent(share)} of its images)")
    if not pairs:
        return None
    over = f", on average over {len(confusions)} seeds" if len(confusions) > 1 else ""
    return finding(
        "confused pairs",
        network,
        f"{network} most often predicts {', '.join(words)}{over}.",
        {"pairs": pairs, "least": CONFUSED_SHARE},
    )


def gains_and_losses(baseline: str, candidate: str, differences: Mapping[str, ClassDifference]) -> list[Finding]:
    """The classes whose interval of the difference lies on one side of 0, the largest difference first."""
    findings = []
    for name, each in sorted(differences.items(), key=lambda item: -abs(item[1].difference or 0)):
        first, second, difference, interval = each.baseline, each.candidate, each.difference, each.interval
        if first is None or second is None or difference is None or interval is None:
            continue
        low, high = interval
        if low <= 0 <= high:
            continue
        kind, verb = ("class gained", "gains") if difference > 0 else ("class lost", "loses")
        findings.append(
            finding(
                kind,
                candidate,
                f"{candidate} {verb} {name} against {baseline}: recall {percent(second)} instead of {percent(first)}, "
                f"{100 * difference:+.0f} points ({100 * low:+.0f} to {100 * high:+.0f}, 95 % for all classes "
                f"together, over {each.interval_over}).",
                {"class": name, "baseline_arm": baseline, **plain(each)},
            )
        )
    return findings


def _has_collapsed(row: np.ndarray, label: int, pictures: float) -> bool:
    recall = float(row[label] / max(row.sum(), 1))
    interval = wilson(recall * pictures, pictures)
    return interval is not None and recall <= COLLAPSED_RECALL and interval[1] < COLLAPSED_BOUND


def _mean(confusions: Confusions) -> np.ndarray | None:
    return np.stack(list(confusions.values())).astype(np.float64).mean(0) if confusions else None
