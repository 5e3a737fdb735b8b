"""Scores the networks of a comparison on labelled images from outside of it, and compares them by the run's rule.

Images with a copy in train or val are scored apart, because the epoch was chosen on val; those of test count.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from msgspec import UNSET

from resjax.data.decoding import Fingerprint
from resjax.errors import BadInput
from resjax.evaluation.comparison.comparing import Question
from resjax.evaluation.comparison.designs.labelled import (
    Logits,
    compare_on_labelled,
    measures_of_seeds,
    scores_together,
)
from resjax.evaluation.comparison.measures import require_classes
from resjax.evaluation.comparison.pairs import pairs_asked
from resjax.evaluation.metrics import confusion_matrix
from resjax.models.twins import twins_among
from resjax.predict.copies import MOST_COMPARED, Copies, find_copies
from resjax.predict.labels import Labels
from resjax.predict.predicting import Classified, NamedImage, classify
from resjax.predict.trained_network import ENSEMBLE, TrainedNetwork, network_of, trained_network
from resjax.records import Comparison, LabelledNetwork, LabelledScores, Listed
from resjax.terminal import track

UNREADABLE = "unreadable"
NO_PICTURE = np.empty((0, 0, 3), np.uint8)


@dataclass
class LabelledAnswers:
    """The answers of the network that classifies, collected while it does."""

    labels: Labels
    logits: dict[str, Float[np.ndarray, "seed class"]] = field(default_factory=dict)
    """By the image's name."""
    unreadable: list[Listed] = field(default_factory=list)
    prints: dict[Path, Fingerprint] = field(default_factory=dict)

    def add(self, classified: Classified) -> None:
        """Keeps the answers on a labelled image."""
        if classified.name in self.labels.of:
            if classified.logits is None:
                problem = Listed(id=classified.name, reason=UNREADABLE, detail=classified.problem or "")
                self.unreadable.append(problem)
            else:
                self.logits[classified.name] = classified.logits

    def add_fingerprint(self, path: Path, found: Fingerprint) -> None:
        """Keeps what tells an image from copies of it; no thumbnails where there are too many to be compared."""
        self.prints[path] = found if len(self.labels.of) <= MOST_COMPARED else found._replace(thumbnail=NO_PICTURE)


class Scored(NamedTuple):
    """The networks that are scored, and why they are not compared where they are not."""

    networks: list[str]
    no_comparison: str | None


def score(
    network: TrainedNetwork,
    images: Sequence[NamedImage],
    answers: LabelledAnswers,
    architecture: str | None,
    replica: str,
) -> LabelledScores:
    """The scores of every network of the comparison on labelled images.

    With all seeds asked for, every network of the comparison answers. With one network or one replica asked for, it
    alone does. Images with a copy in train or val of the comparison are scored apart.

    Args:
      network: that classified the images.
      images: all that were named.
      answers: those of `network`.
      architecture, replica: as the command line asked for them.

    Raises:
      BadInput: if no labelled image can be read, or all were seen by the comparison.
    """
    labels = answers.labels
    scored = [image for image in images if image.name in answers.logits]
    if not scored:
        raise BadInput(f"none of {len(labels.of):,} labelled images can be read; expected images")
    truth = np.array([labels.of[image.name] for image in scored], np.int32)
    records = network.records
    prints = [answers.prints[image.path] for image in scored]
    copies = find_copies(records, [image.name for image in scored], prints, truth)
    if copies.is_seen.all():
        raise BadInput(
            f"not scored: all {len(scored):,} labelled images are copies of images that {network.workdir} trained on "
            "or chose the epoch by; expected others"
        )
    asked = scored_networks(network, architecture, replica)
    networks, logits, left_out = {}, {}, []
    for name in asked.networks:
        try:
            other = network if name == network.name else trained_network(network.workdir, name, ENSEMBLE)
        except BadInput as error:
            left_out.append(Listed(id=name, reason="network that cannot answer", detail=str(error)))
            continue
        by_image = [answers.logits[image.name] for image in scored] if other is network else _logits(other, scored)
        of_seeds = dict(zip(other.seeds, np.stack(by_image, 1), strict=True))
        silent = [seed for seed in records.summary.architectures[name].seeds if seed not in of_seeds]
        if replica == ENSEMBLE:
            left_out += [Listed(id=name, reason="replica that cannot answer", detail=f"seed {seed}") for seed in silent]
        networks[name] = _scores_of(other, of_seeds, truth, copies)
        logits[name] = {seed: each[~copies.is_seen] for seed, each in of_seeds.items()}
    new, groups = truth[~copies.is_seen], copies.groups[~copies.is_seen]
    question = _question(network)
    comparisons, reason = _comparisons(network, asked, logits, new, groups, question)
    sizes = np.bincount(new, minlength=len(network.classes))
    return LabelledScores(
        fingerprint=records.summary.dataset.fingerprint,
        classes=dict(zip(network.classes, sizes.tolist(), strict=True)),
        images=len(new),
        groups=len(np.unique(groups)),
        near_copies_known=copies.near_copies_known,
        majority_share=float(sizes.max() / len(new)),
        seen=copies.seen,
        left_out=[*labels.left_out, *answers.unreadable, *left_out],
        metric=question.measure,
        margin=UNSET if question.margin is None else question.margin,
        networks=networks,
        comparisons=comparisons,
        no_comparison=reason,
    )


