"""A model as a function of rows of its inputs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from torch import nn

from symtorch.capture.batches import call_plain, placed
from symtorch.capture.calls import expected_callable, find_output, is_table
from symtorch.capture.undisturbed import undisturbed
from symtorch.errors import InputError


def asking(model: Any, data: Any = None) -> Callable[[np.ndarray], np.ndarray]:
    """A module or callable as a function (n, n_inputs) -> (n, n_outputs) of float64 arrays.

    Args:
        model: called in eval mode, without gradients, on the device that it is on.
        data: what it was made for: of a DataFrame its columns are given names again.

    Raises:
        InputError: it can't be called; or, in a call, it did not return one row for each.
    """
    if not callable(model):
        raise InputError(f"model is a {type(model).__name__}; {expected_callable(model)}.")

    def ask(rows: np.ndarray) -> np.ndarray:
        if isinstance(model, nn.Module):
            with undisturbed(model):
                answer = model(placed(rows, model))
        elif is_table(data):  # what was fitted on one asks for its names
            answer = model(type(data)(rows, columns=data.columns))
        else:
            answer = call_plain(model, rows)
        Y = find_output(answer, None)[0].cpu().double().numpy()
        if len(Y) != len(rows) or Y.ndim > 2:
            raise InputError(f"the model returned shape {Y.shape} for {len(rows)} rows; expected one row for each.")
        return Y.reshape(len(rows), -1)

    return ask
