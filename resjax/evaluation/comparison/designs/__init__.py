"""Comparisons beside pairs of seeds: folds, depths, tuned settings, and labelled images from elsewhere."""
