"""The verdict on results that exist already, of any framework: arrays of numbers, without jax and flax."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int, Num

from resjax.errors import BadInput
from resjax.evaluation.comparison.measures import MEASURES, require_classes
from resjax.evaluation.comparison.paired import Scores, paired_statistics
from resjax.evaluation.comparison.verdict import judged
from resjax.records import Comparison, Interval, plain

Results = (
    Float[np.ndarray, " seed"] | Num[np.ndarray, "seed image"] | Float[np.ndarray, "seed image class"] | Sequence[Any]
)
"""Of one network: scores, which images each seed has right or how it answers them, or logits."""


@dataclass(frozen=True)
class ComparisonResult:
    """The comparison of two networks, candidate minus baseline. `str()` is the verdict in a sentence.

    Shares and their differences are fractions, the log loss is in nats.

    >>> import resjax
    >>> found = resjax.verdict([0.60, 0.61, 0.62, 0.61, 0.60, 0.62], [0.70, 0.69, 0.70, 0.72, 0.68, 0.71])
    >>> isinstance(found, resjax.ComparisonResult), found.verdict, round(found.mean, 2)
    (True, 'candidate better', 0.09)
    """

    record: Comparison
    """Everything that was computed, as resjax writes it into its records."""

    def __str__(self) -> str:
        return self.record.sentence

    def __repr__(self) -> str:
        return f"ComparisonResult({self.record.sentence!r})"

    @property
    def verdict(self) -> str:
        """`candidate better`, `baseline better`, `equivalent` or `inconclusive`."""
        return self.record.verdict or "inconclusive"

    @property
    def mean(self) -> float:
        """The mean difference over the seeds."""
        assert self.record.mean is not None
        return self.record.mean

    @property
    def differences(self) -> list[float]:
        """The difference of each seed."""
        return self.record.differences

    @property
    def interval(self) -> Interval | None:
        """The 95 % interval of the difference: over seeds and images, or over seeds alone where only scores are known.

        None with one seed, and where nothing varies.
        """
        return self.record.ci95

    @property
    def p_value(self) -> float | None:
        """Of no difference; corrected where several comparisons were judged together. None with one seed."""
        return self.record.p_value if self.record.holm_p_value is None else self.record.holm_p_value

    @property
    def equivalence_p_value(self) -> float | None:
        """Of a true difference beyond the margin, corrected likewise; None without a margin."""
        found = self.record.equivalence
        if not found:
            return None
        return found.p_value if found.adjusted_p_value is None else found.adjusted_p_value

    def smallest_detectable(self, seeds: int | None = None) -> float | None:
        """The difference that so many seeds (by default these) find with 80 % power; None where no number is known.

        Other numbers than these are 6, 8, 12 and 20.
        """
        if seeds is None or seeds == len(self.record.seeds):
            return self.record.smallest_detectable
        return self.record.detectable.get(seeds)

    @property
    def seeds_to_settle(self) -> int | None:
        """About how many seeds a difference of this size needs; None where there is a verdict, and beyond 200."""
        return self.record.seeds_to_settle

    def to_dict(self) -> dict[str, Any]:
        """All numbers as plain Python values, ready for JSON."""
        values = plain(self.record)
        assert isinstance(values, dict)
        return values

    def draw(self, path: Path | str) -> Path:
        """Draws every seed's difference with the mean and its interval into a `.png` or `.svg` file."""
        from resjax.report.figures.report_charts import save_difference_chart

        return save_difference_chart(self.record, Path(path))


class _Side(NamedTuple):
    """One network: its score by seed, and what each image adds to it where images are known."""

    scores: Float[np.ndarray, " seed"]
    contributions: Num[np.ndarray, "seed image"] | None


