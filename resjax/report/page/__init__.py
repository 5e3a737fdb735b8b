"""The HTML pages of runs, sweeps, audits and reproductions: one file each that loads nothing."""
