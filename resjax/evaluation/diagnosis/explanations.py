"""What the probes' measurements say: a sentence for each probe, and which usual explanations they support.

All claims of a record are judged together, by simultaneous intervals (Bonferroni). A false "supported" or "not
supported" occurs among them with a probability of at most 5 %: a claim is true, or its effect is absent, or it lies
between, so at most one of the two verdicts on it can be false. Holm's steps would not keep this: after a claim is
supported it can still be one of the false ones of the other kind.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np
from msgspec import UNSET
from msgspec.structs import replace

from resjax.evaluation.comparison.statistics.describing import describe, over_seeds
from resjax.records import Explanation, Interval, Measurement, ProbedNetwork, Probes, Twins

FEWEST_SEEDS = 3
CONFIDENCE = 0.95
"""That the intervals of all claims hold."""
Judgement = Literal["supported", "not supported", "cannot say"]
VERDICTS: tuple[Judgement, ...] = ("supported", "not supported", "cannot say")
Values = Mapping[str, Sequence[float | None]]


class Claim(NamedTuple):
    """A usual explanation, and the measure in which it would show."""

    claim: str
    probe: str
    at: str
    measure: str
    """In words."""
    of: Callable[[Values, Sequence[bool]], float]
    """Computes the measure from a probe's values and from which blocks keep the shape."""
    sign: int
    """1 if the claim predicts a larger measure of the residual network, -1 if a smaller one."""
    least: float
    """The smallest difference that supports the claim, however certain it is."""
    unit: str
    beyond: float | None = None
    """If given, the claim also predicts that the plain network's own measure is this far from 0, on the other side."""
    alone: bool = False
    """Whether the residual network is measured by itself, against 0."""


def _ratio(values: Values, _: Sequence[bool]) -> float:
    norms = _numbers(values["block_inputs"])
    return float(np.log10(norms[0] / norms[-1])) if norms[0] > 0 and norms[-1] > 0 else float("nan")


def _cost_of_a_block(values: Values, kept: Sequence[bool]) -> float:
    return float(values["intact"][0] - _numbers(values["without_block"])[np.asarray(kept)].mean())


def _lost_with_depth(values: Values, _: Sequence[bool]) -> float:
    accuracy = _numbers(values["accuracy"])
    return float(accuracy[-1] - accuracy.max())


CLAIMS = (
    Claim(
        "gradients vanish without the shortcut",
        *("gradients", "init", "log10 of the gradient at the first block over that at the last, before training"),
        *(_ratio, 1, 0.3, "decades", 1.0),
    ),
    Claim(
        "gradients explode towards the input without the shortcut",
        *("gradients", "init", "log10 of the gradient at the first block over that at the last, before training"),
        *(_ratio, -1, 0.3, "decades", 1.0),
    ),
    Claim(
        "gradients shatter without the shortcut",
        *("shattering", "init", "whiteness of the gradient at the first block, before training"),
        *(lambda v, _: float(_numbers(v["whiteness"])[0]), -1, 0.05, ""),
    ),
    Claim(
        "without the shortcut depth makes all images alike",
        *("signals", "init", "correlation between images in what leaves the last block, before training"),
        *(lambda v, _: float(_numbers(v["training_correlation"])[-1]), -1, 0.05, ""),
    ),
    Claim(
        "a residual network is like an ensemble, of which a block can be missing",
        *("lesions", "best", "accuracy lost by deleting one block that keeps the shape, mean over blocks"),
        *(_cost_of_a_block, -1, 0.02, "points"),
    ),
    Claim(
        "the trained residual network relies on its shortcuts",
        *("dose", "best", "accuracy lost at dose 0, statistics estimated anew"),
        *(lambda v, _: float(_numbers(v["accuracy"])[-1] - _numbers(v["accuracy"])[0]), 1, 0.05, "points"),
        *(None, True),
    ),
    Claim(
        "the shortcut smooths the loss around the solution",
        *("landscape", "best", "mean rise of the loss within 0.5 filter lengths"),
        *(lambda v, _: float(_numbers(v["sharpness"])[0]), -1, 0.05, "nats"),
    ),
    Claim(
        "the shortcut lowers the curvature that training starts at",
        *("curvature", "init", "log10 of the largest eigenvalue of the Hessian, before training"),
        *(lambda v, _: float(np.log10(max(_numbers(v["largest"])[0], 1e-12))), -1, 0.1, "decades"),
    ),
    Claim(
        "without the shortcut depth loses what tells the classes apart",
        *("linear", "best", "a linear classifier's accuracy after the last block less that at its best depth"),
        *(_lost_with_depth, 1, 0.02, "points"),
    ),
)
"""The explanations in the order of the paragraph, with their thresholds."""
RULE = (
    "{measure}: supported if the interval of the mean {compared} (Student's t over {few} seeds or more) lies {side} 0 "
    "and the mean is {least} or more{extra}; not supported if the whole interval falls short of {least}{short}; "
    "otherwise the seeds cannot say. {together}"
)