def verdict(
    baseline: Results,
    candidate: Results,
    groups: Int[np.ndarray, " image"] | Sequence[object] | None = None,
    metric: str = "accuracy",
    margin: float | None = None,
    *,
    labels: Int[np.ndarray, " image"] | Sequence[int] | None = None,
    seeds: Sequence[int] | None = None,
    names: tuple[str, str] = ("baseline", "candidate"),
) -> ComparisonResult:
    """Judges whether a candidate is better than a baseline, from results of the same seeds on the same images.

    >>> import numpy as np, resjax
    >>> rng = np.random.default_rng(0)
    >>> right, more = rng.random((6, 500)) < 0.6, rng.random((6, 500)) < 0.8  # (seed, image)
    >>> found = resjax.verdict(right, more, names=("plain", "residual"))
    >>> found.verdict
    'candidate better'
    >>> print(found)  # doctest: +ELLIPSIS
    residual is better than plain: residual minus plain is +... points of accuracy (95 % interval ...

    Args:
      baseline, candidate: one of
        (seed,): the metric of each seed. The interval is then over seeds alone, and says nothing of other images.
        (seed, image), booleans or 0 and 1, without `labels`: which images each seed has right (accuracy alone).
        (seed, image), integers, with `labels`: the class that each seed answers.
        (seed, image, class), with `labels`: logits, or logarithms of probabilities.
        Seed i of both is one pair: trained on the same data in the same order, as far as that is possible.
      groups: (image,) what each image is a copy of: equal values are one picture. By default all images differ.
      metric: `accuracy`, `balanced_accuracy`, `macro_f1` (fractions) or `log_loss` (nats per image, from logits).
      margin: differences closer to zero than this are equivalent; in the unit of the metric, so 0.015 is 1.5 points.
      labels: (image,) the true classes, from 0.
      seeds: the seeds' numbers, for the record; by default 0, 1, ...
      names: of both networks, for the sentence.

    Raises:
      BadInput: for arrays of other shapes or types, values that are not finite, or a metric that they cannot give.
    """
    return verdicts(
        {names[0]: baseline, names[1]: candidate},
        [(names[0], names[1])],
        groups,
        metric,
        margin,
        labels=labels,
        seeds=seeds,
    )[0]


def verdicts(
    networks: Mapping[str, Results],
    comparisons: Sequence[tuple[str, str]] | None = None,
    groups: Int[np.ndarray, " image"] | Sequence[object] | None = None,
    metric: str = "accuracy",
    margin: float | None = None,
    *,
    labels: Int[np.ndarray, " image"] | Sequence[int] | None = None,
    seeds: Sequence[int] | None = None,
) -> list[ComparisonResult]:
    """Judges several comparisons together, so that the chance of any false verdict stays at 5 %.

    >>> import resjax
    >>> scores = {"a": [0.60, 0.61, 0.62], "b": [0.70, 0.69, 0.70], "c": [0.61, 0.60, 0.62]}
    >>> [result.verdict for result in resjax.verdicts(scores)]
    ['inconclusive', 'inconclusive']

    Args:
      networks: the results of each network by name, as for `verdict`.
      comparisons: pairs of names, baseline first; by default every network with the first.
      groups, metric, margin, labels, seeds: as for `verdict`.

    Raises:
      BadInput: as `verdict`, and for names that are not there.
    """
    require_question(metric, margin)
    first, *others = networks
    pairs = [(first, other) for other in others] if comparisons is None else list(comparisons)
    for name in (name for pair in pairs for name in pair):
        if name not in networks:
            raise BadInput(f"comparisons: {name!r} is not among {', '.join(networks)}")
    if not pairs or any(baseline == candidate for baseline, candidate in pairs):
        raise BadInput("comparisons: expected two different networks or more")
    known = None if labels is None else _labels(labels)
    sides = {name: _side(name, results, known, metric) for name, results in networks.items()}
    counted = {name: len(side.scores) for name, side in sides.items()}
    if len(set(counted.values())) > 1:
        raise BadInput(f"expected as many seeds of each network, got {_listed(counted)}")
    images = {name: side.contributions.shape[1] for name, side in sides.items() if side.contributions is not None}
    if len(set(images.values())) > 1 or (images and len(images) < len(sides)):
        raise BadInput(f"expected the same images of each network, got {_listed(images)}")
    numbers = list(range(counted[first])) if seeds is None else [int(seed) for seed in seeds]
    if len(numbers) != counted[first]:
        raise BadInput(f"seeds: expected {counted[first]} numbers, got {len(numbers)}")
    of_images = _groups(groups, images.get(first))
    return [
        ComparisonResult(record)
        for record in judged([_compared(pair, sides, of_images, metric, margin, numbers, len(pairs)) for pair in pairs])
    ]


