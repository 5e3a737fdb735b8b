"""What the name of an architecture says, as `se_resnext50_32x4d_gn` says: read from a name and written as one.

A redundant shortcut (`resnet56_pad`) is refused with the name that it has, so that a network has one name.
"""

import re
from dataclasses import dataclass, replace
from typing import Any

NORMALIZATIONS = {"batch": "", "group": "_gn", "none": "_nonorm", "skipinit": "_skipinit", "fixup": "_fixup"}
"""The suffix of each normalization."""

IMAGENET_DEPTHS = {
    18: ("basic", (2, 2, 2, 2)),
    34: ("basic", (3, 4, 6, 3)),
    50: ("bottleneck", (3, 4, 6, 3)),
    101: ("bottleneck", (3, 4, 23, 3)),
    152: ("bottleneck", (3, 8, 36, 3)),
}
"""He et al. 2015, table 1."""
CIFAR_BOTTLENECK_DEPTHS = (164, 1001)
"""9n + 2 in He et al. 2016, table 4. 164 would also be 6n + 2, as 50 and 152 would: these names are bottlenecks."""

_FORM = re.compile(
    r"(?P<se>se_)?(?P<preact>preact_)?(?P<wide>wide_)?(?P<family>plainnext|plain|resnext|resnet)(?P<depth>[1-9]\d{0,3})"
    r"(?:_(?P<cardinality>[1-9]\d*)x(?P<base_width>[1-9]\d*)d|_(?P<widening>[1-9]\d*))?"
    r"(?P<normalization>_gn|_nonorm|_skipinit|_fixup)?(?P<zero_gamma>_zero_gamma)?"
    r"(?P<stochastic_depth>_stochastic_depth)?(?P<shortcut>_project_all|_project|_pad)?"
)


@dataclass(frozen=True)
class Name:
    """The parts of a name, in the order in which they are written.

    The rule: `se_`, `preact_`, `wide_`; `resnet` or `resnext`, of which `plain` and `plainnext` are the twins without
    shortcut; the depth; `_32x4d` (cardinality and base width) or `_10` (widening factor); then `_gn`, `_nonorm`,
    `_skipinit` or `_fixup`; `_zero_gamma`; `_stochastic_depth`; and the shortcut, where it is not the family's own.
    """

    depth: int
    plain: bool = False
    squeeze_excitation: bool = False
    preactivation: bool = False
    wide: bool = False
    next: bool = False
    cardinality: int = 1
    base_width: int = 64
    widening: int = 1
    normalization: str = "batch"
    zero_gamma: bool = False
    stochastic_depth: bool = False
    shortcut: str | None = None
    """None: the family's own."""

    def __str__(self) -> str:
        family = ("plainnext" if self.next else "plain") if self.plain else ("resnext" if self.next else "resnet")
        size = f"_{self.cardinality}x{self.base_width}d" if self.next else f"_{self.widening}" if self.wide else ""
        return "".join(
            (
                "se_" if self.squeeze_excitation else "",
                "preact_" if self.preactivation else "",
                "wide_" if self.wide else "",
                f"{family}{self.depth}{size}",
                NORMALIZATIONS[self.normalization],
                "_zero_gamma" if self.zero_gamma else "",
                "_stochastic_depth" if self.stochastic_depth else "",
                f"_{self.shortcut}" if self.shortcut else "",
            )
        )

    @property
    def own_shortcut(self) -> str:
        """The shortcut that goes without saying: A in the CIFAR networks (He et al. 2015, section 4.2), else B."""
        return "pad" if self.depth not in IMAGENET_DEPTHS and not self.wide else "project"

    def with_shortcut(self, shortcut: str) -> "Name":
        """The name of the same network with another shortcut, `none` for the plain twin."""
        plain = shortcut == "none"
        return replace(self, plain=plain, shortcut=None if plain or shortcut == self.own_shortcut else shortcut)

    def sizes(self) -> dict[str, Any] | None:
        """The fields of `Architecture` that the depth stands for; None where it is not legal in its family."""
        cifar = {"stem": "cifar", "width": 16}
        block, blocks = IMAGENET_DEPTHS.get(self.depth, (None, ()))
        if self.next or (self.wide and block):
            # torchvision's wide_resnet50_2 widens the inner channels alone.
            base_width = self.base_width if self.next else 64 * self.widening
            inner = {"cardinality": self.cardinality, "base_width": base_width}
            return {"block": block, "blocks": blocks, **inner} if block == "bottleneck" else None
        if self.wide:
            # Zagoruyko and Komodakis count the three projections: 6n + 4. Their blocks are pre-activated.
            legal = self.depth >= 10 and self.depth % 6 == 4 and not self.preactivation
            sizes = {"blocks": ((self.depth - 4) // 6,) * 3, "widening": self.widening, "preactivation": True, **cifar}
            return sizes if legal else None
        if block:
            return {"block": block, "blocks": blocks}
        if self.depth in CIFAR_BOTTLENECK_DEPTHS:
            return {"block": "bottleneck", "blocks": ((self.depth - 2) // 9,) * 3, **cifar}
        return {"blocks": ((self.depth - 2) // 6,) * 3, **cifar} if self.depth >= 8 and self.depth % 6 == 2 else None

    def nearest(self) -> list[str]:
        """The same name with the two nearest legal depths."""
        around = sorted(range(max(self.depth - 12, 1), self.depth + 13), key=lambda depth: abs(depth - self.depth))
        return [str(same) for same in (replace(self, depth=depth) for depth in around) if same.sizes()][:2]

    def legal_depths(self) -> str:
        """Which depths the family has, in words."""
        if self.next:
            return "depths 50, 101 and 152"
        if self.wide:
            return "depths 6n + 4 (16, 22, 28, ..., pre-activated as they are) and 50, 101, 152"
        return (
            "depths 18, 34 (basic blocks), 50, 101, 152 (bottleneck), 6n + 2 for CIFAR (20, 32, 44, 56, 110, ...) and "
            "164, 1001 (bottleneck, 9n + 2)"
        )


def parse_name(text: str) -> Name | None:
    """The parts of a name; None where it does not follow the rule, whatever its numbers are."""
    found = _FORM.fullmatch(text)
    if found is None:
        return None
    given = found.groupdict()
    plain, is_next = given["family"].startswith("plain"), given["family"].endswith("next")
    is_wide = given["wide"] is not None
    if is_next != (given["cardinality"] is not None) or is_wide != (given["widening"] is not None):
        return None
    if (is_next and is_wide) or (plain and given["shortcut"]):
        return None
    return Name(
        depth=int(given["depth"]),
        plain=plain,
        squeeze_excitation=given["se"] is not None,
        preactivation=given["preact"] is not None,
        wide=is_wide,
        next=is_next,
        cardinality=int(given["cardinality"] or 1),
        base_width=int(given["base_width"] or 64),
        widening=int(given["widening"] or 1),
        normalization=next(kind for kind, suffix in NORMALIZATIONS.items() if suffix == (given["normalization"] or "")),
        zero_gamma=given["zero_gamma"] is not None,
        stochastic_depth=given["stochastic_depth"] is not None,
        shortcut=(given["shortcut"] or "").removeprefix("_") or None,
    )
