"""What all measures share: cases, contenders that take turns, the machine, its ceilings, rows and their tables."""
