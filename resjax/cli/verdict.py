"""Is the second network better than the first? The verdict on results that exist already, of any framework.

  resjax verdict plain.csv residual.csv
  resjax verdict plain.csv residual.csv --metric=macro_f1 --margin=1.5 --json=verdict.json --figure=verdict.png
  resjax verdict plain.csv residual.csv bigger.csv

Each file is one network and gives it its name. With one row for each seed it has the columns seed and score. With one
row for each seed and image it has the columns seed, image, and either correct (1 or 0), or label and prediction, or
label and a column logit_NAME for each class; a column group may tell which images are copies of one picture. With
images the interval is for other seeds and other images, with scores for other seeds alone. Every network is compared
with the first, all of them together at the 5 % level.
"""

import json
from pathlib import Path

from absl import flags

from resjax.cli.flags.paths import define_path
from resjax.cli.flags.verdict import define_question_flags, question
from resjax.cli.program import Command
from resjax.errors import BadInput

FLAGS = flags.FLAGS


def define_flags() -> None:
    define_path("json", None, "file for all numbers")
    define_path("figure", None, "file for a picture of the seeds' differences, .png or .svg; only for two networks")


def main(words: list[str]) -> None:
    from resjax.api.result_tables import read_results
    from resjax.api.verdicts import verdicts

    if len(words) < 2:
        raise BadInput("expected two csv files or more, the baseline first, such as plain.csv residual.csv")
    if FLAGS.figure and len(words) > 2:
        raise BadInput("--figure: expected two networks")
    asked = question()
    tables = read_results([Path(word) for word in words])
    results = verdicts(
        tables.networks,
        None,
        tables.groups,
        asked.measure,
        asked.margin,
        labels=tables.labels,
        seeds=tables.seeds,
    )
    for result in results:
        print(result)
    if FLAGS.json:
        Path(FLAGS.json).write_text(json.dumps([result.to_dict() for result in results], indent=2) + "\n")
    if FLAGS.figure:
        results[0].draw(FLAGS.figure)


COMMAND = Command("verdict", __doc__, main, (define_question_flags, define_flags), takes_words=True)