def require_question(metric: str, margin: float | None) -> None:
    """Raises `BadInput` for an unknown metric, and for a margin outside its range."""
    if metric not in MEASURES:
        raise BadInput(f"metric={metric!r}: expected one of {', '.join(MEASURES)}")
    if margin is not None and not 0 < margin < (1 if MEASURES[metric].is_share else np.inf):
        raise BadInput(f"margin={margin}: expected a number above 0, and below 1 for a fraction; 0.015 is 1.5 points")


def _compared(
    pair: tuple[str, str],
    sides: Mapping[str, _Side],
    groups: Int[np.ndarray, " image"] | None,
    metric: str,
    margin: float | None,
    seeds: Sequence[int],
    comparisons: int,
) -> Comparison:
    first, second = (sides[name] for name in pair)
    scores = None
    if first.contributions is not None and second.contributions is not None and groups is not None:
        scores = Scores(first.contributions, second.contributions, groups)
    differences = (second.scores - first.scores).tolist()
    return paired_statistics(*pair, metric, seeds, differences, scores, comparisons=comparisons, margin=margin)


def _side(name: str, results: Results, labels: Int[np.ndarray, " image"] | None, metric: str) -> _Side:
    values = np.asarray(results)
    if values.dtype.kind not in "buif" or values.ndim not in (1, 2, 3) or not values.size:
        raise BadInput(
            f"{name}: expected numbers of shape (seed,), (seed, image) or (seed, image, class), got {values.dtype} of "
            f"shape {values.shape}"
        )
    if not np.isfinite(values).all():
        raise BadInput(f"{name}: expected finite numbers; leave seeds that diverged out of both networks")
    if values.ndim == 1:
        return _Side(values.astype(float), None)
    measure = MEASURES[metric]
    if labels is None:
        if values.ndim == 3 or metric != "accuracy" or not np.isin(values, (0, 1)).all():
            raise BadInput(
                f"{name}: expected labels with answers and logits; without them (seed, image) says which images are "
                "right, as booleans or 0 and 1, for the accuracy"
            )
        right = values.astype(bool)
        return _Side(right.mean(1), right)
    if values.shape[1] != len(labels):
        raise BadInput(f"{name}: expected {len(labels)} images, as there are labels, got {values.shape[1]}")
    classes = int(labels.max()) + 1
    if values.ndim == 2:
        if metric == "log_loss":
            raise BadInput(f"{name}: metric='log_loss' needs logits of shape (seed, image, class)")
        if values.dtype.kind not in "iu" or values.min() < 0:
            raise BadInput(f"{name}: expected answers that are classes, integers from 0, got {values.dtype}")
        logits = np.eye(max(classes, int(values.max()) + 1))[values]
    else:
        logits = values
    if logits.shape[2] < classes:
        raise BadInput(f"labels: expected classes below {logits.shape[2]}, got {classes - 1}")
    require_classes(metric, [str(number) for number in range(logits.shape[2])], labels, "labels")
    added = np.stack([measure.contributions(of_seed, labels) for of_seed in logits])
    return _Side(added.mean(1), added)


def _labels(labels: Int[np.ndarray, " image"] | Sequence[int]) -> Int[np.ndarray, " image"]:
    values = np.asarray(labels)
    if values.ndim != 1 or values.dtype.kind not in "iu" or not values.size or values.min() < 0:
        raise BadInput(f"labels: expected classes of shape (image,), integers from 0, got {values.dtype}")
    return values


def _groups(
    groups: Int[np.ndarray, " image"] | Sequence[object] | None, images: int | None
) -> Int[np.ndarray, " image"] | None:
    if images is None:
        if groups is not None:
            raise BadInput("groups: expected results image by image; scores of seeds have no images")
        return None
    if groups is None:
        return np.arange(images)
    values = np.asarray(groups)
    if values.shape != (images,):
        raise BadInput(f"groups: expected one value for each of {images} images, got shape {values.shape}")
    # Numbered as they come, so that names and numbers of groups give the same resamples.
    numbers: dict[object, int] = {}
    return np.array([numbers.setdefault(value, len(numbers)) for value in values.tolist()])


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items())
