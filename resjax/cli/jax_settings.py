"""JAX's own settings, which it reads from the environment: those that a command decides itself, and wrong values."""

import os
import sys

from resjax.errors import BadInput

OWN_SETTINGS: dict[str, tuple[object, str]] = {
    "jax_threefry_partitionable": (True, "it draws other random numbers"),
    "jax_random_seed_offset": (0, "it draws other random numbers"),
    "jax_enable_x64": (False, "--dtype says what is computed in"),
    "jax_numpy_dtype_promotion": ("standard", "optax and flax need it"),
    "jax_transfer_guard": (None, "images and results are moved between host and device"),
    "jax_transfer_guard_host_to_device": (None, "images are moved to the device"),
    "jax_transfer_guard_device_to_device": (None, "seeds are spread over the devices"),
    "jax_transfer_guard_device_to_host": (None, "results are moved to the host"),
    "jax_debug_nans": (False, "a loss that is not finite is a result"),
    "jax_debug_infs": (False, "a loss that is not finite is a result"),
    "jax_disable_jit": (False, "programs are compiled ahead, and the last bits would change"),
    "jax_no_tracing": (False, "programs are traced"),
    "jax_no_execution": (False, "programs are run"),
}
"""Settings that a command decides itself, each with its value, which is JAX's default, and why. All others stay the
user's. Our random keys name their implementation, so jax_default_prng_impl changes nothing."""


def use_own_jax_settings() -> None:
    """Takes the environment's values of `OWN_SETTINGS` away before JAX reads them, and prints a line for each.

    If JAX is imported already, its settings are changed too. For programs: a library leaves the settings alone.
    """
    for name, (value, reason) in OWN_SETTINGS.items():
        given = os.environ.pop(name.upper(), None)
        if given is not None:
            print(f"{name.upper()}={given} does not apply here: {reason}", file=sys.stderr)
        if "jax" in sys.modules:
            config = sys.modules["jax"].config
            if hasattr(config, name) and getattr(config, name) != value:
                config.update(name, value)


def import_jax() -> None:
    """Imports JAX, which reads its settings from the environment then.

    Raises:
      BadInput: for a value that JAX does not know.
    """
    try:
        import jax  # noqa: F401
    except ValueError as error:
        raise BadInput(f"JAX refuses a setting in an environment variable: {error}") from error
