"""What learning curves, confusion matrices, confidences and probes show, in sentences with stated thresholds."""
