"""Numbers as a report writes them; what is not known becomes a dash or nothing, never NaN."""

from collections.abc import Mapping
from math import isfinite
from typing import Any

DASH = "–"


def number(value: Any) -> float | None:
    """The value where it is a finite number, else None."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and isfinite(value) else None


def percent(share: object, digits: int = 1) -> str:
    """A fraction in per cent."""
    found = number(share)
    return DASH if found is None else f"{100 * found:.{digits}f} %"


def points(difference: object, digits: int = 1) -> str:
    """A difference of fractions in percentage points, with its sign; one that rounds to 0 has none."""
    found = number(difference)
    if found is None:
        return DASH
    text = f"{100 * found:+.{digits}f}"
    return text[1:] if float(text) == 0 else text.replace("-", "−")


def pair_of(value: object) -> tuple[float, float] | None:
    """The two finite ends of an interval, else None."""
    if not isinstance(value, list | tuple) or len(value) != 2:
        return None
    low, high = (number(end) for end in value)
    return None if low is None or high is None else (low, high)


def points_interval(value: object, digits: int = 1) -> str:
    """An interval of differences in points: `+1.2 to +3.4`."""
    ends = pair_of(value)
    return DASH if ends is None else f"{points(ends[0], digits)} to {points(ends[1], digits)}"


def change(difference: object, measure: str) -> str:
    """A difference in a measure: nats for a loss, percentage points for everything else."""
    if not measure.endswith("loss"):
        return points(difference)
    found = number(difference)
    return DASH if found is None else f"{found:+.3f}".replace("-", "−")


def change_interval(value: object, measure: str) -> str:
    """An interval of `change`; a dash where there is none."""
    ends = pair_of(value)
    return DASH if ends is None else f"{change(ends[0], measure)} to {change(ends[1], measure)}"


def percent_interval(value: object, digits: int = 0) -> str:
    """An interval of fractions in per cent, within 0 and 100: `12 to 34 %`."""
    ends = pair_of(value)
    if ends is None:
        return DASH
    low, high = (100 * min(max(end, 0.0), 1.0) for end in ends)
    return f"{low:.{digits}f} to {high:.{digits}f} %"


def p_value(value: object) -> str:
    """A p-value with two digits that say something; `below 0.0001` for less."""
    found = number(value)
    if found is None:
        return DASH
    return "below 0.0001" if found < 1e-4 else f"{found:.4f}" if found < 0.01 else f"{found:.3f}"


def spread(described: Mapping[str, Any] | None) -> str:
    """Mean and standard deviation of accuracies, in per cent."""
    mean = number((described or {}).get("mean"))
    sd = number((described or {}).get("sd"))
    return DASH if mean is None else f"{100 * mean:.1f}" + (f" ± {100 * sd:.1f}" if sd is not None else "")


def quantity(value: object, unit: str) -> str:
    """A large number with three digits and a prefix: `3.66 GFLOP`."""
    found = number(value)
    if found is None:
        return DASH
    for factor, prefix in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(found) >= factor:
            return f"{found / factor:.3g} {prefix}{unit}"
    return f"{found:g} {unit}"


def counted(count: int, one: str, many: str | None = None) -> str:
    """`1 seed`, `2 seeds`."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def listed(names: list[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
