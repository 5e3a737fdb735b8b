"""Benchmarks: how fast training is next to PyTorch, for one network, size, batch and precision at a time.

Each side has a process of its own, and the sides take turns: in one process peaks of memory cannot be told apart. The
load of other programs is in the row; a ratio taken on a busy machine favours us. torch gets its best: fused Adam, a
thread for each core, denormals flushed, cuDNN autotuning and TensorFloat-32 on a GPU, and the fastest of
`--torch_modes`. On an accelerator our steps run in one compiled loop, as an epoch does, with each batch gathered
anew. The torch script of `end_to_end` does what the first exercise does, with two loader processes; it has no
near-copies, figures or report, so ours does more. Bytes of a step are XLA's count: kernels inside libraries count as
operands.
"""
