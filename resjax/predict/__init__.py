"""A finished comparison as a classifier: loading, calibration, saliency, export and model card."""
