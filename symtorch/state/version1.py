"""State dicts of torch-symbolic 1.0: weights and pruning are taken from them, pickled equations are not."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from torch import Tensor

logger = logging.getLogger("symtorch.state")

_METADATA = "_symtorch_metadata"
_LEFT_OUT = ("_pysr_", "_slime_", "_original_block.")


def take_legacy(state_dict: dict[str, Any], prefix: str) -> dict[str, Any] | None:
    """Take version 1.0's own entries out of a state dict.

    Returns:
        what there was of pruning; None where the state dict is not version 1.0's.
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
    return _pruning(metadata, mask)


def _pruning(metadata: Mapping[str, Any], mask: Any) -> dict[str, Any]:
    schedule = metadata.get("pruning_schedule")
    dims = {name: metadata.get(name) for name in ("initial_dim", "target_dim", "current_dim")}
    sound = (
        isinstance(mask, Tensor)
        and isinstance(schedule, Mapping)
        and all(isinstance(value, int) for value in (*dims.values(), *schedule, *schedule.values()))
        and tuple(mask.shape) == (dims["initial_dim"],)
    )
    return {"pruning_schedule": dict(schedule or {}), **dims, "pruning_mask": mask.bool()} if sound else {}
