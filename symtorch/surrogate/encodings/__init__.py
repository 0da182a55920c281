"""How rows of a block become what the search sees, and its answers the block's outputs: one file per encoding.

A new one is a file here and a reader in :data:`symtorch.state.encodings.READERS`.
"""

from symtorch.surrogate.encodings.base import Encoding, Fit, Identity
from symtorch.surrogate.encodings.mixing import Mixing
from symtorch.surrogate.encodings.projection import Projected, Projection
from symtorch.surrogate.encodings.transforms import MissingTransform, Transform, Transforms, check_transforms

__all__ = [
    "Encoding",
    "Fit",
    "Identity",
    "MissingTransform",
    "Mixing",
    "Projected",
    "Projection",
    "Transform",
    "Transforms",
    "check_transforms",
]
