"""Model files of 2.0's development: pickled attributes of classes that have moved or changed since."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import fields
from typing import Any

import torch

from symtorch.codegen.torch_function import SymbolicFunction
from symtorch.equations.expr import Expr
from symtorch.equations.front import Front
from symtorch.pruning import Pruning
from symtorch.state.model import KINDS, ModelState, active_outputs
from symtorch.surrogate.encodings import Identity, Transforms
from symtorch.surrogate.findings import Findings
from symtorch.surrogate.in_place import InPlace
from symtorch.surrogate.interface import Interface


class Attributes:
    """What was pickled of an object whose class has changed: its attributes."""


_HERE = "symtorch.state.earlier"

MOVED = {
    ("symtorch.findings", "Findings"): (_HERE, "Attributes"),
    ("symtorch.distillation", "Interface"): (_HERE, "Attributes"),
    ("symtorch.surrogate", "Surrogate"): (_HERE, "Attributes"),
    ("symtorch.equations.compiled", "SymbolicFunction"): (_HERE, "Attributes"),
    ("symtorch.transforms", "Transforms"): (_HERE, "Attributes"),
    ("symtorch.document.interface", "MissingTransform"): (
        "symtorch.surrogate.encodings.transforms",
        "MissingTransform",
    ),
    ("symtorch.layout", "Layout"): ("symtorch.capture.calls", "Layout"),
    ("symtorch.layout", "Argument"): ("symtorch.capture.calls", "Argument"),
    ("symtorch.layout", "Result"): ("symtorch.capture.calls", "Result"),
    ("symtorch.captured", "Captured"): ("symtorch.capture.rows", "Captured"),
    ("symtorch.equations.operators", "_restore"): ("symtorch.equations.definitions", "_restore"),
}
"""(module, name) in a pickle: where it is now."""

_OWN = frozenset(
    "symtorch_block block_name surrogate pruning_mask pruning_schedule initial_dim target_dim current_dim "
    "_standard _local _chosen _use_symbolic _compile _guard _cache".split()
)


REGISTERED = ("_modules", "_parameters", "_buffers")
"""What PyTorch keeps of a module's members, by kind."""


def is_earlier(attributes: Mapping[str, Any]) -> bool:
    """Whether these are the attributes of a SymbolicModel as they were then."""
    return "_standard" in attributes


def from_attributes(old: Mapping[str, Any]) -> tuple[Any, ModelState, dict[str, Any]]:
    """The block, its symbolic state, and the attributes that are not ours."""
    modules, mask = old["_modules"], old["_buffers"].get("pruning_mask")
    block = modules["symtorch_block"] if "symtorch_block" in modules else old["symtorch_block"]
    found = dict(zip(KINDS, (_findings(old["_standard"]), _findings(old["_local"])), strict=True))
    pruning = None
    if mask is not None:
        dims = [old[name] for name in ("initial_dim", "target_dim", "current_dim")]
        pruning = Pruning(mask.cpu(), dict(old["pruning_schedule"]), *dims)
    kind = KINDS[old["_chosen"] is old["_local"]]
    in_place = _in_place(modules.get("surrogate"), found[kind], kind, old, mask)
    return block, ModelState(old["block_name"], found, in_place, pruning), other_attributes(old, _OWN)


def other_attributes(attributes: Mapping[str, Any], ours: Collection[str]) -> dict[str, Any]:
    """The attributes of a module without ours, also among its children and buffers."""
    rest = {name: value for name, value in attributes.items() if name not in ours}
    return rest | {kind: {k: v for k, v in attributes[kind].items() if k not in ours} for kind in REGISTERED}


def _findings(old: Any) -> Findings:
    values = vars(old)
    interface = None if old.interface is None else _interface(old.interface)
    return Findings(**{**values, "interface": interface, "fronts": {i: _front(f) for i, f in old.fronts.items()}})


def _front(old: Front) -> Front:
    """The front made anew: pickling brings back the attributes that there were, and no others."""
    names = {field.name for field in fields(Front)}
    return Front(**{name: value for name, value in vars(old).items() if name in names})


def _interface(old: Any) -> Interface:
    transforms = old.transforms
    encoding = Transforms(transforms.names, transforms.items, transforms.n_inputs) if transforms else Identity()
    return Interface(old.layout, old.n_outputs, old.variable_names, encoding)


def _in_place(
    surrogate: Any, found: Findings, kind: str, old: Mapping[str, Any], mask: torch.Tensor | None
) -> InPlace | None:
    if surrogate is None or found.interface is None:
        return None
    active = active_outputs(found, mask)
    if any(i not in found.complexities for i in active):
        return None  # distilled again since
    function = vars(surrogate)["_modules"]["function"]
    saved = vars(function)["_parameters"]["constants"]
    in_place = InPlace(found, kind, active, old["_guard"], _expressions(function, saved))
    in_place.function.constants.requires_grad_(saved.requires_grad)
    in_place.compile_as, in_place.in_use = old["_compile"], old["_use_symbolic"]
    return in_place


def _expressions(function: Any, values: torch.Tensor) -> list[Expr]:
    """The trees of a function with the constants that it had."""
    again = SymbolicFunction(vars(function)["_exprs"], vars(function)["n_inputs"])
    with torch.no_grad():
        again.constants.copy_(values)
    return again.expressions()
