"""Accuracies of a sweep over learning rate and weight decay, as maps that its figures and its page show."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from resjax.records import Condition, Sweep, TunedNetwork
from resjax.report.words import DASH, SIDES, plain_number, points

MOST_PAIRS = 6
"""Rows of maps; the numbers of all are in `sweep.json`."""
Ends = tuple[float, float]


class AccuracyMap(NamedTuple):
    """A network's accuracies in per cent, or its differences from a baseline in points, with the counts of seeds."""

    network: str
    baseline: str
    """Of differences; empty for accuracies."""
    values: list[list[float | None]]
    """(decay, learning rate); None where nothing has finished."""
    seeds: list[list[int]]
    """How many seeds each value is the mean of."""
    chosen: tuple[int, int] | None
    """Column and row of the setting that is best for the network."""

    @property
    def title(self) -> str:
        """What is mapped."""
        return f"{self.network} minus {self.baseline}" if self.baseline else self.network

    def text(self, value: float | None) -> str:
        """A value as a cell shows it."""
        if value is None:
            return DASH
        return points(value / 100) if self.baseline else f"{value:.1f}"


class SensitivityMaps(NamedTuple):
    """The maps of one condition: a row for each pair of networks, with their difference at equal settings last."""

    title: str
    note: str
    rates: list[str]
    decays: list[str]
    rows: list[list[AccuracyMap]]
    reach: Ends
    """The least and the largest accuracy, at least one point apart."""
    apart: Ends
    """A range around 0 that holds all differences."""

    def share(self, of: AccuracyMap, value: float | None) -> float:
        """From 0 to 1: how strong the colour of a value is."""
        if value is None:
            return 0.0
        low, high = (0.0, self.apart[1]) if of.baseline else self.reach
        return (abs(value) - low) / (high - low)


def sensitivity_maps(record: Sweep) -> dict[str, SensitivityMaps]:
    """The maps of each condition in which something has finished; none where nothing was tuned."""
    return {
        numbered("sensitivity", record, place): _maps(record, condition)
        for place, condition in enumerate(record.conditions)
        if record.tuned and has_finished(condition)
    }


def has_finished(condition: Condition) -> bool:
    """Whether any network has a setting that is best for it."""
    return any(network.chosen for network in condition.networks.values())


def numbered(name: str, record: Sweep, place: int) -> str:
    """The name of a figure of the condition at that place: with its number where there are several."""
    return f"{name}_{place + 1}" if len(record.conditions) > 1 else name


def reported_accuracy(record: Sweep) -> str:
    """The accuracy that networks are compared by."""
    return "test_accuracy" if record.reported_on == "test" else "best_val_accuracy"


def _maps(record: Sweep, condition: Condition) -> SensitivityMaps:
    key = reported_accuracy(record)
    rates, decays = _axis(record, "learning_rate"), _axis(record, "weight_decay")

    def place(point: str) -> tuple[int, int]:
        choices = record.points[point]
        rate, decay = choices.get("learning_rate", rates[0]), choices.get("weight_decay", decays[0])
        return rates.index(rate), decays.index(decay)

    def cells(found: Callable[[str], Any], absent: Any) -> list[list[Any]]:
        rows = [[absent] * len(rates) for _ in decays]
        for point in condition.points:
            column, row = place(point)
            rows[row][column] = found(point)
        return rows

    def of_network(name: str) -> AccuracyMap:
        network = condition.networks[name]
        values = cells(lambda point: _percent(_mean(network, point, key)), None)
        seeds = cells(lambda point: _done(network, point), 0)
        return AccuracyMap(name, "", values, seeds, place(network.chosen) if network.chosen else None)

    pairs = condition.at_equal_settings[:MOST_PAIRS]
    rows = [
        [
            of_network(pair.baseline),
            of_network(pair.candidate),
            AccuracyMap(
                pair.candidate,
                pair.baseline,
                cells(lambda point, pair=pair: _percent(pair.points[point].mean), None),
                cells(lambda point, pair=pair: pair.points[point].seeds, 0),
                None,
            ),
        ]
        for pair in pairs
    ] or [[of_network(name)] for name in [*condition.networks][:MOST_PAIRS]]
    accuracies = _known(each for row in rows for each in row if not each.baseline)
    low = min(accuracies, default=0.0)
    most = max([1.0, *map(abs, _known(each for row in rows for each in row if each.baseline))])
    note = (
        f"{SIDES[record.reported_on].capitalize()} accuracy in % at the best epoch, mean over finished seeds. Framed: "
        "the setting that is best for a network on validation. Small: of how many seeds, where not all have finished."
    )
    if pairs:
        note += " Last in a row: the difference in points at equal settings, over seeds that both have finished."
    if more := len(condition.at_equal_settings or condition.networks) - len(rows):
        note += f" {more} more are in sweep.json."
    title = "Accuracy at each learning rate and weight decay" + (f": {condition.label}" if condition.label else "")
    reach = low, max([low + 1, *accuracies])
    return SensitivityMaps(title, note, _labels(rates), _labels(decays), rows, reach, (-most, most))


def _axis(record: Sweep, name: str) -> list[Any]:
    values = record.grid.get(name, [record.config.get(name)])
    return sorted(values, key=lambda value: (value is None, value))


def _labels(axis: Sequence[Any]) -> list[str]:
    return ["" if value is None else plain_number(value) for value in axis]


def _known(maps: Iterable[AccuracyMap]) -> Sequence[float]:
    return [value for each in maps for row in each.values for value in row if value is not None]


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share


def _mean(network: TunedNetwork, point: str, key: str) -> float | None:
    found = getattr(network.settings[point], key)
    return found.mean if found else None


def _done(network: TunedNetwork, point: str) -> int:
    return sum(status == "done" for status in network.settings[point].status.values())
