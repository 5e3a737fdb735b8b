"""The entries of a checkout (`python -m experiments.NAME`), with benchmarks, reproductions and studies."""
