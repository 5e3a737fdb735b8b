"""Our statistics next to those of statsmodels, on drawn cases; statsmodels is not a dependency of resjax.

pip install statsmodels
python -m experiments.studies.references --json=experiments/results/calibration/references.json
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from absl import flags

from resjax.cli.flags.paths import define_path
from resjax.cli.program import Command, run_command
from resjax.errors import BadInput
from resjax.evaluation.comparison.paired import equivalence
from resjax.evaluation.comparison.statistics.describing import clopper_pearson, wilson
from resjax.evaluation.comparison.statistics.intervals import Components, components_of_images, components_of_seeds
from resjax.evaluation.comparison.statistics.paired_tests import bonferroni, holm, mcnemar_test
from resjax.evaluation.comparison.statistics.planning import power_of, smallest_margin
from resjax.records import Part, Record, write_record
from resjax.report.tables import Table, markdown

FLAGS = flags.FLAGS
SEED = 0
CLUSTERS = "standard error, clusters of 20 seeds and 300 groups"


class Reference(Part, frozen=True, kw_only=True):
    """A statistic by both."""

    what: str
    theirs_is: str
    """The function of statsmodels."""
    ours: list[float]
    theirs: list[float]
    exact: bool
    """Whether both compute the same; otherwise ours approximates theirs, or has other corrections."""


class References(Record, frozen=True, kw_only=True):
    """`references.json`."""

    statsmodels: str
    cases: list[Reference]


class Case(NamedTuple):
    """A statistic of ours, and how to get theirs."""

    what: str
    theirs_is: str
    ours: list[float]
    arguments: tuple
    exact: bool = True


def cases() -> Iterator[Case]:
    """The drawn cases with our values; what statsmodels needs for its own stands in `arguments`."""
    rng = np.random.default_rng(SEED)
    first = 0.6 + 0.04 * rng.standard_normal((3, 8))
    second = first + 0.01 + 0.02 * rng.standard_normal((3, 8))
    found = [equivalence(d.tolist(), components_of_seeds(d.tolist()), 0.03).over_both for d in second - first]
    yield Case("equivalence over seeds, p", "weightstats.ttost_paired", _floats(found), (second, first, 0.03))
    right = rng.random((3, 2, 60)) < 0.6
    p_values = [mcnemar_test(*both).p_value for both in right]
    yield Case("McNemar's exact p", "contingency_tables.mcnemar", _floats(p_values), (right,))
    shares = [(0, 6), (3, 8), (7, 20), (20, 20)]
    for what, ours, method in (("Clopper-Pearson", clopper_pearson, "beta"), ("Wilson", wilson, "wilson")):
        ends = [end for share in shares for end in ours(*share) or ()]
        yield Case(f"{what} interval", "proportion.proportion_confint", ends, (shares, method))
    several = [0.001, 0.012, 0.03, 0.2, 0.011]
    for what, ours in (("holm", holm), ("bonferroni", bonferroni)):
        yield Case(f"p of five comparisons, {what}", "multitest.multipletests", _floats(ours(several)), (several, what))
    planned = [(12, 0.9), (20, 0.7), (30, 0.5)]
    powers = [power_of(Components(0.0, 0.5, 1), seeds, effect) for seeds, effect in planned]
    yield Case("power of a t test over 12, 20, 30 seeds", "power.TTestPower.power", powers, (planned,), exact=False)
    margins = [smallest_margin(Components(0.0, 0.5, 1), seeds) or 0.0 for seeds, _ in planned]
    simulated = "power within the planned margin of 12, 20, 30 seeds, 4,000 simulations"
    yield Case(simulated, "weightstats.ttost_paired", [0.8] * 3, (planned, margins), exact=False)
    sizes = rng.integers(1, 4, 300)
    table = 0.05 + rng.normal(0, 0.1, (20, 1)) + sizes * rng.normal(0, 0.3, 300) + rng.normal(0, 0.5, (20, 300))
    root = components_of_images(table, sizes).variance ** 0.5
    yield Case(CLUSTERS, "sandwich_covariance.cov_cluster_2groups", [root], (table, sizes), exact=False)


def _floats(values) -> list[float]:
    return [float(value) for value in values]


def theirs(case: Case) -> list[float]:
    """The same by statsmodels."""
    from statsmodels.regression.linear_model import OLS
    from statsmodels.stats import contingency_tables, multitest, power, proportion, sandwich_covariance, weightstats

    if case.what.startswith("power within"):
        rng = np.random.default_rng(SEED)
        powers = []
        for (seeds, _), margin in zip(*case.arguments, strict=True):
            drawn = rng.standard_normal((4000, seeds))
            zero = np.zeros(seeds)
            powers.append(
                float(np.mean([weightstats.ttost_paired(d, zero, -margin, margin)[0] <= 0.05 for d in drawn]))
            )
        return powers
    match case.theirs_is.partition(".")[2]:
        case "ttost_paired":
            second, first, margin = case.arguments
            return [
                float(weightstats.ttost_paired(b, a, -margin, margin)[0]) for a, b in zip(first, second, strict=True)
            ]
        case "mcnemar":
            tables = [
                [[(a & b).sum(), (a & ~b).sum()], [(~a & b).sum(), (~a & ~b).sum()]] for a, b in case.arguments[0]
            ]
            return [float(contingency_tables.mcnemar(np.array(table), exact=True).pvalue) for table in tables]
        case "proportion_confint":
            shares, method = case.arguments
            return [float(end) for share in shares for end in proportion.proportion_confint(*share, method=method)]
        case "multipletests":
            return _floats(multitest.multipletests(case.arguments[0], method=case.arguments[1])[1])
        case "TTestPower.power":
            return [float(power.TTestPower().power(effect, seeds, 0.05)) for seeds, effect in case.arguments[0]]
        case _:
            table, sizes = case.arguments
            seeds, images = len(table), int(sizes.sum())
            # A row for each seed and image; a group's sum is shared evenly by its images.
            answers = np.repeat(table / sizes, sizes, axis=1)
            fitted = OLS(answers.ravel(), np.ones(answers.size)).fit()
            seed, group = np.repeat(np.arange(seeds), images), np.tile(np.repeat(np.arange(len(sizes)), sizes), seeds)
            return [float(sandwich_covariance.cov_cluster_2groups(fitted, seed, group)[0][0, 0] ** 0.5)]


def compare_all() -> References:
    """All cases by both.

    Raises:
      BadInput: without statsmodels.
    """
    try:
        import statsmodels
    except ModuleNotFoundError as error:
        raise BadInput("statsmodels is not installed; expected pip install statsmodels") from error
    found = [
        Reference(what=each.what, theirs_is=each.theirs_is, ours=each.ours, theirs=theirs(each), exact=each.exact)
        for each in cases()
    ]
    return References(statsmodels=statsmodels.__version__, cases=found)


def references_table(record: References) -> str:
    """Each case with both values in Markdown."""
    rows = [
        [each.what, f"`{each.theirs_is}`", _listed(each.ours), _listed(each.theirs), "yes" if each.exact else "no"]
        for each in record.cases
    ]
    return markdown(Table(["", "statsmodels", "ours", "theirs", "the same statistic"], rows))


def _listed(values: list[float]) -> str:
    return ", ".join(f"{value:.4f}" for value in values)


def define_reference_flags() -> None:
    define_path("json", None, "file for the record; by default none is written")


def main() -> None:
    record = compare_all()
    if FLAGS.json:
        write_record(FLAGS.json, record)
    print(references_table(record))


COMMAND = Command("studies.references", __doc__ or "", main, (define_reference_flags,))

if __name__ == "__main__":
    run_command(COMMAND)
