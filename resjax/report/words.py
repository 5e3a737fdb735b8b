"""Numbers as tables and pages write them; what is not known becomes a dash, never NaN."""

from collections.abc import Mapping, Sequence
from typing import TypeVar

from msgspec import UNSET, UnsetType

from resjax.records import Described

T = TypeVar("T")
DASH = "–"
SIDES: Mapping[str, str] = {"train": "training", "val": "validation", "test": "test"}
"""The sides of a split in words."""
Ends = Sequence[float] | None
"""Lower and upper end of an interval."""


def known(value: T | None | UnsetType) -> T | None:
    """The value; None where a record lacks its key."""
    return None if value is UNSET or isinstance(value, UnsetType) else value


def mean_of(described: Described | None | UnsetType) -> float | None:
    """The mean of values; None without values, or where the record lacks them."""
    found = known(described)
    return None if found is None else found.mean


def plain_number(value: float) -> str:
    """A number as a reader writes it: `0.02`, `1.5`, `20,000`.

    >>> plain_number(20_000.0), plain_number(0.02), plain_number(1e-5)
    ('20,000', '0.02', '1e-5')
    """
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:g}".replace("e-0", "e-")


def percent(share: float | None, digits: int = 1) -> str:
    """A fraction in per cent: `12.3 %`."""
    return DASH if share is None else f"{100 * share:.{digits}f} %"


def points(difference: float | None, digits: int = 1) -> str:
    """A difference of fractions in percentage points, with its sign; one that rounds to 0 has none."""
    if difference is None:
        return DASH
    text = f"{100 * difference:+.{digits}f}"
    return text[1:] if float(text) == 0 else text.replace("-", "−")


def unsigned_points(difference: float | None, digits: int = 1) -> str:
    """The size of a difference of fractions in percentage points."""
    return DASH if difference is None else f"{100 * abs(difference):.{digits}f}"


def plain_points(difference: float) -> str:
    """The same as `points` for the terminal and Markdown: always with a sign, in ASCII."""
    # Adding zero takes the sign from a zero.
    return f"{round(100 * difference, 1) + 0.0:+.1f}"


def with_width(ends: tuple[float, float] | None) -> tuple[float, float] | None:
    """The interval; None where it has no width.

    Where all seeds agree to the last bit, an interval would claim what nobody knows.
    """
    return None if ends is None or ends[0] >= ends[1] else ends


def points_interval(ends: Ends, digits: int = 1) -> str:
    """An interval of differences in points: `+1.2 to +3.4`."""
    return DASH if ends is None else f"{points(ends[0], digits)} to {points(ends[1], digits)}"


def change(difference: float | None, measure: str) -> str:
    """A difference in a measure: nats for a loss, percentage points for everything else."""
    if not measure.endswith("loss"):
        return points(difference)
    return DASH if difference is None else f"{difference:+.3f}".replace("-", "−")


def change_interval(ends: Ends, measure: str) -> str:
    """An interval of `change`."""
    return DASH if ends is None else f"{change(ends[0], measure)} to {change(ends[1], measure)}"


def unsigned_change(difference: float | None, measure: str) -> str:
    """The size of a change, with its unit: `1.2 points`, `0.034 nats`."""
    if difference is None:
        return DASH
    if measure.endswith("loss"):
        return f"{abs(difference):.3f} nats"
    return f"{unsigned_points(difference)} points"


def unit_of(measure: str) -> str:
    """What a change in a measure is counted in."""
    return "nats" if measure.endswith("loss") else "points"


def metric_heading(metric: str, validation: str = "val") -> str:
    """A metric of a comparison as a column's heading.

    >>> metric_heading("best_val_macro_f1"), metric_heading("test_accuracy")
    ('val macro F1, best epoch', 'test accuracy, best epoch')
    """
    words = metric.removeprefix("test_").removeprefix("best_val_").replace("_", " ").replace(" f1", " F1")
    return f"{'test' if metric.startswith('test_') else validation} {words}, best epoch"


def percent_interval(ends: Ends, digits: int = 0) -> str:
    """An interval of fractions in per cent, within 0 and 100: `12 to 34 %`."""
    if ends is None:
        return DASH
    low, high = (100 * min(max(end, 0.0), 1.0) for end in ends)
    return f"{low:.{digits}f} to {high:.{digits}f} %"


def p_value(value: float | None) -> str:
    """A p-value with two significant digits; `below 0.0001` for less."""
    if value is None:
        return DASH
    return "below 0.0001" if value < 1e-4 else f"{value:.4f}" if value < 0.01 else f"{value:.3f}"


def spread(described: Described | None | UnsetType, unknown: str = DASH) -> str:
    """Mean and standard deviation of accuracies, in per cent: `12.3 ± 4.5`."""
    found = known(described)
    if found is None or found.mean is None:
        return unknown
    return f"{100 * found.mean:.1f}" + (f" ± {100 * found.sd:.1f}" if found.sd is not None else "")


def spread_of(described: Described | None | UnsetType, measure: str, unknown: str = DASH) -> str:
    """`spread` of any measure: a loss is in nats, all others are in per cent."""
    found = known(described)
    if not measure.endswith("loss") or found is None or found.mean is None:
        return spread(found, unknown)
    return f"{found.mean:.3f}" + (f" ± {found.sd:.3f}" if found.sd is not None else "")


def measure_asked(config: Mapping[str, object]) -> str:
    """The measure of --metric where it is another one than the accuracy, otherwise nothing."""
    measure = str(config.get("metric") or "accuracy")
    return "" if measure == "accuracy" else measure


def quantity(value: float | None, unit: str) -> str:
    """A large number with three digits and a prefix: `3.66 GFLOP`."""
    if value is None:
        return DASH
    for factor, prefix in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= factor:
            return f"{value / factor:.3g} {prefix}{unit}"
    return f"{value:g} {unit}"


def counted(count: int, one: str, many: str | None = None) -> str:
    """`1 seed`, `2 seeds`."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def listed(names: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
