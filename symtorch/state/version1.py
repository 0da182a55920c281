"""State dicts of torch-symbolic 1.0: weights and pruning are taken from them, pickled equations are not."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from symtorch.pruning import Pruning

logger = logging.getLogger("symtorch.state")

_METADATA = "_symtorch_metadata"
_LEFT_OUT = ("_pysr_", "_slime_", "_original_block.")


@dataclass(frozen=True)
class Legacy:
    """What a state dict of version 1.0 has besides weights that is taken over."""

    pruning: Pruning | None


def take_legacy(state_dict: dict[str, Any], prefix: str) -> Legacy | None:
    """Take version 1.0's own entries out of a state dict.

    Returns:
        what is taken over of them; None where the state dict is not version 1.0's.
    """
    metadata = state_dict.pop(prefix + _METADATA, None)
    if not isinstance(metadata, Mapping):
        return None
    own = [key for key in state_dict if key.startswith(prefix) and key[len(prefix) :].startswith(_LEFT_OUT)]
    for key in own:
        del state_dict[key]
    mask = state_dict.pop(f"{prefix}pruning_mask", None)
    logger.warning(
        "this state was written by torch-symbolic 1.0. The weights of block %r were loaded; its equations were not: "
        "they are pickles, which run code when they are loaded. Distill the block again.",
        metadata.get("block_name"),
    )
    return Legacy(_pruning(metadata, mask))


def _pruning(metadata: Mapping[str, Any], mask: Any) -> Pruning | None:
    schedule = metadata.get("pruning_schedule")
    dims = [metadata.get(name) for name in ("initial_dim", "target_dim", "current_dim")]
    if (
        isinstance(mask, Tensor)
        and isinstance(schedule, Mapping)
        and all(isinstance(value, int) for value in (*dims, *schedule, *schedule.values()))
        and tuple(mask.shape) == (dims[0],)
    ):
        initial, target, current = (int(value) for value in dims if value is not None)
        return Pruning(mask.bool(), dict(schedule), initial, target, current)
    return None
