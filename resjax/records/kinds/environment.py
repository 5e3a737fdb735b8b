"""In which environments replicas were trained: what beside the recipe changes their numbers, and how two differ."""

from collections.abc import Mapping

from msgspec import UNSET, UnsetType

from resjax.records.kinds.base import Environment, Part, Record
from resjax.records.kinds.replica import Result

NUMERIC = {
    "jax": "jax",
    "jaxlib": "jaxlib",
    "platform": "the platform",
    "device_kind": "the device",
    "dtype": "the dtype in use",
    "convolution": "the convolutions",
    "prng": "the random numbers",
    "threefry_partitionable": "jax_threefry_partitionable",
    "x64": "jax_enable_x64",
    "matmul_precision": "jax_default_matmul_precision",
    "numerics_version": "the version of resjax's numerics",
}
"""The fields of an environment that change the numbers of a replica, if only their last bits, as a user knows them. The
number of devices is not among them: replicas trained together agree with others to 1e-5, and `trained_as` says so."""


class ReplicaEnvironments(Record, frozen=True, kw_only=True):
    """`environment.json`: the environments in which a replica was trained, in order; several after a mixed resumption.

    It is written before the first epoch, so that an unfinished replica has it too.
    """

    environments: list[Environment]


class TrainedIn(Part, frozen=True, kw_only=True):
    """The replicas of a comparison that were trained in one environment, wholly or in part."""

    environment: Environment
    replicas: dict[str, list[int]]
    """Seeds by network."""


def numeric_differences(one: Environment, other: Environment) -> list[tuple[str, str, str]]:
    """Each known difference that changes numbers: what it is, and its value in both environments."""
    found = []
    for field, name in NUMERIC.items():
        values = getattr(one, field), getattr(other, field)
        if UNSET not in values and values[0] != values[1]:
            found.append((name, *(str(value) for value in values)))
    return found


def trained_in(results: Mapping[str, Mapping[int, Result | None]]) -> list[TrainedIn] | UnsetType:
    """The environments of the replicas that have ended, by network and seed; UNSET if none says so."""
    found: list[TrainedIn] = []
    for name, by_seed in results.items():
        for seed, result in by_seed.items():
            for environment in result.environments or () if result else ():
                same = [each for each in found if not numeric_differences(each.environment, environment)]
                if not same:
                    found.append(TrainedIn(environment=environment, replicas={}))
                seeds = (same or found[-1:])[0].replicas.setdefault(name, [])
                if seed not in seeds:
                    seeds.append(seed)
    return found or UNSET
