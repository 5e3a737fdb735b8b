"""oneDNN's convolutions: against XLA's in float64, at the seams to XLA and Python, and where oneDNN is missing."""

import importlib
import os
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from resjax.errors import BadInput
from resjax.ops import conv_general_dilated, cpu, cpu_convolutions, cpu_convolutions_used
from resjax.ops.onednn import Description, Unavailable, convolve, handler, library, plans
from resjax.run.setup.device import describe_environment, require_backend

pytestmark = [
    pytest.mark.smoke,
    pytest.mark.skipif(cpu.why_no_onednn() is not None, reason=f"no oneDNN here: {cpu.why_no_onednn()}"),
]
ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def asked_for(monkeypatch):
    monkeypatch.setenv("RESJAX_CPU_CONVOLUTIONS", "onednn")


NHWC = ("NHWC", "HWIO", "NHWC")
DEEP = ("NDHWC", "DHWIO", "NDHWC")
LINE = ("NWC", "WIO", "NWC")
# Images, kernel, strides, padding, and what else `conv_general_dilated` takes.
GRID = {
    "3x3": ((2, 9, 8, 4), (3, 3, 4, 6), (1, 1), "SAME", {}),
    "stride 2": ((2, 9, 8, 16), (3, 3, 16, 16), (2, 2), "SAME", {}),
    "pixels left over": ((2, 8, 8, 4), (3, 3, 4, 6), (2, 2), [(1, 1), (0, 0)], {}),
    "strides 1 and 3": ((2, 9, 8, 4), (3, 2, 4, 6), (1, 3), "VALID", {}),
    "uneven padding": ((2, 7, 8, 4), (3, 3, 4, 6), (2, 1), [(0, 2), (2, 1)], {}),
    "1x1 stride 2": ((2, 9, 8, 4), (1, 1, 4, 6), (2, 2), "VALID", {}),
    "stem": ((2, 20, 18, 3), (7, 7, 3, 8), (2, 2), [(3, 3)] * 2, {}),
    "tiny map": ((3, 2, 1, 32), (3, 3, 32, 16), (1, 1), "SAME", {}),
    "dilated": ((2, 9, 8, 4), (3, 3, 4, 6), (1, 1), "SAME", {"rhs_dilation": (2, 3)}),
    "groups": ((2, 9, 8, 8), (3, 3, 4, 6), (1, 2), "SAME", {"feature_group_count": 2}),
    "depthwise": ((2, 9, 8, 6), (3, 3, 1, 6), (1, 1), "SAME", {"feature_group_count": 6}),
    "depthwise, doubled": ((2, 9, 8, 6), (3, 3, 1, 12), (2, 2), "SAME", {"feature_group_count": 6}),
    "transposed": ((2, 4, 5, 4), (4, 4, 4, 6), (1, 1), [(2, 2), (1, 2)], {"lhs_dilation": (2, 2)}),
    "transposed, all": (
        *((2, 4, 5, 4), (3, 2, 2, 6), (1, 1), [(2, 3), (1, 2)]),
        {"lhs_dilation": (3, 2), "feature_group_count": 2},
    ),
    "channels first": ((2, 4, 9, 8), (6, 4, 3, 3), (1, 2), "SAME", {"dimension_numbers": None}),
    "1-D": ((2, 9, 4), (3, 4, 6), (2,), "SAME", {"dimension_numbers": LINE}),
    "1-D transposed": ((2, 9, 4), (3, 4, 6), (1,), [(2, 2)], {"dimension_numbers": LINE, "lhs_dilation": (2,)}),
    "3-D": ((2, 5, 4, 6, 4), (3, 3, 3, 4, 6), (2, 1, 2), "SAME", {"dimension_numbers": DEEP}),
}


def numbers(shape, seed):
    return np.random.default_rng(seed).standard_normal(shape, np.float32)


def results(convolution, case, images, kernel, gradient=None):
    """The convolution and the gradients of its product with random numbers."""
    _, _, strides, padding, options = case
    options = {"dimension_numbers": NHWC} | options
    after, back = jax.vjp(lambda x, k: convolution(x, k, strides, padding, **options), images, kernel)
    return after, *back(jnp.asarray(numbers(after.shape, 2), after.dtype))


