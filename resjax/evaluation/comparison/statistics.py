"""What several seeds say together: mean, deviation and interval."""

from collections.abc import Sequence

import numpy as np


def describe(values: Sequence[float]) -> dict[str, object]:
    """The values, their mean, standard deviation and 95 % interval of the mean (Student's t over the values).

    With one value there is neither deviation nor interval (None); with none there is no mean either.
    """
    count = len(values)
    mean = float(np.mean(values)) if count else None
    sd = float(np.std(values, ddof=1)) if count > 1 else None
    ci95 = None
    if mean is not None and sd is not None:
        # What scipy.stats.t.ppf calls; importing all of scipy.stats takes half a second.
        from scipy.special import stdtrit

        half = float(stdtrit(count - 1, 0.975)) * sd / count**0.5
        ci95 = [mean - half, mean + half]
    return {"values": [float(v) for v in values], "mean": mean, "sd": sd, "ci95": ci95}
