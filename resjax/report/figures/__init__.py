"""The figures of runs, splits, sweeps, probes and depth, drawn by matplotlib from records alone."""
