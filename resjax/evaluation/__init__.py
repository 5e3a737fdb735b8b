"""What results say: metrics of a network, statistics of a comparison, and a diagnosis of a run, from records alone."""