class Evidence(NamedTuple):
    """The measure of a claim in the seeds that both networks of a pair have."""

    claim: Claim
    twins: Twins
    baseline: list[float]
    """Zeros where the residual network is measured by itself."""
    candidate: list[float]

    @property
    def differences(self) -> list[float]:
        return [after - before for before, after in zip(self.baseline, self.candidate, strict=True)]

    @property
    def suffices(self) -> bool:
        """Whether there are enough seeds to judge the claim."""
        return len(self.baseline) >= FEWEST_SEEDS


def explain(record: Probes) -> Probes:
    """The record of `probes.json` with its sentences, the judged explanations and the paragraph, made anew.

    Each residual network is compared with its plain twin, seed by seed. Claims on which there is enough evidence are
    judged together, whatever their pair.
    """
    probes = {
        name: replace(probe, sentence=sentence_of(name, probe.measurements, record.networks))
        for name, probe in record.probes.items()
    }
    found = [
        _evidence(claim, record, twins)
        for twins in twins_of(record)
        for claim in CLAIMS
        if claim.probe in record.probes
    ]
    claims = sum(each.suffices for each in found)
    explanations = [_judged(each, claims) for each in found]
    return replace(record, probes=probes, explanations=explanations, paragraph=paragraph(explanations))


def twins_of(record: Probes) -> list[Twins]:
    """The plain network and the residual one of each pair that is judged, in the order of the residual networks.

    Older records do not say which networks are twins. There a residual network is paired with the first plain one that
    has the same blocks; depth 0 stands for one that is not known.
    """
    networks = record.networks
    if record.twins is not UNSET:
        return [each for each in record.twins if each.baseline in networks and each.candidate in networks]
    pairs = []
    for candidate, network in networks.items():
        alike = [name for name, each in networks.items() if each.shortcut == "none" and each.blocks == network.blocks]
        if network.shortcut != "none" and alike:
            pairs.append(Twins(depth=0, baseline=alike[0], candidate=candidate))
    return pairs


def measured(record: Probes, claim: Claim, network: str) -> dict[int, float]:
    """The claim's measure of each seed of a network, if it is finite."""
    kept = _kept_shapes(record.networks[network])
    found = {}
    for each in record.probes[claim.probe].measurements:
        if each.network == network and each.at == claim.at:
            value = claim.of(each.values, kept)
            if np.isfinite(value):
                found[each.seed] = value
    return found


def _evidence(claim: Claim, record: Probes, twins: Twins) -> Evidence:
    second = measured(record, claim, twins.candidate)
    first = dict.fromkeys(second, 0.0) if claim.alone else measured(record, claim, twins.baseline)
    seeds = [seed for seed in first if seed in second]
    return Evidence(claim, twins, [first[seed] for seed in seeds], [second[seed] for seed in seeds])


def _interval(values: Sequence[float], claims: int) -> Interval | None:
    """The interval of the mean that holds together with those of the other claims."""
    return over_seeds(values, 1 - (1 - CONFIDENCE) / max(claims, 1))


