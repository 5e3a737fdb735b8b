"""PyTorch's side of the benchmarks: the same networks, train steps, augmentation, and the whole first exercise."""
