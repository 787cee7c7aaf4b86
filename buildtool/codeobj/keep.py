"""Which images of a container a device would be given: what thinning keeps."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from typing import NamedTuple

from buildtool.codeobj import names
from buildtool.codeobj.model import Answer, Image
from buildtool.codeobj.rules import will_run
from buildtool.compat.targets import parse_targets

NVIDIA = re.compile(r"(?:sm|compute|lto)_(\d{1,9})[af]?$")
ALWAYS = frozenset({"spirv"})  # for no target in particular


class Keep(NamedTuple):
    """The targets to keep, as `parse_targets` writes them."""

    targets: tuple[str, ...]

    @staticmethod
    def of(words: Iterable[str]) -> Keep:
        """Read what people write.

        Raises:
            UnknownNameError: nobody knows a target.
            InvalidInputError: a target that no device has.
        """
        return Keep(tuple(str(target) for target in parse_targets(words)))

    @property
    def chips(self) -> frozenset[str]:
        """The targets without their features."""
        return frozenset(target.split(":")[0] for target in self.targets)

    def choose(self, images: Iterable[Image]) -> list[Image]:
        """Return what the devices' loaders would pick from one container, in its order."""
        images = list(images)
        kept = {id(image) for image in images if image.kind in ALWAYS or image.kind.startswith("other-")}
        for target in self.targets:
            nvidia = target.startswith("sm_")
            best = _nvidia(images, target) if nvidia else _amd(images, target)
            kept |= {id(image) for image in best}
        return [image for image in images if id(image) in kept]

    def serves(self, images: Iterable[Image]) -> bool:
        """Tell whether a container holds anything for one of the targets."""
        return bool(self.choose(images))

    def drops_by_name(self, name: str) -> bool:
        """Tell whether a data file is made for other processors only, by its name."""
        chips = names.chips_of(name)
        return bool(chips) and not chips & self.chips and name.endswith(names.DATA)


def _answer(image: Image, device: str) -> Answer:
    return _ruled(image.kind, image.target, image.isa, device)


@functools.lru_cache(maxsize=4096)
def _ruled(kind: str, target: str, isa: str | None, device: str) -> Answer:
    return will_run(Image(kind=kind, target=target, isa=isa, bytes=0, offset=0), device).answer


def _nvidia(images: list[Image], target: str) -> list[Image]:
    """Machine code of the highest capability that loads; without any, PTX; link-time code by itself."""
    found = []
    for kinds in (("cubin", "ptx"), ("lto-ir",)):
        for kind in kinds:
            fitting = [image for image in images if image.kind == kind and _answer(image, target) != "no"]
            sure = [image for image in fitting if _answer(image, target) == "yes"] or fitting
            if sure:
                highest = max(_number(image) for image in sure)
                found += [image for image in sure if _number(image) == highest]
                break
    return found


def _number(image: Image) -> int:
    number = NVIDIA.match(image.target)
    return int(number[1]) if number else 0


def _amd(images: list[Image], target: str) -> list[Image]:
    """Code for exactly this processor, whatever features it insists on; without any, for its generic target."""
    chip = target.partition(":")[0]
    code = [image for image in images if image.kind in ("hsaco", "tensile")]
    own = [image for image in code if image.target.split(":")[0] == chip and _answer(image, target) != "no"]
    if own:
        return own
    generic = [image for image in code if image.target.split(":")[0].endswith("-generic")]
    return [image for image in generic if _answer(image, target) != "no"]
