"""All that is symbolic about a block as one value, and that value as a document and back.

A block's weights are in its state_dict as ever. What is symbolic travels beside them in one uint8 tensor
of UTF-8 JSON (PyTorch's extra state), so the keys of a state_dict are the same before and after a
distillation, and loading one runs no code. docs/state.md describes the document.
"""

from __future__ import annotations

import gc
import logging
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from symtorch.equations.expr import Expr, constants, to_text
from symtorch.equations.names import InputNames
from symtorch.errors import StateError
from symtorch.pruning import Pruning
from symtorch.state.findings import read_findings, variable_sizes, write_findings, written_out_size
from symtorch.state.fronts import read_expr, read_operator, write_operators
from symtorch.state.interface import MAX_OUTPUTS
from symtorch.state.node import Node, dumps, loads, pair
from symtorch.surrogate.findings import Findings
from symtorch.surrogate.guard import GUARDS
from symtorch.surrogate.in_place import InPlace
from symtorch.surrogate.interface import Interface
from symtorch.surrogate.module import n_columns

logger = logging.getLogger("symtorch.state")

KINDS = ("global", "local")
"""What a block has findings of: all of its data, and the surroundings of a point (SLIME=True)."""


@dataclass(frozen=True)
class ModelState:
    """All that is symbolic about a block.

    Attributes:
        name: of the block.
        found: the findings of each of :data:`KINDS`, as they were found.
        in_place: the equations that were last put in the block's place; None for none.
        pruning: how far it is; None where it was not set up.
        released: class and bytes of the block, where its weights were released; else None.
    """

    name: str
    found: Mapping[str, Findings]
    in_place: InPlace | None = None
    pruning: Pruning | None = None
    released: tuple[str, int] | None = None


def active_outputs(found: Findings, mask: Tensor | None) -> list[int]:
    """The searched outputs that are needed for the outputs that pruning has kept, of all where there is no mask."""
    interface = found.require()
    kept = list(range(interface.n_outputs)) if mask is None else torch.where(mask)[0].tolist()
    return interface.encoding.needed(kept)


# ---- as the tensor of a state_dict


def to_tensor(state: ModelState) -> Tensor:
    """UTF-8 JSON in a uint8 tensor (n_bytes,) on the CPU."""
    return torch.frombuffer(bytearray(dumps(write_model(state), "state")), dtype=torch.uint8)


def from_tensor(
    tensor: Any, name: str, known: Mapping[str, Findings], functions: Mapping[str, Mapping[str, Any]]
) -> ModelState:
    """What :func:`to_tensor` has written, for the block of this name; the others as for :func:`read_model`.

    Raises:
        StateError: says what is wrong and where.
    """
    if not isinstance(tensor, Tensor) or tensor.dtype != torch.uint8 or tensor.dim() != 1 or tensor.is_meta:
        what = f"{tuple(tensor.shape)} of {tensor.dtype}" if isinstance(tensor, Tensor) else type(tensor).__name__
        raise StateError(f"the state of {name!r} is {what}; expected a uint8 tensor (n_bytes,).")
    try:
        with without_collection():
            return read_model(loads(tensor.detach().cpu().numpy().tobytes(), "state"), known, functions)
    except StateError as error:
        raise StateError(f"the state of {name!r} can't be loaded: {error}") from None


