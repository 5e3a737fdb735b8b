"""A plan in words and as a table, from its record."""

from resjax.records.kinds.plan import Plan, PlannedSeeds
from resjax.report.tables import Table, in_columns
from resjax.report.words import DASH

POWER = 80
"""Per cent, of every number of a plan."""
EXPLAINED = (
    f"In {POWER} % of such experiments a true difference of this size is found,\n"
    "and equally good networks are shown to be equivalent within this --margin."
)
MOST_SEEDS = 200
"""The largest number of seeds that is planned with."""


def plan_text(plan: Plan) -> str:
    """What the plan rests on, what each number of seeds shows, and answers to what was asked."""
    rows = [[str(each.seeds), *_cells(plan, each)] for each in plan.by_seeds]
    rows.append([f"auto, up to {plan.auto.seeds}", *_cells(plan, plan.auto)])
    head = ["seeds", "difference found", "margin shown"]
    return "\n".join([_ground(plan), "", in_columns(Table(head, rows)), "", EXPLAINED, "", *answers(plan)])


def answers(plan: Plan) -> list[str]:
    """The sentences below the table."""
    judged = "A comparison is" if plan.comparisons == 1 else f"Each of {plan.comparisons} comparisons is"
    found = [
        f"{judged} judged at {100 * plan.level:.2g} %; with --seeds=auto after {', '.join(map(str, plan.auto.looks))} "
        f"seeds at {100 * plan.auto.level:.2g} % each, and it ends early if the difference is large.",
    ]
    if plan.over_images and plan.detectable_at_best is not None:
        found.append(
            "However many seeds there are, these images show no difference below "
            f"{amount(plan.detectable_at_best, plan.metric)} reliably."
        )
    for wanted, needed, words in (
        (plan.difference, plan.seeds_for_difference, "find a difference of"),
        (plan.margin, plan.seeds_for_margin, "show that equally good networks are equivalent within"),
    ):
        if wanted is not None:
            size = amount(wanted, plan.metric)
            found.append(
                f"{MOST_SEEDS} seeds are not enough to {words} {size}: more images are needed."
                if needed is None
                else f"{needed} seeds {words} {size} in {POWER} % of the cases."
            )
    return found


def _ground(plan: Plan) -> str:
    images = f"{plan.images:,} images"
    if plan.groups < plan.images:
        images += f", {plan.groups:,} of them no copies of each other"
    if plan.assumptions is None:
        return f"{plan.source}: {images}\npilot: {plan.pilot}"
    assumed = plan.assumptions
    return (
        f"{plan.source}: {images}\nassumed: accuracy {100 * assumed.accuracy:.3g} %, the networks disagree about "
        f"{100 * assumed.disagreement:.0f} % of the images, the difference has a standard deviation of "
        f"{100 * assumed.spread:.3g} points between seeds"
    )


def amount(difference: float, metric: str) -> str:
    """A difference without its sign: points, or nats of the log loss.

    >>> amount(0.051, "best_val_accuracy"), amount(0.2, "test_log_loss")
    ('5.1 points', '0.200 nats')
    """
    if metric.endswith("log_loss"):
        return f"{difference:.3f} nats"
    return f"{100 * difference:.1f} points"


def _cells(plan: Plan, each: PlannedSeeds) -> list[str]:
    return [DASH if size is None else amount(size, plan.metric) for size in (each.detectable, each.margin)]
