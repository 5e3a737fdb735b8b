"""What else ran on the machine during a measurement: a side that waits for its threads suffers more from it."""

import os
import time
from pathlib import Path

STAT = Path("/proc/stat")
IDLE = (3, 4)
"""The columns of `/proc/stat` that count waiting."""
GUESTS = 8
"""From this column on it repeats what other columns count."""


class Others:
    """Processor cores that other programs used since it was made; own children count once they have ended."""

    def __init__(self) -> None:
        self._start, self._busy, self._own = time.perf_counter(), _busy_seconds(), _own_seconds()

    def cores(self) -> float | None:
        """The mean number of cores, None where the system does not say."""
        busy = _busy_seconds()
        if busy is None or self._busy is None:
            return None
        used = busy - self._busy - (_own_seconds() - self._own)
        return max(0.0, used) / (time.perf_counter() - self._start)


def _busy_seconds() -> float | None:
    """Of all cores together, since the machine started."""
    try:
        ticks = [int(text) for text in STAT.read_text().splitlines()[0].split()[1:]][:GUESTS]
    except OSError:
        return None
    return sum(count for column, count in enumerate(ticks) if column not in IDLE) / os.sysconf("SC_CLK_TCK")


def _own_seconds() -> float:
    return sum(os.times()[:4])
