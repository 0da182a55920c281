"""Reading a torch.distributed.checkpoint into a model that was never distilled.

That library fills tensors of the sizes that they have now, but how long a block's symbolic state is
only the checkpoint knows.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.distributed.checkpoint import DefaultLoadPlanner
from torch.distributed.checkpoint.metadata import Metadata, TensorStorageMetadata


class LoadPlanner(DefaultLoadPlanner):
    """Makes room for symbolic state: ``dcp.load(state, checkpoint_id=path, planner=LoadPlanner())``.

    The state dict that is loaded into gets new tensors for it; pass it to ``load_state_dict`` as usual.
    """

    def set_up_planner(self, state_dict: Any, metadata: Metadata | None = None, is_coordinator: bool = False) -> None:
        super().set_up_planner(state_dict, metadata, is_coordinator)
        saved = {} if metadata is None else metadata.state_dict_metadata
        for key, value in self.state_dict.items():
            found = saved.get(key)
            if (
                key.rsplit(".", 1)[-1] == "_extra_state"
                and isinstance(value, torch.Tensor)
                and isinstance(found, TensorStorageMetadata)
                and found.size != value.size()
            ):
                _put(state_dict, self.mappings.get(key, (key,)), torch.empty(found.size, dtype=found.properties.dtype))
        super().set_up_planner(state_dict, metadata, is_coordinator)


def _put(container: Any, path: tuple[Any, ...], value: torch.Tensor) -> None:
    for part in path[:-1]:
        container = container[part]
    container[path[-1]] = value
