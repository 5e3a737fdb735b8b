"""Published recipes with their published numbers: run over seeds, and set beside ours by `experiments.reproduce`.

A recipe comes with its target and the published numbers, as data, each with its source. A flag that is given wins and
is listed as a departure; so is what the recipe itself does otherwise (the list is printed and in the record).
Published and own numbers never share a row. `scale:224,256,480` makes the images of a step smaller than the stored
ones; evaluation looks at the whole stored image. Depth 110 warms up and so has a folder of its own.
`final_test_accuracy` is the test accuracy after the last epoch, because papers report that one.
"""