@pytest.mark.parametrize("dtype, error", [(jnp.float32, 2e-6), (jnp.bfloat16, 1e-2)], ids=["float32", "bfloat16"])
def test_values_and_gradients_are_those_of_float64(dtype, error):
    given = {name: [jnp.asarray(numbers(case[i], i), dtype) for i in (0, 1)] for name, case in GRID.items()}

    @jax.jit
    def ours(given):
        return {name: results(conv_general_dilated, GRID[name], *arrays) for name, arrays in given.items()}

    lowered = ours.lower(given)
    # Nothing was left to XLA but a kernel gradient in bfloat16, with a stride and uneven padding.
    assert lowered.as_text().count("stablehlo.convolution") == (dtype == jnp.bfloat16)
    found = lowered.compile()(given)
    with jax.enable_x64(True):
        wide = {name: [jnp.asarray(array, jnp.float64) for array in arrays] for name, arrays in given.items()}
        exact = jax.jit(
            lambda wide: {name: results(lax.conv_general_dilated, GRID[name], *wide[name]) for name in wide}
        )(wide)
    for name in GRID:
        for one, other in zip(found[name], exact[name], strict=True):
            assert one.dtype == dtype and one.shape == other.shape
            scale = np.abs(other).max()
            np.testing.assert_allclose(np.asarray(one, np.float64), other, rtol=error, atol=error * scale, err_msg=name)


SMALL = Description("forward", "float32", (2, 6, 5, 8), (3, 3, 8, 8), (2, 6, 5, 8), (1, 1), ((1, 1), (1, 1)), (1, 1))


def test_a_strided_1x1_gradient_stays_inside_its_memory():
    # oneDNN's own writes past it (oneDNN#6035), so it is given every second pixel.
    described = Description(
        "kernel_gradient", "float32", (2, 8, 8, 8), (1, 1, 8, 8), (2, 4, 4, 8), (2, 2), ((0, 0),) * 2, (1, 1)
    )
    with pytest.raises(plans.Refused):
        described.text()
    images, gradient = jnp.asarray(numbers((2, 8, 8, 8), 0)), jnp.asarray(numbers((2, 4, 4, 8), 1))
    expected = jnp.einsum("bhwi,bhwo->io", images[:, ::2, ::2], gradient)
    np.testing.assert_allclose(convolve(described, images, gradient)[0, 0], expected, rtol=1e-5, atol=1e-5)


def test_what_oneDNN_refuses_is_xlas_own():
    images, kernel = jnp.asarray(numbers((2, 6, 5, 4), 0)), jnp.asarray(numbers((3, 3, 4, 4), 1))
    for options in ({"padding": [(-1, 1), (0, -1)]}, {"padding": "VALID", "batch_group_count": 2}):
        arguments = {"window_strides": (1, 1), "dimension_numbers": NHWC} | options
        text = (
            jax.jit(lambda x, k, given=arguments: conv_general_dilated(x, k, **given)).lower(images, kernel).as_text()
        )
        assert "custom_call" not in text
    for array in (images.astype(jnp.float16), images[:0]):
        text = jax.jit(lambda x, k: conv_general_dilated(x, k, (1, 1), "SAME", dimension_numbers=NHWC))
        assert "custom_call" not in text.lower(array, kernel.astype(array.dtype)).as_text()


def test_images_of_a_vmap_join_the_batch_and_kernels_follow_each_other():
    images, kernel = jnp.asarray(numbers((3, 2, 6, 5, 8), 0)), jnp.asarray(numbers((3, 3, 8, 8), 1))

    def convolve(images, kernel):
        return conv_general_dilated(images, kernel, (1, 1), "SAME", dimension_numbers=NHWC)

    joined = jax.jit(jax.vmap(convolve, (0, None))).lower(images, kernel).as_text()
    assert "tensor<6x6x5x8xf32>" in joined and "stablehlo.while" not in joined
    per_image = jax.jit(jax.vmap(jax.grad(lambda kernel, image: convolve(image, kernel).sum()), (None, 0)))
    assert "stablehlo.while" in per_image.lower(kernel, images).as_text()


def test_several_threads_compute_at_once():
    images, kernel = jnp.asarray(numbers((2, 16, 16, 8), 0)), jnp.asarray(numbers((3, 3, 8, 8), 1))

    @jax.jit
    def chain(images, kernel):
        for _ in range(8):
            images = conv_general_dilated(jnp.tanh(images), kernel, (1, 1), "SAME", dimension_numbers=NHWC)
        return images

    expected = np.asarray(chain(images, kernel))
    with ThreadPoolExecutor(6) as threads:
        for found in threads.map(lambda _: np.asarray(chain(images, kernel)), range(60)):
            np.testing.assert_array_equal(found, expected)


def test_a_call_that_fails_raises_and_does_not_return_garbage(monkeypatch):
    images, kernel = jnp.asarray(numbers(SMALL.images, 0)), jnp.asarray(numbers(SMALL.kernel, 1))
    compute = jax.jit(lambda x, k: convolve(SMALL, x, k) + 1)
    expected = compute(images, kernel)

    def broken(self, operation):
        raise MemoryError("nothing left")

    plans.forget()
    with monkeypatch.context() as changed:
        changed.setattr(plans.Plan, "__init__", broken)
        with pytest.raises((jax.errors.JaxRuntimeError, ValueError), match="nothing left"):
            compute(images, kernel).block_until_ready()
    np.testing.assert_array_equal(compute(images, kernel), expected)


