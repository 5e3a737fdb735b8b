"""Where images come from: csv files, folders, TFDS and drawings, each opened as one `Catalogue`."""
