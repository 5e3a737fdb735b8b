"""The flags that say what is compared with what, by which measure, and when two networks count as equivalent."""

from absl import flags

from resjax.errors import BadInput
from resjax.evaluation.comparison.comparing import Question
from resjax.evaluation.comparison.measures import MEASURES
from resjax.evaluation.comparison.pairs import RULES
from resjax.training.recipe import require_choice

FLAGS = flags.FLAGS


def define_comparisons_flag() -> None:
    flags.DEFINE_string(
        "comparisons",
        "twins",
        f"one of {', '.join(RULES)}, or pairs such as plain34:resnet34,plain34:se_resnet34 (baseline first). twins: "
        "each plain network with its ResNet, and others with the first network; first: every network with the first; "
        "all: every pair. The more comparisons, the stronger the evidence that each needs",
    )


def define_question_flags() -> None:
    flags.DEFINE_string(
        "metric",
        "accuracy",
        f"one of {', '.join(MEASURES)}: what the verdict is about",
    )
    flags.DEFINE_float(
        "margin",
        None,
        "the largest difference that would not matter, in points (of --metric=log_loss in hundredths of a nat), above "
        "0 and below 100: a comparison can then end as 'equivalent'. Choose it before the run",
    )


def question() -> Question:
    """The flags as settings.

    Raises:
      BadInput: for an unknown metric or a margin outside its range.
    """
    require_choice("--metric", FLAGS.metric, tuple(MEASURES))
    margin = FLAGS.margin
    if margin is not None and not 0 < margin < 100:
        raise BadInput(f"--margin={margin}: expected points above 0 and below 100")
    return Question(FLAGS.metric, None if margin is None else margin / 100)