def test_a_program_of_another_machine_that_has_too_little_scratch_memory_raises(monkeypatch):
    images, kernel = jnp.asarray(numbers(SMALL.images, 0)), jnp.asarray(numbers(SMALL.kernel, 1))
    monkeypatch.setattr(plans, "scratch_bytes", lambda described: 64)
    compute = jax.jit(lambda x, k: convolve(SMALL, x, k)).lower(images, kernel).compile()
    monkeypatch.undo()
    plans.forget()
    with pytest.raises(jax.errors.JaxRuntimeError, match="scratch memory"):
        compute(images, kernel).block_until_ready()


def test_plans_are_bounded(monkeypatch):
    monkeypatch.setattr(plans, "MOST_PLANS", 3)
    monkeypatch.setattr(plans, "_plans", {})
    calls = []
    for batch in range(1, 7):
        shape = (batch, *SMALL.images[1:])
        described = SMALL._replace(images=shape, outputs=shape)
        call = jax.jit(lambda x, k, given=described: convolve(given, x, k))
        calls.append((call, jnp.ones(shape), jnp.ones(SMALL.kernel), call(jnp.ones(shape), jnp.ones(SMALL.kernel))))
    assert len(plans._plans) <= 3
    # A plan that was dropped is made again.
    for call, images, kernel, expected in calls:
        np.testing.assert_array_equal(call(images, kernel), expected)


def test_a_description_holds_nothing_of_a_process():
    program = f"from resjax.ops.onednn import Description\nprint({SMALL!r}.text())"
    other = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    assert other.stdout.strip() == SMALL.text()


