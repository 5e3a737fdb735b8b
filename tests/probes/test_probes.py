"""Each probe against a closed form or brute force on a tiny network."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from resjax.errors import BadInput
from resjax.functional import Functional
from resjax.models.architecture import Architecture
from resjax.models.changes import Changes
from resjax.probes.ablations import lesions, random_sets, shortcut_dose
from resjax.probes.common import layer_kernels, mean_loss, network_input
from resjax.probes.connectivity import arrays_by_path, channel_groups, connectivity, match_channels, reorder_channels
from resjax.probes.curvature import curvature, hessian_vector, hutchinson, lanczos
from resjax.probes.flow import gradient_flow, linear_probes, pooled_features, signal_flow
from resjax.probes.landscape import filter_normalized, landscape
from resjax.probes.saliency import grad_cam
from resjax.probes.shattering import autocorrelation, shattering, whiteness
from resjax.types import Batch, Variables

pytestmark = pytest.mark.smoke


@pytest.fixture(scope="module")
def batch() -> Batch:
    rng = np.random.default_rng(0)
    return Batch(jnp.asarray(rng.integers(0, 255, (12, 9, 8, 3), dtype=np.uint8)), jnp.arange(12) % 3)


@pytest.fixture(scope="module")
def lively(tiny) -> Variables:
    """Variables whose statistics and head are not as they start, so that every part matters."""
    variables = tiny.init(jax.random.key(3))
    variables.parameters["head"]["kernel"] = jax.random.normal(jax.random.key(4), (8, 3))
    images = jax.random.normal(jax.random.key(5), (16, 9, 8, 3))
    return Variables(variables.parameters, tiny.batch_statistics(variables, images))


def wrong(trace, labels):
    return np.asarray(jax.nn.softmax(trace.logits)) - np.eye(3)[np.asarray(labels)]


def test_gradient_flow_ends_in_the_gradient_that_the_head_gives_back(tiny, lively, batch):
    found = gradient_flow(tiny, lively, batch)
    trace = tiny.trace(lively, network_input(batch.images), training=True)
    head, last = np.asarray(lively.parameters["head"]["kernel"]), np.asarray(trace.features[-1])
    error = wrong(trace, batch.labels) / len(batch.labels)
    pixels = last.shape[1] * last.shape[2]
    # Each pixel's share of the mean gets the same gradient, error W^T / pixels.
    expected = np.linalg.norm(error @ head.T) / np.sqrt(pixels)
    np.testing.assert_allclose(found["block_inputs"][-1], expected, rtol=1e-4)
    by_head = np.linalg.norm(last.mean((1, 2)).T @ error) / np.linalg.norm(head)
    np.testing.assert_allclose(found["kernels"][-1], by_head, rtol=1e-4)
    assert found["block_inputs"].shape == (3,) and found["kernels"].shape == (6,)
    assert list(layer_kernels(lively.parameters, tiny.architecture))[1] == "stage0.block0.conv1"


def test_signal_flow_is_mean_variance_and_correlation(tiny, lively, batch):
    found = signal_flow(tiny, lively, batch)
    for mode, training in (("training", True), ("inference", False)):
        for place, features in enumerate(tiny.trace(lively, network_input(batch.images), training=training).features):
            flat = np.asarray(features, np.float64).reshape(12, -1)
            pairs = np.corrcoef(flat)[np.triu_indices(12, 1)]
            expected = (flat.mean(), flat.var(), pairs.mean())
            measured = [found[f"{mode}_{name}"][place] for name in ("mean", "variance", "correlation")]
            np.testing.assert_allclose(measured, expected, rtol=1e-3, atol=1e-4)


def test_autocorrelation_tells_noise_from_what_changes_slowly():
    rng = np.random.default_rng(1)
    noise = rng.normal(size=(64, 500)).astype(np.float32)
    found = autocorrelation(jnp.asarray(noise), 8)
    centred = noise - noise.mean(0)
    brute = [(centred[: 64 - lag] * centred[lag:]).sum() / (centred**2).sum() for lag in range(9)]
    np.testing.assert_allclose(found, brute, atol=1e-4)
    assert np.abs(found[1:]).max() < 0.1
    turning = np.linspace(0, np.pi, 64)
    slow = jnp.asarray(np.stack([np.cos(turning), np.sin(turning)], 1), jnp.float32)
    assert autocorrelation(slow, 8)[1] > 0.9
    np.testing.assert_allclose(whiteness(slow), 1 - np.cos(np.pi / 63), rtol=1e-2)
    assert abs(float(whiteness(jnp.asarray(noise))) - 1) < 0.05


def test_shattering_takes_each_points_own_gradient(tiny, lively, batch):
    found = shattering(tiny, lively, batch, 5)
    images = network_input(batch.images)
    still = Variables(lively.parameters, tiny.batch_statistics(lively, images))
    line = [(1 - t) * images[0] + t * images[1] for t in np.linspace(0, 1, 5)]
    one = jax.jit(jax.grad(lambda image: tiny.apply_eval(still, image[None])[0, 0]))
    alone = jnp.stack([one(image).ravel() for image in line])
    np.testing.assert_allclose(found["autocorrelation"], autocorrelation(alone), rtol=1e-3, atol=1e-4)
    # The head is linear in what leaves the last block: that gradient is the same everywhere.
    np.testing.assert_allclose(found["whiteness"][-1], 0, atol=1e-5)


def test_lesions_delete_what_they_say(tiny, lively, batch):
    found = lesions(tiny, lively, batch)
    accuracy = [
        float(
            (
                tiny.trace(lively, network_input(batch.images), Changes(branch=jnp.array(b))).logits.argmax(-1)
                == batch.labels
            ).mean()
        )
        for b in ([1.0, 1.0], [0.0, 1.0], [1.0, 0.0])
    ]
    np.testing.assert_allclose([found["intact"][0], *found["without_block"]], accuracy, atol=1e-6)
    assert found["deleted"].tolist() == [1] and found["without_random"][0] == found["without_block"][0]
    plain = replace(tiny, network=replace(tiny.architecture, shortcut="none"))
    assert np.isnan(lesions(plain, plain.init(jax.random.key(0)), batch)["without_block"]).tolist() == [False, True]
    assert [len(each) for each in random_sets(np.arange(5), 0, 2)] == [2, 2, 4, 4, 5]
    alone = Functional(Architecture("alone", (1,), "project", stem="cifar", width=4), classes=3)
    with pytest.raises(BadInput, match="alone: 1 block"):
        lesions(alone, lively, batch)


def test_the_full_dose_is_the_network_itself(tiny, lively, batch):
    found = shortcut_dose(tiny, lively, batch, batch, (0.5, 1.0))
    logits = tiny.apply_eval(lively, network_input(batch.images))
    assert found["accuracy_by_old_statistics"][-1] == pytest.approx(float((logits.argmax(-1) == batch.labels).mean()))
    again = Variables(lively.parameters, tiny.batch_statistics(lively, network_input(batch.images)))
    expected = mean_loss(tiny.apply_eval(again, network_input(batch.images)), batch.labels)
    np.testing.assert_allclose(found["loss"][-1], expected, rtol=1e-4)
    plain = replace(tiny, network=replace(tiny.architecture, shortcut="none"))
    with pytest.raises(BadInput, match="tiny"):
        shortcut_dose(plain, lively, batch, batch)


def test_directions_have_filters_as_long_as_the_networks_and_the_plane_has_the_loss(tiny, lively, batch):
    key = jax.random.key(7)
    first, second = (filter_normalized(each, lively.parameters) for each in jax.random.split(key))
    kernel, direction = lively.parameters["stem"]["conv"]["kernel"], first["stem"]["conv"]["kernel"]
    lengths = [np.sqrt(np.square(each).sum((0, 1, 2))) for each in (kernel, direction)]
    np.testing.assert_allclose(*lengths, rtol=1e-5)
    assert not np.any(first["stem"]["norm"]["scale"]) and np.any(direction != second["stem"]["conv"]["kernel"])
    one, several = (landscape(tiny, lively, batch, key, side=3, line=3, reach=0.4, chunk=chunk) for chunk in (1, 5))
    np.testing.assert_allclose(one["surface"], several["surface"], rtol=1e-4)
    np.testing.assert_allclose(one["surface"].reshape(3, 3)[:, 1], one["line"], rtol=1e-5)
    moved = jax.tree.map(lambda w, d, e: w + 0.4 * d - 0.4 * e, lively.parameters, first, second)
    logits = tiny.apply_eval(Variables(moved, lively.statistics), network_input(batch.images))
    np.testing.assert_allclose(one["surface"].reshape(3, 3)[2, 0], mean_loss(logits, batch.labels), rtol=1e-4)
    rise = np.delete(one["surface"], [0, 2, 4, 6, 8]) - one["surface"][4]
    np.testing.assert_allclose(one["sharpness"][0], rise.mean(), rtol=1e-4)


@pytest.mark.slow
def test_curvature_is_that_of_the_exact_hessian(batch):
    mini = Functional(Architecture("mini", (1,), "project", stem="cifar", width=1), classes=3)
    variables = mini.init(jax.random.key(0))
    variables.parameters["head"]["kernel"] = jax.random.normal(jax.random.key(1), (1, 3))
    flat, restore = jax.flatten_util.ravel_pytree(variables.parameters)

    def loss(flat):
        trace = mini.trace(Variables(restore(flat), variables.statistics), network_input(batch.images), training=True)
        return mean_loss(trace.logits, batch.labels)

    hessian = np.asarray(jax.jit(jax.jacrev(jax.grad(loss)))(flat), np.float64)
    vector = jax.random.normal(jax.random.key(2), flat.shape)
    product = jax.flatten_util.ravel_pytree(hessian_vector(mini, variables, batch, restore(vector)))[0]
    np.testing.assert_allclose(product, hessian @ np.asarray(vector), rtol=1e-2, atol=1e-3 * np.abs(hessian).max())
    found = curvature(mini, variables, batch, jax.random.key(3), steps=20, samples=60)
    largest = np.linalg.eigvalsh((hessian + hessian.T) / 2)[-1]
    np.testing.assert_allclose(found["largest"][0], largest, rtol=1e-2)
    assert abs(found["trace"][0] - np.trace(hessian)) < 4 * found["trace_error"][0]


def test_lanczos_and_hutchinson_know_matrices_of_known_spectrum():
    rng = np.random.default_rng(2)
    basis = np.linalg.qr(rng.normal(size=(30, 30)))[0]
    spectrum = np.concatenate([np.linspace(-1, 1, 28), [5, 9]])
    matrix = jnp.asarray(basis * spectrum @ basis.T, jnp.float32)
    eigenvalues, errors = lanczos(lambda v: matrix @ v, 30, jax.random.key(0), 14)
    np.testing.assert_allclose(eigenvalues[-2:], [5, 9], rtol=1e-3)
    assert errors[-1] < 1e-2
    whole, _ = lanczos(lambda v: matrix @ v, 30, jax.random.key(0), 30)
    np.testing.assert_allclose(whole, np.sort(spectrum), atol=1e-3)
    trace, error = hutchinson(lambda v: jnp.asarray(spectrum, jnp.float32) * v, 30, jax.random.key(1), 3)
    np.testing.assert_allclose([trace, error], [spectrum.sum(), 0], atol=1e-4)


def test_grad_cam_is_the_class_activation_map_before_a_linear_head(tiny, lively, batch):
    maps = grad_cam(tiny, lively, batch)["maps"]
    features = np.asarray(tiny.trace(lively, network_input(batch.images)).features[-1])
    head = np.asarray(lively.parameters["head"]["kernel"])[:, np.asarray(batch.labels)]
    expected = np.maximum(np.einsum("nhwc,cn->nhw", features, head), 0)
    expected /= np.maximum(expected.max((1, 2), keepdims=True), 1e-30)
    np.testing.assert_allclose(maps, expected, atol=1e-4)
    with pytest.raises(BadInput, match="tiny.*4 x 4"):
        grad_cam(tiny, lively, Batch(batch.images[:, :3, :3], batch.labels))


def test_linear_probes_are_scikit_learns_on_pooled_features(tiny, lively, batch):
    other = Batch(batch.images[::-1], batch.labels)
    found = linear_probes(tiny, lively, batch, other)
    own, features = (np.asarray(pooled_features(tiny, lively, each.images)[1]) for each in (other, batch))
    scaler = StandardScaler().fit(own)
    fitted = LogisticRegression(max_iter=2000).fit(scaler.transform(own), other.labels)
    assert found["accuracy"][1] == pytest.approx(fitted.score(scaler.transform(features), batch.labels))
    assert found["accuracy"].shape == (3,)


def test_channels_in_another_order_are_the_same_network_and_are_found_again(tiny, lively, batch):
    rng = np.random.default_rng(3)
    groups = channel_groups(tiny.architecture, list(arrays_by_path(lively.parameters)))
    sizes = {group: arrays_by_path(lively.parameters)[tied[0][0]].shape[tied[0][1]] for group, tied in groups.items()}
    assert sizes == {"stem": 4, "stages.0.0.conv1": 4, "stages.1.0.conv1": 8, "stages.1.0": 8}
    shuffled = reorder_channels(
        tiny.architecture, lively, {group: rng.permutation(size) for group, size in sizes.items()}
    )
    images = network_input(batch.images)
    np.testing.assert_allclose(tiny.apply_eval(shuffled, images), tiny.apply_eval(lively, images), rtol=1e-4, atol=1e-4)
    back = reorder_channels(tiny.architecture, shuffled, match_channels(tiny.architecture, lively, shuffled))
    jax.tree.map(np.testing.assert_array_equal, back, lively)
    found = connectivity(tiny, lively, shuffled, batch, batch, (0.0, 0.5, 1.0))
    np.testing.assert_allclose(found["barrier"], 0, atol=1e-4)
    assert found["barrier_as_they_are"][0] > 0.01
    with pytest.raises(BadInput, match="pad"):
        channel_groups(replace(tiny.architecture, shortcut="pad"), [])
