"""Which flags make a recipe; apart from `options`, so that reading records needs no jax."""

OUTSIDE_RECIPE = (
    *("architectures", "seeds", "workdir", "cache_dir", "cache_gb", "compile_cache", "gpu_flags", "pipeline"),
    *("replicas_as", "mesh", "max_minutes"),
    *("dataset", "image_dir", "data_dir", "init_from"),
    *("probes", "probe_seeds", "probe_images", "probe_scored", "landscape_side", "landscape_chunk"),
    *("curvature_steps", "curvature_samples", "dose_training"),
    *("split", "split_seed", "split_file", "folds", "val_fraction", "test_fraction"),
    "train_fraction",
)
"""Flags that do not say what becomes of a replica: those of the first two lines and of the probes never do, the others
only through the data and its split or through the content of a file, which have a fingerprint of their own."""
