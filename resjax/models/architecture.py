"""Frozen descriptions of networks, and the table of those that have a name."""

import difflib
from dataclasses import dataclass, replace

from resjax.types import BadInput

SHORTCUTS = ("none", "pad", "project", "project_all")
"""He et al. 2015, section 3.3: the plain network, then options A, B and C."""
STEMS = ("imagenet", "cifar")


@dataclass(frozen=True)
class Architecture:
    """What a network is built from, the number of classes excepted.

    Raises:
      BadInput: for a value outside its range.
    """

    name: str
    blocks: tuple[int, ...]
    """Basic blocks of each stage; every stage but the first halves the map and doubles the channels."""
    shortcut: str
    """`none`: the plain twin. `pad`: identity, zeros for new channels. `project`: 1x1 convolution where the shape
    changes. `project_all`: 1x1 convolution everywhere."""
    stem: str = "imagenet"
    """`imagenet`: 7x7 with stride 2 and 3x3 max pool with stride 2. `cifar`: 3x3."""
    width: int = 64
    """Channels of the first stage."""
    zero_gamma: bool = False
    """Whether the last batch norm of a block starts at 0. Off: in a plain network it cuts nearly every gradient."""

    def __post_init__(self) -> None:
        if self.shortcut not in SHORTCUTS:
            raise BadInput(f"shortcut {self.shortcut!r}: one of {', '.join(SHORTCUTS)} is accepted")
        if self.stem not in STEMS:
            raise BadInput(f"--stem={self.stem!r}: one of {', '.join(STEMS)} is accepted")
        if self.width < 1:
            raise BadInput(f"--width={self.width}: a number of channels, 1 or more, is accepted")
        if not self.blocks or min(self.blocks) < 1:
            raise BadInput(f"blocks {self.blocks}: at least one stage, with a block each, is accepted")

    @property
    def depth(self) -> int:
        """Layers with weights, shortcuts not counted: two a block, the stem and the head."""
        return 2 * sum(self.blocks) + 2

    def twin(self, shortcut: str) -> "Architecture":
        """The same network with another shortcut, under the name of the table."""
        family = "plain" if shortcut == "none" else "resnet"
        suffix = "" if shortcut in ("none", "project") else f"_{shortcut}"
        return replace(self, name=f"{family}{self.depth}{suffix}", shortcut=shortcut)


def _family(blocks: tuple[int, ...]) -> dict[str, Architecture]:
    base = Architecture("", blocks, "none")
    return {twin.name: twin for twin in map(base.twin, ("none", "project", "pad", "project_all"))}


ARCHITECTURES: dict[str, Architecture] = {
    **_family((2, 2, 2, 2)),
    **_family((3, 4, 6, 3)),
}
"""Architectures by name: `plain18`, `resnet18` (option B, as torchvision), `resnet18_pad`, `resnet18_project_all`, and
the same for 34 (He et al. 2015, table 1)."""


def architecture(name: str, **fields: object) -> Architecture:
    """The named architecture, with some fields changed: `architecture("resnet34", width=16, stem="cifar")`.

    Raises:
      BadInput: for an unknown name, with the nearest ones, or a value outside its range.
    """
    if name not in ARCHITECTURES:
        near = difflib.get_close_matches(name, ARCHITECTURES, n=3)
        hint = f"did you mean {' or '.join(near)}? " if near else ""
        raise BadInput(f"architecture {name!r}: {hint}one of {', '.join(ARCHITECTURES)} is accepted")
    return replace(ARCHITECTURES[name], **fields)
