"""A sweep: the same comparison at every point of a grid, trained in shares, resumed, merged and summed up.

A point of the grid is a comparison in `cells/POINT`, with its files, checks and resumption. `--grid=FLAG=...` and not
lists in the flags, so that flags keep their types and `config.flags` its meaning. Each replica's folder has a lock,
so several processes may train one sweep. Each network has the setting with the best mean validation accuracy among
those that most seeds finished; twins of one depth are compared at these, with Holm's correction over all pairs and
conditions. Choosing makes two errors: "chosen by the other seeds" shows the first beside the result,
`optimism_of_best` over settings estimates the second. Exit status 1 means that a cell of the share failed; a loss
that is not finite is a result, and 0.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