def scored_networks(network: TrainedNetwork, architecture: str | None, replica: str) -> Scored:
    """All networks where all seeds of any of them were asked for, otherwise the one that classifies."""
    every = list(network.records.summary.architectures)
    if replica != ENSEMBLE:
        return Scored([network.name], f"--replica={replica}: one seed has no interval over seeds, and no verdict")
    if architecture is not None and len(every) > 1:
        return Scored([network.name], f"--architecture={architecture}: without it all networks are compared")
    return Scored(every, "there is one network" if len(every) == 1 else None)


def _logits(network: TrainedNetwork, images: Sequence[NamedImage]) -> list[Float[np.ndarray, "seed class"]]:
    found = []
    for each in track(classify(network, images), f"scoring {network.name}", len(images)):
        if each.logits is None:
            raise BadInput(f"{each.name}: {each.problem}; it could be read a moment ago")
        found.append(each.logits)
    return found


def _scores_of(
    network: TrainedNetwork, logits: Mapping[int, Logits], labels: Int[np.ndarray, " image"], copies: Copies
) -> LabelledNetwork:
    new = ~copies.is_seen
    of_seeds, groups = [each[new] for each in logits.values()], copies.groups[new]
    confusions = [confusion_matrix(each.argmax(-1), labels[new], len(network.classes)) for each in of_seeds]
    with np.errstate(divide="ignore"):
        together = np.log(network.probabilities(np.stack(of_seeds)))
    seen = [(each[~new].argmax(-1) == labels[~new]).mean() for each in logits.values()] if not new.all() else []
    return LabelledNetwork(
        seeds=list(logits),
        measures=measures_of_seeds(of_seeds, labels[new], groups),
        confusion_matrix=np.sum(confusions, axis=0).tolist(),
        together=scores_together(together, labels[new], groups),
        seen_accuracy=float(np.mean(seen)) if seen else None,
    )


def _question(network: TrainedNetwork) -> Question:
    config = network.records.summary.config
    margin = config.get("margin")
    return Question(config.get("metric") or "accuracy", None if margin is None else margin / 100)


def _comparisons(
    network: TrainedNetwork,
    asked: Scored,
    logits: Mapping[str, Mapping[int, Logits]],
    labels: Int[np.ndarray, " image"],
    groups: Int[np.ndarray, " image"],
    question: Question,
) -> tuple[list[Comparison], str | None]:
    """The comparisons, or why there is none."""
    if asked.no_comparison:
        return [], asked.no_comparison
    try:
        require_classes(question.measure, network.classes, labels, "the labelled set")
    except BadInput as error:
        return [], str(error)
    records = network.records
    twins = twins_among([network_of(records, name) for name in asked.networks])
    rule = records.summary.config.get("comparisons") or "twins"
    pairs = pairs_asked(rule, asked.networks, [(each.baseline, each.candidate) for each in twins])
    answered = [pair for pair in pairs if all(logits.get(name) for name in pair)]
    if not answered:
        return [], "no two networks that the comparison compares can both answer"
    given_up = [name for name, each in records.summary.architectures.items() if each.problem is not UNSET]
    found = compare_on_labelled(records.results(), logits, labels, groups, answered, question, given_up)
    return found, None
