"""One comparison in one workdir: what is pending, training it, resuming, locking, stopping, and summing up."""
