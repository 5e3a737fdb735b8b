"""XLA's options for NVIDIA cards that may pay, each with its reason; set where there is a card, before JAX starts it.

Their gain was not measured here. What pays and is on without being asked for is left alone: command buffers (CUDA
graphs) take launches off the host by default, autotuning too, and JAX keeps its results beside the compiled programs
(jax_persistent_cache_enable_xla_caches). An option that the installed XLA does not know would end the process: a test
has it read every name.
"""

import os
from pathlib import Path

from resjax.types import BadInput

GPU_FLAGS = {
    "latency_hiding": "--xla_gpu_enable_latency_hiding_scheduler=true",
    "triton_gemm_any": "--xla_gpu_triton_gemm_any=true",
}
"""`latency_hiding`: exchanges between devices, such as gradients', run beside what computes; JAX's page on GPU
performance and NVIDIA's own images set it. `triton_gemm_any`: matrix products by Triton wherever it can; JAX's page
names it, for networks whose time goes to products more than to convolutions.
https://docs.jax.dev/en/latest/gpu_performance_tips.html"""
DEFAULT = "latency_hiding"
CARD = Path("/dev/nvidia0")


def use_gpu_flags(names: str) -> None:
    """Adds the options with these names (joined by commas, or `none`) to XLA_FLAGS; does nothing without a card.

    An option that XLA_FLAGS already has stays as the user set it.

    Raises:
      BadInput: for a name that is not in the table.
    """
    asked = [name.strip() for name in names.split(",") if name.strip() and names != "none"]
    for name in asked:
        if name not in GPU_FLAGS:
            raise BadInput(f"--gpu_flags={names}: {', '.join(GPU_FLAGS)}, joined by commas, or none is accepted")
    if not CARD.exists() or os.environ.get("JAX_PLATFORMS", "cuda").split(",")[0] not in ("cuda", "gpu"):
        return
    already = os.environ.get("XLA_FLAGS", "")
    added = [GPU_FLAGS[name] for name in asked if GPU_FLAGS[name].partition("=")[0] not in already]
    os.environ["XLA_FLAGS"] = " ".join([already, *added]).strip()
