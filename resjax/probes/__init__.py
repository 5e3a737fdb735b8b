"""Measured reasons why networks differ: gradients, activations, ablations, saliency, and the shape of the loss."""