def _judged(found: Evidence, claims: int) -> Explanation:
    claim, twins = found.claim, found.twins
    factor = 100 if claim.unit == "points" else 1
    extra = short = ""
    if claim.beyond is not None:
        own_side = "below" if claim.sign > 0 else "above"
        extra = f", and the plain network's own interval is {own_side} {-claim.sign * claim.beyond:g}"
        short = f", or the plain network's own interval does not reach {-claim.sign * claim.beyond:g}"
    rule = RULE.format(
        measure=claim.measure,
        compared="loss" if claim.alone else "difference between the networks",
        few=FEWEST_SEEDS,
        side="above" if claim.sign > 0 else "below",
        least=f"{factor * claim.least:g} {claim.unit}".strip(),
        extra=extra,
        short=short,
        together=_together(claims),
    )
    return Explanation(
        claim=claim.claim,
        probe=claim.probe,
        measure=claim.measure,
        baseline=twins.baseline,
        candidate=twins.candidate,
        depth=twins.depth or UNSET,
        verdict=_verdict(found, claims),
        sentence=_sentence(found, factor, claims),
        rule=rule,
        differences=found.differences,
        ci95=describe(found.differences).ci95,
        interval=_interval(found.differences, claims),
        claims=claims,
    )


def _together(claims: int) -> str:
    if claims < 2:
        return f"The interval holds with {100 * CONFIDENCE:.0f} %"
    return f"The intervals of all {claims} judged claims hold together with {100 * CONFIDENCE:.0f} % (Bonferroni)"


def _verdict(found: Evidence, claims: int) -> Judgement:
    claim = found.claim
    interval, own = _interval(found.differences, claims), _interval(found.baseline, claims)
    if not found.suffices or interval is None or own is None:
        return "cannot say"
    low, high = sorted(claim.sign * end for end in interval)
    if claim.beyond is not None:
        nearest, farthest = sorted(-claim.sign * end for end in own)
        if farthest < claim.beyond or high < claim.least:
            return "not supported"
        if nearest < claim.beyond:
            return "cannot say"
    if low > 0 and claim.sign * np.mean(found.differences) >= claim.least:
        return "supported"
    return "not supported" if high < claim.least else "cannot say"


def _sentence(found: Evidence, factor: int, claims: int) -> str:
    claim, baseline, candidate = found.claim, found.twins.baseline, found.twins.candidate
    measure = claim.measure[0].upper() + claim.measure[1:]
    if not found.baseline:
        return "No seed of both networks has this measure."
    means = [factor * float(np.mean(each)) for each in (found.baseline, found.candidate)]
    unit = f" {claim.unit}" if claim.unit else ""
    interval = ""
    if ends := _interval(found.differences, claims):
        low, high = (_number(factor * end, "+") for end in ends)
        together = f" for {claims} claims together" if claims > 1 else ""
        interval = f", {100 * CONFIDENCE:.0f} % interval{together} {low} to {high}"
    if claim.alone:
        return f"{measure}: {_number(means[1])}{unit} in {candidate}{interval} ({_count(found.baseline)})."
    return (
        f"{measure}: {baseline} {_number(means[0])}, {candidate} {_number(means[1])}{unit} "
        f"(difference {_number(factor * float(np.mean(found.differences)), '+')}{interval}, {_count(found.baseline)})."
    )


def _number(value: float, sign: str = "") -> str:
    """Two significant digits without an exponent: `140`, `5,600`, `0.0034`; with "+" positive ones have their sign."""
    return f"{float(f'{value:.2g}'):{sign},.10g}"


def paragraph(explanations: Sequence[Explanation]) -> str:
    """Which explanations the measurements support, which they do not, and which remain open."""
    parts = []
    for baseline, candidate in dict.fromkeys((each.baseline, each.candidate) for each in explanations):
        supported, refuted, open_ones = (
            [
                each.claim
                for each in explanations
                if (each.baseline, each.candidate, each.verdict) == (baseline, candidate, verdict)
            ]
            for verdict in VERDICTS
        )
        which = f"that {_joined(supported)}" if supported else "none"
        parts.append(f"Of the usual explanations of {candidate} against {baseline}, the measurements support {which}.")
        if refuted:
            parts.append(f"They do not support that {_joined(refuted)}.")
        if open_ones:
            parts.append(f"These seeds leave it open that {_joined(open_ones)}.")
    if parts:
        if explanations[0].claims:
            parts.append(f"{_together(explanations[0].claims)}.")
        parts.append(
            "This holds for these images, this width and this recipe; it shows what occurs together, not causes."
        )
    return " ".join(parts)


