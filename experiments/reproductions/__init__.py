"""Published recipes with their published numbers: run over seeds, and set beside ours by `experiments.reproduce`."""
