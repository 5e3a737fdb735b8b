"""Images for training: sources, decoding and cache, duplicates, splits, augmentation, and batches on the device."""
