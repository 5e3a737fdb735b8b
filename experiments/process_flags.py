"""The flags by which several processes find each other, and what each of them does."""

from collections.abc import Callable

from absl import flags

from experiments.stopping import Stopping
from resjax.training.recipe import require_range

FLAGS = flags.FLAGS


def define_process_flags() -> None:
    flags.DEFINE_string(
        "coordinator_address",
        None,
        "for several processes, one a host as a rule, which all run the same command: HOST:PORT of process 0; or auto, "
        "where JAX finds the others itself (TPU pods, SLURM, Open MPI, Kubernetes). Process 0 alone writes",
    )
    flags.DEFINE_integer("process_id", None, "which process this is, from 0; not with auto")
    flags.DEFINE_integer("num_processes", None, "how many processes there are; not with auto")
    flags.DEFINE_integer("coordinator_timeout", 300, "seconds to wait for the other processes at the start")


def start_asked_processes() -> int:
    """Joins this process to the others that the flags name, before anything asks for a device; which one it is.

    Raises:
      BadInput: for flags that do not fit each other.
    """
    from resjax.training.processes import connect_processes

    require_range("--coordinator_timeout", FLAGS.coordinator_timeout, 1)
    address, timeout = FLAGS.coordinator_address, FLAGS.coordinator_timeout
    return connect_processes(address, FLAGS.process_id, FLAGS.num_processes, timeout)


def take_part(stopping: Stopping, first: Callable[[], object], others: Callable[[], object]) -> None:
    """Does what the first of the asked processes does, or the only one; or what each of the others does."""
    leads = start_asked_processes() == 0
    # It imports jax, which --help does without.
    from resjax.training.processes import exiting_at_failure

    with exiting_at_failure(), stopping.listening():
        if leads:
            first()
        else:
            others()
