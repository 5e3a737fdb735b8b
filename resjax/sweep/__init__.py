"""A sweep: the same comparison at every point of a grid, trained in shares, resumed, merged and summed up."""
