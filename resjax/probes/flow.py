"""What flows through a network, block by block: gradients, activations, and information on the class."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from resjax.functional import Functional
from resjax.models.changes import Changes
from resjax.probes.common import Values, layer_kernels, mean_loss, network_input, zero_additions
from resjax.types import Batch, Features, PixelImages, Variables


@partial(jax.jit, static_argnums=0)
def gradient_flow(functional: Functional, variables: Variables, batch: Batch) -> Values:
    """Norms of the gradient of the mean loss L by the input of each block, and by the kernel of each layer.

      block_inputs[l] = |dL/dx_l|,   kernels[i] = |dL/dW_i| / |W_i|

    Norms are Euclidean over the whole batch; batch norm uses the batch's own statistics, as in training. If gradients
    vanish, `block_inputs` falls from the last entry (the output of the last block) to the first (the output of the
    stem): Glorot and Bengio 2010, section 4.2; He et al. 2016 (identity mappings), equation 5. `kernels` shows the
    relative size of a step (You et al. 2017, LARS, section 4), for stem, blocks and head, without shortcuts.

    Returns:
      `block_inputs`, (block + 1,); `kernels`, (layer,).
    """
    images = network_input(batch.images)

    def loss(parameters, added):
        changed = Variables(parameters, variables.statistics)
        return mean_loss(functional.trace(changed, images, Changes(added=added), training=True).logits, batch.labels)

    by_parameters, by_features = jax.grad(loss, argnums=(0, 1))(
        variables.parameters, zero_additions(functional, variables, images)
    )
    gradients = layer_kernels(by_parameters, functional.architecture)
    weights = layer_kernels(variables.parameters, functional.architecture)
    return {
        "block_inputs": jnp.stack([_norm(each) for each in by_features]),
        "kernels": jnp.stack([_norm(gradients[name]) / jnp.maximum(_norm(weights[name]), 1e-30) for name in weights]),
    }


@partial(jax.jit, static_argnums=0)
def signal_flow(functional: Functional, variables: Variables, batch: Batch) -> Values:
    """Mean and variance of the input x_l of each block l, and its correlation between images.

      mean[l] = E x_l,  variance[l] = Var x_l  over images, pixels and channels;
      correlation[l] = mean over pairs a < b of Pearson's correlation between x_l(a) and x_l(b), pixels and channels
      flattened.

    All are measured with batch norm by the batch's statistics (`training_...`) and by the running ones
    (`inference_...`). A correlation of 1 means that the block cannot tell images apart (Schoenholz et al. 2017, section
    3; De and Smith 2020 for the variance along a residual branch). The last entry is the output of the last block.

    Returns:
      `training_mean`, `inference_mean`, ..._variance, ..._correlation: (block + 1,) each.
    """
    found = {}
    for mode, training in (("training", True), ("inference", False)):
        features = functional.trace(variables, network_input(batch.images), training=training).features
        described = [_mean_variance_correlation(each) for each in features]
        for place, name in enumerate(("mean", "variance", "correlation")):
            found[f"{mode}_{name}"] = jnp.stack([each[place] for each in described])
    return found


@partial(jax.jit, static_argnums=0)
def pooled_features(
    functional: Functional, variables: Variables, images: PixelImages
) -> tuple[Float[Array, "batch channel"], ...]:
    """Means over pixels of the input of each block and the output of the last, by the running statistics."""
    return tuple(
        each.astype(jnp.float32).mean((1, 2)) for each in functional.trace(variables, network_input(images)).features
    )


def linear_probes(functional: Functional, variables: Variables, batch: Batch, training: Batch) -> Values:
    """Accuracy on `batch` of a logistic regression fitted on `training`, for the pooled features of each depth.

    Alain and Bengio 2017, "Understanding intermediate layers using linear classifier probes", with scikit-learn's
    logistic regression (C = 1) on features standardized by `training`. The two batches must hold different pictures.

    Returns:
      `accuracy` and `training_accuracy`, (block + 1,), as fractions.
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


def _norm(array: Float[Array, "..."]) -> Float[Array, ""]:
    return jnp.sqrt(jnp.sum(jnp.square(array.astype(jnp.float32))))


def _mean_variance_correlation(features: Features) -> tuple[Float[Array, ""], Float[Array, ""], Float[Array, ""]]:
    flat = features.astype(jnp.float32).reshape(len(features), -1)
    centred = flat - flat.mean(1, keepdims=True)
    unit = centred / jnp.maximum(jnp.linalg.norm(centred, axis=1, keepdims=True), 1e-30)
    alike = unit @ unit.T
    images = len(flat)
    pairs = max(images * (images - 1), 1)
    return flat.mean(), flat.var(), (alike.sum() - jnp.trace(alike)) / pairs