SEVERAL_DEVICES = """
    import os, sys
    import jax, jax.numpy as jnp, numpy as np
    from jax.sharding import AxisType
    from resjax.ops import conv_general_dilated

    NHWC = ("NHWC", "HWIO", "NHWC")

    def loss(kernel, images):
        for _ in range(3):
            images = jnp.tanh(conv_general_dilated(images, kernel, (1, 1), "SAME", dimension_numbers=NHWC))
        return (images**2).sum()

    draw = np.random.default_rng(0).standard_normal
    images, kernel = jnp.asarray(draw((4, 8, 8, 16)), jnp.float32), jnp.asarray(draw((3, 3, 16, 16)) / 12, jnp.float32)
    expected = jax.jit(jax.grad(loss))(kernel, images)
    mesh = jax.make_mesh((2,), ("batch",), axis_types=(AxisType.Auto,))
    summed = lambda kernel, images: jax.lax.psum(jax.grad(loss)(kernel, images), "batch")
    mapped = jax.jit(jax.shard_map(jax.grad(loss), mesh=mesh, in_specs=(jax.P(), jax.P("batch")), out_specs=jax.P()))
    spread = jax.device_put(images, jax.NamedSharding(mesh, jax.P("batch")))
    divided = jax.jit(jax.grad(loss))
    calls = [program.lower(kernel, spread).as_text().count("custom_call @resjax") for program in (mapped, divided)]
    for found in (mapped(kernel, spread), divided(kernel, spread)):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    print(calls[0] > 0, calls[1] == 0, flush=True)
    # A child that was forked computes, too: alone.
    from resjax.ops.onednn import library, plans
    text = next(text for text in plans._plans if b"kernel_gradient" in text)
    scratch, described = plans.read(text)
    shapes = described.images, described.outputs, described.kernel
    memory = [np.zeros(64 + size, np.uint8) for size in (*(4 * np.prod(shape) for shape in shapes), scratch)]
    addresses = [array.ctypes.data + -array.ctypes.data % 64 for array in memory]
    assert library().handler.compute(text, addresses)
    child = os.fork()
    if not child:
        os._exit(7 if library().handler.compute(text, addresses) else 1)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


ENDING = """
    import jax, jax.numpy as jnp
    from resjax.ops import conv_general_dilated

    @jax.jit
    def step(images, kernel):
        for _ in range(20):
            images = conv_general_dilated(images, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
        return images

    images, kernel = jnp.ones((8, 32, 32, 16)), jnp.ones((3, 3, 16, 16)) / 144
    images = step(images, kernel).block_until_ready()
    for _ in range(ROUNDS):
        images = step(images, kernel)
"""


def test_a_process_ends_while_steps_are_queued():
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    program = [sys.executable, "-c", textwrap.dedent(ENDING).replace("ROUNDS", "30")]
    for _ in range(3):
        ended = subprocess.run(program, capture_output=True, text=True, timeout=120, env=environment)
        assert ended.returncode == 0, ended.stderr


def test_several_devices_and_forks():
    options = "--xla_force_host_platform_device_count=2 --xla_backend_optimization_level=0"
    environment = os.environ | {"XLA_FLAGS": options, "PYTHONPATH": str(ROOT)}
    program = [sys.executable, "-W", "ignore", "-c", textwrap.dedent(SEVERAL_DEVICES)]
    ended = subprocess.run(program, capture_output=True, text=True, timeout=120, env=environment)
    assert ended.stdout.split() == ["True", "True", "7"] and ended.returncode == 0, ended.stderr


def test_threads_are_those_of_the_user():
    program = "from resjax.ops.onednn import library\nprint(library().threads())"
    for variable, threads in (("1", "1"), ("3", "3")):
        environment = os.environ | {"OMP_NUM_THREADS": variable}
        found = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, env=environment, cwd=ROOT
        )
        assert found.stdout.strip() == threads
    own = len(os.sched_getaffinity(0))
    assert library().threads() == int(os.environ.get("OMP_NUM_THREADS", own))
    # What was set for the load alone is gone.
    assert "GOMP_SPINCOUNT" not in os.environ


@pytest.fixture
def unloaded(monkeypatch):
    """The module of the library, as in a process that has not loaded it; it may be changed."""
    module = importlib.import_module("resjax.ops.onednn.library")
    # The process's own stays as it is: programs that are compiled already call its handler.
    monkeypatch.setattr(module, "_library_or_reason", lru_cache(maxsize=1)(module._library_or_reason.__wrapped__))
    return module, monkeypatch


def without_wheel(module, changed):
    changed.setattr(module, "WHEEL", "no-such-wheel")


def without_avx2(module, changed):
    changed.setattr(module, "AVX2", 1 << 30)


def older(module, changed):
    changed.setattr(module, "LEAST_VERSION", (3, 99))


def broken_file(module, changed):
    changed.setattr(module, "_file", lambda: __file__)


def without_compiler(module, changed):
    changed.setattr(handler, "COMPILERS", ())
    changed.delenv("CC", raising=False)


def failing_compiler(module, changed):
    changed.setenv("CC", "false")


@pytest.mark.parametrize("fault", [without_wheel, without_avx2, older, broken_file, without_compiler, failing_compiler])
def test_without_onednn_the_way_is_matrix_products_and_who_asks_for_it_is_told(
    unloaded, fault, recwarn, capfd, monkeypatch
):
    fault(*unloaded)
    monkeypatch.delenv("RESJAX_CPU_CONVOLUTIONS")
    images, kernel = jnp.asarray(numbers((2, 6, 5, 16), 0)), jnp.asarray(numbers((3, 3, 16, 16), 1))
    lowered = jax.jit(lambda x, k: conv_general_dilated(x, k, (1, 1), "SAME", dimension_numbers=NHWC)).lower(
        images, kernel
    )
    assert "custom_call" not in lowered.as_text()
    environment = describe_environment("float32")
    assert environment.convolution == cpu_convolutions_used() == "matrix products"
    assert describe_environment("bfloat16").convolution == "XLA"
    assert not recwarn.list and capfd.readouterr() == ("", "")
    # Who asks for it is told.
    with pytest.raises(BadInput, match="onednn"):
        cpu_convolutions("onednn")
    with pytest.raises(Unavailable):
        library()


def test_the_user_chooses_and_the_record_says_what_was_used(monkeypatch):
    used = cpu_convolutions_used()
    assert used.startswith("oneDNN 3.") and describe_environment("bfloat16").convolution == used
    monkeypatch.setenv("RESJAX_CPU_CONVOLUTIONS", "xla")
    assert describe_environment("float32").convolution == "XLA"
    text = jax.jit(lambda x, k: conv_general_dilated(x, k, (1, 1), "SAME")).lower(
        jnp.ones((1, 1, 4, 4)), jnp.ones((1, 1, 3, 3))
    )
    assert "custom_call" not in text.as_text()
    with cpu_convolutions("onednn"):
        assert cpu_convolutions_used() == used
    assert cpu_convolutions_used() == "XLA"
    monkeypatch.setenv("RESJAX_CPU_CONVOLUTIONS", "cudnn")
    with pytest.raises(BadInput, match="RESJAX_CPU_CONVOLUTIONS=cudnn"):
        require_backend()
    with pytest.raises(BadInput, match="cudnn"):
        cpu_convolutions("cudnn")
