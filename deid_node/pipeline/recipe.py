"""Everything that decides an outcome, resolved and frozen."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from deid_node import __version__

if TYPE_CHECKING:
    from deid_node.face.fill import Fill
    from deid_node.face.mask import MaskPolicy
    from deid_node.face.model import FaceModel
    from deid_node.headers.profile import Profile
    from deid_node.headers.pseudonyms import Pseudonyms


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Recipe:
    """A profile, a key and a face policy; equal recipes give equal bytes.

    Parameters
    ----------
    profile : Profile
        What happens to each attribute.
    pseudonyms : Pseudonyms
        The site's secret key at work.
    model : FaceModel
        What finds the face.
    mask : MaskPolicy
        Margins of the mask.
    fill : Fill
        What is written where the face was.
    """

    profile: Profile
    pseudonyms: Pseudonyms
    model: FaceModel
    mask: MaskPolicy
    fill: Fill
    digest: str = field(init=False)
    """Names the recipe: two outputs with one digest were made in the same way.

    SHA-256 in hexadecimal over the parts' own names; of the key only its fingerprint.
    """

    def __post_init__(self) -> None:
        parts = (
            __version__,
            self.profile.digest(),
            self.pseudonyms.fingerprint(),
            repr(self.model.card),
            repr(self.mask),
            repr(self.fill),
        )
        digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()
        object.__setattr__(self, "digest", digest)
