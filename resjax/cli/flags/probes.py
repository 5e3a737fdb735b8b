"""Which probes run and how much they may cost: their flags, and the settings that these become."""

from absl import flags

from resjax.errors import BadInput, closest
from resjax.run.settings import FAST, PROBES, ProbeSettings
from resjax.training.recipe import require_range

FLAGS = flags.FLAGS


def define_probe_flags() -> None:
    flags.DEFINE_string(
        "probes",
        None,
        f"measurements of why the shortcut helps: fast ({', '.join(FAST)}), all, or names joined by commas: "
        f"{', '.join(PROBES)}; by default fast in probe, and none in compare",
    )
    flags.DEFINE_integer("probe_seeds", 3, "at most this number of seeds of each network is probed")
    flags.DEFINE_integer("probe_images", 64, "number of images for gradients, signals, losses and curvature")
    flags.DEFINE_integer(
        "probe_scored", 256, "at most this number of images is used for the accuracy of changed networks"
    )
    flags.DEFINE_integer("landscape_side", 9, "points on each side of the plane of the loss landscape, an odd number")
    flags.DEFINE_integer(
        "landscape_chunk", 0, "points of the landscape in one compiled call; 0: one on a CPU, all elsewhere"
    )
    flags.DEFINE_integer(
        "curvature_steps", 10, "steps of Lanczos for the largest eigenvalue; each costs a Hessian-vector product"
    )
    flags.DEFINE_integer(
        "curvature_samples", 6, "random vectors of Hutchinson's trace; each costs a Hessian-vector product"
    )
    flags.DEFINE_string(
        "dose_training",
        "",
        "factors of the shortcut, such as 0,0.5, with which the residual networks are trained again: each costs one "
        "more training of every residual network",
    )


def probe_settings(default: str | None = None) -> ProbeSettings | None:
    """The flags as settings; None where no probe is asked for.

    Raises:
      BadInput: for an unknown name or a value outside its range.
    """
    asked = FLAGS.probes if FLAGS.probes is not None else default
    names = parse_probes(asked or "none")
    for flag, least in (("probe_seeds", 1), ("probe_images", 2), ("probe_scored", 2), ("landscape_side", 3)):
        require_range(f"--{flag}", getattr(FLAGS, flag), least, 100_000)
    require_range("--landscape_chunk", FLAGS.landscape_chunk, 0, 100_000)
    require_range("--curvature_steps", FLAGS.curvature_steps, 1, 1000)
    require_range("--curvature_samples", FLAGS.curvature_samples, 2, 1000)
    if FLAGS.landscape_side % 2 == 0:
        raise BadInput(
            f"--landscape_side={FLAGS.landscape_side}: expected an odd number, so that one point is in the middle"
        )
    try:
        doses = tuple(float(part) for part in FLAGS.dose_training.split(",") if part.strip())
    except ValueError:
        raise BadInput(f"--dose_training={FLAGS.dose_training}: expected numbers such as 0,0.5") from None
    for dose in doses:
        require_range("--dose_training", dose, 0, 1)
    return (
        ProbeSettings(
            names,
            FLAGS.probe_seeds,
            FLAGS.probe_images,
            FLAGS.probe_scored,
            FLAGS.landscape_side,
            FLAGS.landscape_chunk,
            FLAGS.curvature_steps,
            FLAGS.curvature_samples,
            doses,
        )
        if names
        else None
    )


def parse_probes(text: str) -> tuple[str, ...]:
    """The probes that `fast`, `all`, `none` or names stand for, in the order of the report.

    >>> parse_probes("lesions,gradients")
    ('gradients', 'lesions')
    """
    whole = {"fast": FAST, "all": tuple(PROBES), "none": ()}
    if text in whole:
        return whole[text]
    names = {name.strip() for name in text.split(",") if name.strip()}
    for name in sorted(names):
        if name not in PROBES:
            hint = "".join(f"did you mean {near}? " for near in closest(name, [*whole, *PROBES]))
            raise BadInput(f"--probes={name}: {hint}expected fast, all, or names of {', '.join(PROBES)}")
    return tuple(name for name in PROBES if name in names)
