"""How rows of a block become what the search sees, and its answers the block's outputs: one file per encoding.

A new one is a file here and a reader in :data:`symtorch.state.encodings.READERS`.
"""

from symtorch.surrogate.encodings.base import Encoding, Fit, Identity
from symtorch.surrogate.encodings.gated import Gated
from symtorch.surrogate.encodings.maps import Maps
from symtorch.surrogate.encodings.mixing import Mixing
from symtorch.surrogate.encodings.projected import Projected
from symtorch.surrogate.encodings.projection import Projection
from symtorch.surrogate.encodings.transforms import MissingTransform, Transform, Transforms, check_transforms

__all__ = [
    "Encoding",
    "Fit",
    "Gated",
    "Identity",
    "Maps",
    "MissingTransform",
    "Mixing",
    "Projected",
    "Projection",
    "Transform",
    "Transforms",
    "check_transforms",
]