@contextmanager
def without_collection() -> Iterator[None]:
    """Python's search for garbage in circles waits: trees have none, and it takes as long as reading them."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


# ---- writing


def write_model(state: ModelState) -> dict[str, Any]:
    """All that is symbolic about a block, as plain values."""
    mask = None if state.pruning is None else state.pruning.mask
    in_place = state.in_place
    if in_place is not None and any(i not in in_place.chosen for i in active_outputs(state.found[in_place.kind], mask)):
        in_place = None  # pruning was set up anew: an output has come back that nothing was chosen for
    switch = ("auto", "none") if in_place is None else (in_place.compile_as, in_place.guard)
    return {
        "name": state.name,
        "uses": "equations" if in_place is not None and in_place.in_use else "block",
        "chosen": KINDS[0] if in_place is None else in_place.kind,
        **{kind: write_findings(state.found[kind]) for kind in KINDS},
        "in_place": None if in_place is None else _write_in_place(in_place, state.name),
        "switch": dict(zip(("compile", "guard"), switch, strict=True)),
        "pruning": None if state.pruning is None else _write_pruning(state.pruning),
        **({} if state.released is None else {"released": dict(zip(_RELEASED, state.released, strict=True))}),
    }


def _write_in_place(in_place: InPlace, name: str) -> dict[str, Any]:
    """Whether and how the equations were trained since they were put in place."""
    exprs, trained = in_place.trained(), None
    if exprs is not None and not all(math.isfinite(value) for expr in exprs for value in constants(expr)):
        logger.warning("Constants of %r are not finite; those before are saved.", name)
    elif exprs is not None:
        columns = _columns(in_place.interface)
        trained = {"operators": write_operators(exprs), "equations": [to_text(expr, columns) for expr in exprs]}
    return {"trained": trained, "trainable": in_place.function.constants.requires_grad}


def _columns(interface: Interface) -> InputNames:
    return InputNames(n_columns(interface), "v")


def _write_pruning(pruning: Pruning) -> dict[str, Any]:
    return {
        "schedule": [[step, n] for step, n in pruning.schedule.items()],
        "initial_dim": pruning.initial_dim,
        "target_dim": pruning.target_dim,
        "current_dim": pruning.current_dim,
        "mask": pruning.mask.tolist(),
        **({} if pruning.latest is None else {"latest": pruning.latest, "pruned_at": list(pruning.pruned_at)}),
    }


# ---- reading


def read_model(root: Node, known: Mapping[str, Findings], functions: Mapping[str, Mapping[str, Any]]) -> ModelState:
    """What a document says.

    Args:
        root: of the document.
        known: by kind, how messages call the findings.
        functions: by kind, the Python functions that serve for variables of the same names.

    Raises:
        StateError: says what is wrong and where.
    """
    uses, chosen = root["uses"], root["chosen"]
    if uses.text() not in ("equations", "block"):
        raise uses.fail("equations or block")
    if chosen.text() not in KINDS:
        raise chosen.fail("global or local")
    found = {kind: read_findings(root.optional(kind), known[kind], functions[kind]) for kind in KINDS}
    pruning = _read_pruning(root.optional("pruning"))
    in_place = _read_in_place(root, found[chosen.text()], chosen.text(), pruning)
    if in_place is not None:
        in_place.in_use = uses.text() == "equations"
    elif uses.text() == "equations":
        raise uses.fail("'block', since no equations were chosen")
    return ModelState(root["name"].text(), found, in_place, pruning, _read_released(root, in_place))


_RELEASED = ("kind", "bytes")


def _read_released(root: Node, in_place: InPlace | None) -> tuple[str, int] | None:
    """The class and the bytes of a block whose weights were released; None for one that has them."""
    node = root.optional("released")
    if node is None:
        return None
    if in_place is None or not in_place.in_use:
        raise node.fail("null, since no equations stand in the block's place")
    return node["kind"].text(), node["bytes"].integer()


def _read_in_place(root: Node, found: Findings, kind: str, pruning: Pruning | None) -> InPlace | None:
    """The equations that were in the block's place, with the constants that they had there."""
    compile_as, guard = _read_switch(root.optional("switch"))
    node = root.optional("in_place")
    if node is None:
        return None
    if found.interface is None or (found.interface.n_searched and not found.fronts):
        raise node.fail("null, since nothing was found")
    n_outputs = found.interface.n_outputs
    if pruning is not None and pruning.initial_dim != n_outputs:
        raise StateError(f"{root.path}.pruning.mask is for {pruning.initial_dim} outputs; there are {n_outputs}.")
    active = active_outputs(found, None if pruning is None else pruning.mask)
    if any(i not in found.complexities for i in active):
        raise node.fail("null, since not every output has a chosen equation")
    equations = [equation.expr for i, equation in found.chosen.items() if i in set(active)]
    n_terms = written_out_size(equations, variable_sizes(found.interface)) + found.interface.n_searched
    node.budget.spend(n_terms, "what stands in the block's place")
    trained = node.optional("trained")
    in_place = InPlace(found, kind, active, guard, None if trained is None else _read_trained(trained, found.interface))
    in_place.function.constants.requires_grad_(node["trainable"].flag())
    in_place.compile_as = compile_as
    return in_place


def _read_trained(node: Node, interface: Interface) -> list[Expr]:
    operators = [read_operator(op) for op in node["operators"]]
    exprs = [read_expr(text, _columns(interface), operators) for text in node["equations"]]
    if len(exprs) != interface.n_searched:
        raise node["equations"].fail(f"{interface.n_searched} equations")
    return exprs


def _read_switch(node: Node | None) -> tuple[bool | str, str]:
    """How the equations run and are guarded; the defaults for earlier states, which do not say."""
    if node is None:
        return "auto", "none"
    compiled, guard = node["compile"], node["guard"]
    if compiled.value != "auto" and not isinstance(compiled.value, bool):
        raise compiled.fail("true, false or 'auto'")
    if guard.text() not in GUARDS:
        raise guard.fail(f"one of {', '.join(GUARDS)}")
    return compiled.value, guard.text()


def _read_pruning(node: Node | None) -> Pruning | None:
    if node is None:
        return None
    initial = node["initial_dim"].integer(1, MAX_OUTPUTS)
    schedule = {step.integer(): n.integer(0, initial) for step, n in map(pair, node["schedule"])}
    mask = [kept.flag() for kept in node["mask"]]
    if len(mask) != initial:
        raise node["mask"].fail(f"{initial} flags")
    target, current = node["target_dim"].integer(0, initial), node["current_dim"].integer(0, initial)
    latest, since = node.optional("latest"), node.optional("pruned_at")
    pruned_at = () if since is None else tuple(None if at.value is None else at.integer() for at in since)
    if len(pruned_at) not in (0, initial):
        raise node["pruned_at"].fail(f"{initial} steps")
    return Pruning(
        torch.tensor(mask, dtype=torch.bool),
        schedule,
        initial,
        target,
        current,
        pruned_at,
        None if latest is None else latest.integer(),
    )
