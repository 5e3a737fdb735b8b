"""The table of a suite's rows, and the rule for seeds together that follows from them."""

from collections.abc import Sequence

from resjax.report.tables import Table, markdown
from resjax.run.progress import duration
from resjax.training.replicas import SMALL_STEP

from .settings import SuiteRow


def latest(rows: Sequence[SuiteRow]) -> list[SuiteRow]:
    """The last row of each case on each device, in the order in which the cases came first."""
    return list({(row.step, row.case, row.device): row for row in rows}.values())


def suite_markdown(rows: Sequence[SuiteRow]) -> str:
    """A table with a row for each case, and the rule for seeds together; for the page of the benchmarks."""
    found = latest(rows)
    cells = [
        [row.step, row.case, row.status if row.status == "done" else f"{row.status}: {row.why}", duration(row.seconds)]
        + [row.text or "–"]
        for row in found
    ]
    table = markdown(
        Table(["step", "case", "outcome", "time", "measured"], [[_cell(text) for text in row] for row in cells])
    )
    rule = seeds_rule(found)
    return f"{table}\n\n{rule}" if rule else table


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def seeds_rule(rows: Sequence[SuiteRow]) -> str:
    """What the measured costs of seeds together say of `auto`'s rule; empty without a measurement on a card."""
    found = [row for row in latest(rows) if row.step == "seeds" and row.status == "done" and not row.rehearsal]
    measured = sorted(((row.values["step_flops"], row) for row in found), key=lambda pair: pair[0])
    if not measured:
        return ""
    cheaper, sentences = [], []
    for flops, row in measured:
        costs = {**row.values["cost"], "sequential": float(row.values["seeds"])}
        best = min(costs, key=costs.__getitem__)
        cheaper.append((flops, best))
        told = ", ".join(f"{way} {cost:.2f}" for way, cost in costs.items())
        sentences.append(f"at {flops:.2g} operations a step {best} is the cheapest ({told} epochs of one seed)")
    wrong = [flops for flops, best in cheaper if (best == "vmap") != (flops < SMALL_STEP)]
    verdict = (
        f"The rule, vmap below {SMALL_STEP:.0e} and otherwise sequential, is not the cheapest at "
        f"{', '.join(f'{flops:.2g}' for flops in wrong)} operations."
        if wrong
        else f"The rule, vmap below {SMALL_STEP:.0e} and otherwise sequential, fits."
    )
    return f"Seeds together: {'; '.join(sentences)}. {verdict}"
