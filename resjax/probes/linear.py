"""Linear probes by depth: how well a linear classifier does on what leaves each block."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from resjax.functional import Functional
from resjax.probes.common import Values, seen
from resjax.types import Batch, PixelImages, Variables


@partial(jax.jit, static_argnums=0)
def pooled_features(functional: Functional, variables: Variables, images: PixelImages):
    """The mean over pixels of what enters each block and of what leaves the last one, by the running statistics."""
    return tuple(each.astype(jnp.float32).mean((1, 2)) for each in functional.trace(variables, seen(images)).features)


def linear_probes(functional: Functional, variables: Variables, batch: Batch, training: Batch) -> Values:
    """Accuracy on `batch` of a logistic regression fitted on `training`, for the pooled features of each depth.

    Alain and Bengio 2017, "Understanding intermediate layers using linear classifier probes": scikit-learn's logistic
    regression (C = 1) on features that are standardized by `training`. The two have to hold different pictures.

    Returns:
      `accuracy` and `training_accuracy`, (block + 1,).
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    labels, own_labels = np.asarray(batch.labels), np.asarray(training.labels)
    found = []
    for features, own in zip(
        pooled_features(functional, variables, batch.images),
        pooled_features(functional, variables, training.images),
        strict=True,
    ):
        fitted = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000)).fit(np.asarray(own), own_labels)
        found.append((fitted.score(np.asarray(features), labels), fitted.score(np.asarray(own), own_labels)))
    return dict(zip(("accuracy", "training_accuracy"), np.array(found).T, strict=True))
