"""What the words of a report mean: a sentence for each, to which the texts of a page link."""

import html
import re
from typing import NamedTuple


class Word(NamedTuple):
    """A word with its meaning."""

    name: str
    forms: str
    """A regular expression of the word as texts have it."""
    meaning: str

    @property
    def id(self) -> str:
        """The id of its entry on a page."""
        return "word-" + re.sub(r"\W+", "-", self.name.lower())


COMMON = (
    Word(
        "seed",
        "seeds?",
        "All random choices of a training follow from this number: the first weights, the order of the images, the "
        "augmentation. The networks are trained with the same seeds and compared seed by seed.",
    ),
    Word("points", "(?:percentage )?points?", "Percentage points: from 40 % to 50 % is 10 points."),
    Word(
        "best epoch",
        "best[ -]epoch",
        "An epoch is one pass over the training images. A network is kept as it was after the epoch with its highest "
        "validation accuracy.",
    ),
    Word(
        "interval",
        "[0-9.]+ % intervals?|intervals?",
        "A range in which the true value probably lies: a 95 % interval contains it in about 95 of 100 such "
        "experiments.",
    ),
    Word(
        "p-value",
        "p-values?|p(?= =)",
        "How often a difference this large would come about by chance if the networks were equally good.",
    ),
    Word("recall", "recall", "The share of the images of a class that a network recognizes."),
)
"""The six words that every report explains."""
RARE = (
    Word("inconclusive", "inconclusive", "These seeds and images show neither a difference nor that there is none."),
    Word("equivalent", "equivalent", "The difference is shown to be smaller than the margin that was asked for."),
    Word(
        "candidate better, baseline better",
        "(?:candidate|baseline) better",
        "The baseline is the first network of a pair, the candidate the other one; one of them is shown to be better.",
    ),
    Word(
        "faulty split",
        r"faulty(?: split)?",
        "A split that may put copies of one picture on both sides. It exists to show how much too high accuracies get.",
    ),
    Word(
        "leak",
        "leaked|leaks?",
        "An image of validation or test leaks if it or a copy of it is on another side too. A network may know it by "
        "heart, so accuracies are too high.",
    ),
    Word("grouped split", r"grouped(?: split)?", "A split that keeps all copies of a picture on one side."),
    Word(
        "near-copy",
        "near-cop(?:y|ies)",
        "The same picture in another size, compression or colour, mirrored, or cropped a little.",
    ),
    Word("diverged", "diverged|divergence|diverges", "A training diverged if its loss was no longer a finite number."),
    Word("pending", "pending", "Not trained to the end yet; the same command resumes it."),
    Word("cell", "cells?", "One network, trained with one setting and one seed of a sweep."),
    Word("failed", "failed", "Training could not start or go on, for example because memory ran out."),
    Word("at chance", "at chance", "Not shown to be better than giving the same answer for every image."),
    Word("collapsed class", "collapsed class", "A class that a network hardly ever recognizes."),
    Word("class gained", "class gained", "A class that the second network recognizes more often than the first."),
    Word("class lost", "class lost", "A class that the second network recognizes less often than the first."),
    Word(
        "over-fitting",
        "over-fitting",
        "The network still gets better on the training images, but worse on those of validation.",
    ),
    Word("under-training", "under-training", "The accuracy was still rising when the training ended."),
    Word("instability", "instability", "The accuracy jumps between epochs by more than chance explains."),
    Word("confused pairs", "confused pairs", "Classes of which one is often predicted as the other."),
    Word(
        "calibration",
        "expected calibration error|calibration|calibrated",
        "A network is calibrated if it is right as often as its confidence says. The expected calibration error is the "
        "mean distance from that.",
    ),
    Word(
        "optimistic",
        "optimistic|optimism",
        "Too high, because the epoch or setting was chosen on the same images that the accuracy is reported on.",
    ),
    Word("Bonferroni", "Bonferroni", "Each interval is made wider, so that all of them hold together."),
    Word(
        "Holm",
        "corrected for all comparisons|Holm's correction",
        "Holm's correction: p-values are raised, so that one false verdict among all comparisons stays rare.",
    ),
    Word(
        "sign flips",
        "sign[- ]flips?",
        "A test: how often would the mean difference be this large if the sign of each seed's difference were random?",
    ),
    Word("McNemar", "McNemar", "A test on the images on which only one of two networks is right."),
    Word("80 % power", "80 % power", "A true difference of that size is found in 80 of 100 such experiments."),
    Word("log scale", "log(?:arithmic)? scale", "An axis on which equal steps multiply: 1, 10, 100."),
    Word("nats", "nats", "The unit of the loss: 0 if a network is sure and right, and ln 5 = 1.6 for a guess among 5."),
    Word("Grad-CAM", "Grad-CAM", "A map of the places in an image that speak for a class (Selvaraju et al. 2017)."),
    Word("cannot say", "cannot say", "The measurements agree both with the explanation and with its opposite."),
    Word(
        "fingerprint", "fingerprint", "A number computed from all images, labels and sides: the same for the same data."
    ),
    Word(
        "What this does not show",
        "What this does not show",
        "Conclusions that suggest themselves and do not follow from these records.",
    ),
)
"""Words that are explained on the pages that have them."""


class Glossary:
    """The words of one page: links from its texts, and an entry for each word that is linked.

    Rare words are linked wherever they stand, the six common ones where the page has them first.
    """

    def __init__(self) -> None:
        self._linked: set[str] = set()

    def link(self, text: str) -> str:
        """The text as HTML, with links from its words to their entries."""

        def linked(found: re.Match[str]) -> str:
            word = next(word for word in (*RARE, *COMMON) if found[_group(word)] is not None)
            if word in COMMON and word.name in self._linked:
                return found[0]
            self._linked.add(word.name)
            return f'<a class="word" href="#{word.id}" title="{html.escape(word.meaning)}">{found[0]}</a>'

        markup = _WORDS.sub(linked, html.escape(text, quote=False))
        pieces = re.split(r"(<[^>]*>)", markup)
        pieces[::2] = [_UNBROKEN.sub(_lines, piece) for piece in pieces[::2]]
        return "".join(pieces)

    def entries(self) -> list[Word]:
        """The six common words, and the rare ones that were linked so far."""
        return [*COMMON, *(word for word in RARE if word.name in self._linked)]

    def linked(self) -> list[Word]:
        """The words that were linked so far."""
        return [word for word in (*COMMON, *RARE) if word.name in self._linked]


def _group(word: Word) -> str:
    return "w" + re.sub(r"\W", "_", word.id)


_WORDS = re.compile(
    r"(?<![\w-])(?:" + "|".join(f"(?P<{_group(word)}>{word.forms})" for word in (*RARE, *COMMON)) + r")(?![\w-])", re.I
)
"""Any word; the rare ones come first, because some of them contain a common one."""
_UNBROKEN = re.compile(r"(?<![\w-])--\w[\w-]*|[^\s<>&]{16,}| %")
"""Where lines may not break, or only at some places: a flag, a long name, a number before its sign of per cent."""


def _lines(found: re.Match[str]) -> str:
    """A flag stays on one line, a long name breaks after its separators, a number stays with its sign of per cent."""
    if found[0] == " %":
        return "\N{NO-BREAK SPACE}%"
    if found[0].startswith("--"):
        return f'<span class="flag">{found[0]}</span>'
    return re.sub(r"(?<=[_/=-])(?=\w)|(?<=[.,])(?=[^\W\d])", "<wbr>", found[0])
