"""Curvature: the largest eigenvalues and the trace of the Hessian of the loss, from Hessian-vector products alone."""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from resjax.functional import Functional
from resjax.probes.common import Values, mean_loss, network_input
from resjax.types import Batch, Parameters, PRNGKey, Variables

Product = Callable[[Float[Array, " number"]], Float[Array, " number"]]


@partial(jax.jit, static_argnums=0)
def hessian_vector(functional: Functional, variables: Variables, batch: Batch, vector: Parameters) -> Parameters:
    """H v for the Hessian H of the mean loss by the parameters, with batch norm by the batch's statistics.

    Reverse over reverse, d/dp <dL/dp, v> (Pearlmutter 1994). Forward over reverse gives the same up to rounding; the
    numbers of committed records were computed this way.
    """
    images = network_input(batch.images)

    def loss(parameters):
        changed = Variables(parameters, variables.statistics)
        return mean_loss(functional.trace(changed, images, training=True).logits, batch.labels)

    def along(parameters):
        products = jax.tree.map(lambda g, v: jnp.vdot(g, v), jax.grad(loss)(parameters), vector)
        return sum(jax.tree.leaves(products))

    return jax.grad(along)(variables.parameters)


def curvature(
    functional: Functional,
    variables: Variables,
    batch: Batch,
    key: PRNGKey,
    *,
    steps: int = 10,
    samples: int = 6,
) -> Values:
    """The largest eigenvalues of the Hessian by `steps` of Lanczos, and its trace by `samples` of Hutchinson.

    Each step and each sample is one Hessian-vector product.

    Returns:
      `largest`, (1,); `eigenvalues`, (step,): those of Lanczos, of which the outermost have converged; `error`, (1,):
      bound on the distance of `largest` from a true eigenvalue; `trace` and its standard error `trace_error`, (1,).
    """
    flat, restore = ravel_pytree(variables.parameters)

    def product(vector):
        return ravel_pytree(hessian_vector(functional, variables, batch, restore(vector)))[0]

    first, second = jax.random.split(key)
    eigenvalues, errors = lanczos(product, flat.size, first, steps)
    trace, trace_error = hutchinson(product, flat.size, second, samples)
    top = int(np.argmax(eigenvalues))
    return {
        "largest": np.array([eigenvalues[top]]),
        "eigenvalues": eigenvalues,
        "error": np.array([errors[top]]),
        "trace": np.array([trace]),
        "trace_error": np.array([trace_error]),
    }


def lanczos(
    product: Product, size: int, key: PRNGKey, steps: int
) -> tuple[Float[np.ndarray, " step"], Float[np.ndarray, " step"]]:
    """Approximate eigenvalues of a symmetric matrix from `steps` products with it, and a bound on the error of each.

    Golub and Van Loan 2013, section 10.1, with full reorthogonalization; the outermost eigenvalues converge first. The
    bound on the distance from a true eigenvalue is |beta_m s_mi| (Parlett 1980, section 13.2). There are fewer than
    `steps` eigenvalues if the vectors span an invariant subspace earlier.
    """
    vector = np.asarray(jax.random.normal(key, (size,)), np.float64)
    basis, diagonal, beside = [vector / np.linalg.norm(vector)], [], []
    for _ in range(min(steps, size)):
        image = np.asarray(product(jnp.asarray(basis[-1], jnp.float32)), np.float64)
        diagonal.append(float(image @ basis[-1]))
        for _ in range(2):  # Once is not enough in floating point (Parlett 1980, section 6.9).
            image = image - np.array(basis).T @ (np.array(basis) @ image)
        beside.append(float(np.linalg.norm(image)))
        if beside[-1] < 1e-6 * max(1e-12, max(map(abs, diagonal))):
            break
        basis.append(image / beside[-1])
    matrix = np.diag(diagonal) + np.diag(beside[: len(diagonal) - 1], 1) + np.diag(beside[: len(diagonal) - 1], -1)
    eigenvalues, vectors = np.linalg.eigh(matrix)
    return eigenvalues, np.abs(beside[len(diagonal) - 1] * vectors[-1])


def hutchinson(product: Product, size: int, key: PRNGKey, samples: int) -> tuple[float, float]:
    """Mean and standard error of v^T H v over random signs v: an unbiased estimate of the trace (Hutchinson 1989)."""
    found = []
    for each in jax.random.split(key, samples):
        signs = jax.random.rademacher(each, (size,), jnp.float32)
        found.append(float(jnp.vdot(signs, product(signs))))
    return float(np.mean(found)), float(np.std(found, ddof=1) / samples**0.5) if samples > 1 else float("nan")