def _joined(claims: Sequence[str]) -> str:
    return "; that ".join(claims)


def sentence_of(name: str, measurements: Sequence[Measurement], networks: Mapping[str, ProbedNetwork]) -> str:
    """One sentence on what a probe measured, with means over seeds."""
    at = "init" if name in ("gradients", "signals", "shattering", "curvature") else "best"

    def means(of: Callable[[Values, Sequence[bool]], float]) -> str:
        found = []
        for name, network in networks.items():
            kept = _kept_shapes(network)
            own = [of(each.values, kept) for each in measurements if (each.network, each.at) == (name, at)]
            own = [value for value in own if np.isfinite(value)]
            if own:
                found.append(f"{_number(float(np.mean(own)))} in {name}")
        return _listed(found) if found else "not measured"

    seeds = _count({each.seed for each in measurements})
    words = {
        "gradients": lambda: (
            "Before training, the gradient that reaches the first block is, relative to that at the "
            f"last, {means(lambda v, _: 10 ** _ratio(v, _))}"
        ),
        "signals": lambda: (
            "Before training, two images correlate in what leaves the last block by "
            f"{means(lambda v, _: float(_numbers(v['training_correlation'])[-1]))}"
        ),
        "shattering": lambda: (
            "Before training, on a line between two images, the whiteness of the gradient at the "
            f"first block is {means(lambda v, _: float(_numbers(v['whiteness'])[0]))} (0: constant, 1: white)"
        ),
        "lesions": lambda: (
            "Deleting one block that keeps the shape costs, in points of accuracy and on average over "
            f"blocks, {means(lambda v, kept: 100 * _cost_of_a_block(v, kept))}"
        ),
        "dose": lambda: (
            "Without its shortcuts, batch statistics estimated anew, the accuracy in per cent is "
            f"{means(lambda v, _: 100 * float(_numbers(v['accuracy'])[0]))}, with them "
            f"{means(lambda v, _: 100 * float(_numbers(v['accuracy'])[-1]))}"
        ),
        "landscape": lambda: (
            "Within half a filter's length in random directions the loss rises on average by, in nats, "
            f"{means(lambda v, _: float(_numbers(v['sharpness'])[0]))}"
        ),
        "curvature": lambda: (
            "Before training, the largest eigenvalue of the loss's Hessian is about "
            f"{means(lambda v, _: float(_numbers(v['largest'])[0]))}"
        ),
        "saliency": lambda: (
            "The maps show which parts of a picture support its own class by Grad-CAM: where a network "
            "looks, not whether that is why it is right"
        ),
        "linear": lambda: (
            "A linear classifier on what leaves the last block has, in per cent, "
            f"{means(lambda v, _: 100 * float(_numbers(v['accuracy'])[-1]))}, at its best depth "
            f"{means(lambda v, _: 100 * float(_numbers(v['accuracy']).max()))}"
        ),
        "connectivity": lambda: (
            "Half-way between two seeds' solutions, with channels matched, the loss is above the "
            f"straight line by at most, in nats, {means(lambda v, _: float(_numbers(v['barrier'])[0]))}"
        ),
    }
    if not measurements:
        return "Nothing could be measured."
    return f"{words[name]()} ({seeds})."


def _numbers(values: Sequence[float | None]) -> np.ndarray:
    return np.array([np.nan if value is None else value for value in values], float)


def _kept_shapes(network: ProbedNetwork) -> list[bool]:
    return [block.keeps_shape for block in network.blocks]


def _count(seeds: Collection[float]) -> str:
    return "1 seed" if len(seeds) == 1 else f"{len(seeds)} seeds"


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
