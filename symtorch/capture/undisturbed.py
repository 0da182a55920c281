"""Running a model without leaving a trace in it."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

import torch
from torch import nn


@contextlib.contextmanager
def undisturbed(*modules: nn.Module) -> Iterator[None]:
    """Within the block: eval mode, no gradients, nothing compiled. After it everything is as before.

    Put back, also after an exception: the mode of every submodule by itself, whether gradients are
    recorded, and the random state of the CPU and of the modules' devices.

    >>> net = nn.Sequential(nn.Dropout(), nn.Linear(2, 2).eval())
    >>> with undisturbed(net):
    ...     print(net.training, net(torch.ones(1, 2)).requires_grad)
    False False
    >>> net.training, net[1].training
    (True, False)
    """
    modes = [(m, m.training) for module in modules for m in module.modules()]
    with contextlib.ExitStack() as stack:
        stack.enter_context(torch.random.fork_rng(_cuda_devices(modules)))
        stack.enter_context(torch.no_grad())
        if "torch._dynamo" in sys.modules and hasattr(torch.compiler, "set_stance"):
            # A compiled graph does not know of hooks that came after it.
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        stack.callback(_restore, modes)
        for module in modules:
            if any(m.training for m in module.modules()):
                module.eval()
        yield


def _restore(modes: list[tuple[nn.Module, bool]]) -> None:
    # By train() first, parents before children: some modules do work there (LoRA layers unmerge).
    # Then the flags alone, since a parent's train() may have been overridden to hold children still.
    for module, mode in modes:
        if module.training != mode:
            module.train(mode)
    for module, mode in modes:
        module.training = mode


def _cuda_devices(modules: tuple[nn.Module, ...]) -> list[int]:
    found = {p.device.index for module in modules for p in module.parameters() if p.device.type == "cuda"}
    return sorted(index for index in found if index is not None)
