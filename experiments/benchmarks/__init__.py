"""Benchmarks: how fast training is next to PyTorch, for one network, size, batch and precision at a time."""
