"""Too little memory, told from other errors and answered with flags that ask for less; and estimates of time."""

import re

import jax
import pytest

from resjax.functional import Functional
from resjax.models.architecture import architecture
from resjax.run.setup.costs import ledger
from resjax.run.setup.device import estimate_seconds, is_out_of_memory, out_of_memory_message


def test_xlas_error_for_too_little_memory_is_told_from_its_others():
    full = "RESOURCE_EXHAUSTED: Out of memory while trying to allocate 137438953472 bytes."
    assert is_out_of_memory(jax.errors.JaxRuntimeError(full)) and is_out_of_memory(MemoryError())
    assert is_out_of_memory(jax.errors.JaxRuntimeError("INTERNAL: Failed to allocate 12 bytes for new constant"))
    assert not is_out_of_memory(jax.errors.JaxRuntimeError("INVALID_ARGUMENT: shapes do not match"))
    assert not is_out_of_memory(ValueError(full))


def test_an_allocation_that_no_machine_has_is_recognized():
    with pytest.raises((jax.errors.JaxRuntimeError, MemoryError)) as raised:
        jax.block_until_ready(jax.jit(lambda: jax.numpy.zeros((2**31, 2**20), "float32") + 1)())
    assert is_out_of_memory(raised.value)


@pytest.mark.parametrize("gibibytes", [None, 0.01, 1, 80])
@pytest.mark.parametrize(("batch_size", "image_size"), [(256, 224), (2, 224), (1, 224), (1, 8)])
def test_the_line_names_flags_that_ask_for_less(gibibytes, batch_size, image_size):
    arm = ledger(Functional(architecture("resnet18", width=4, stem="cifar"), 3), image_size)
    memory = None if gibibytes is None else int(gibibytes * 2**30)
    line = out_of_memory_message("resnet18", arm, batch_size, image_size, memory)
    assert "\n" not in line and line.startswith("resnet18: ")
    proposed = {flag: (int(new), int(now)) for flag, new, now in re.findall(r"--(\w+)=(\d+) \(now (\d+)\)", line)}
    assert all(0 < new < now for new, now in proposed.values())
    assert ("batch_size" in proposed) <= (batch_size > 1) and ("image_size" in proposed) == (image_size > 8)
    assert proposed or "--width" in line


def test_less_memory_proposes_a_smaller_batch():
    arm = ledger(Functional(architecture("resnet18", width=4, stem="cifar"), 3), 64)
    sizes = [
        int(re.search(r"--batch_size=(\d+)", out_of_memory_message("resnet18", arm, 4096, 64, gib * 2**30))[1])
        for gib in (1, 2, 1000)
    ]
    assert sizes == sorted(sizes) and sizes[0] < sizes[1] <= sizes[2] == 2048


def test_an_estimate_grows_with_the_work_and_counts_the_programs_of_networks_that_are_pending():
    nothing, one, two = (estimate_seconds([1e9, 2e9], 1000, replicas) for replicas in ([0, 0], [1, 0], [1, 1]))
    assert nothing == 0.0 < one < two
    longer = estimate_seconds([1e9], 2_000_000, [1]) - estimate_seconds([1e9], 1_000_000, [1])
    # 3e15 operations: a processor does between 1e9 and 1e13 in a second.
    assert 3e2 < longer < 3e6
