"""What a SymbolicModel puts into a state_dict, and takes out of one.

The block's weights are in it as ever. All that is symbolic travels beside them in one uint8 tensor
of UTF-8 JSON (PyTorch's extra state), so the keys of a state_dict are the same before and after a
distillation, and loading one runs no code. docs/state.md describes the document.
"""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn

from symtorch.equations.expr import constants, to_text
from symtorch.errors import CompilerError, StateError
from symtorch.state import (
    MAX_OUTPUTS,
    Node,
    dumps,
    loads,
    read_expr,
    read_front,
    read_interface,
    read_operator,
    write_front,
    write_interface,
    write_operators,
    write_options,
)
from symtorch.state.files import load_trusted, save_trusted
from symtorch.state.version1 import take_legacy
from symtorch.surrogate.findings import Findings
from symtorch.surrogate.guard import GUARDS
from symtorch.surrogate.module import Surrogate, in_block_inputs

logger = logging.getLogger("symtorch.state")

_SURROGATE = "surrogate"
_ID_NAME = re.compile(r"block_\d+")


class Persistent(nn.Module):
    """What :class:`symtorch.SymbolicModel` knows of state dicts."""

    symtorch_block: Any
    block_name: str
    surrogate: Surrogate | None
    pruning_mask: Tensor | None
    pruning_schedule: dict[int, int] | None
    initial_dim: int | None
    target_dim: int | None
    current_dim: int | None
    _standard: Findings
    _local: Findings
    _chosen: Findings
    _use_symbolic: bool
    _compile: bool | str
    _guard: str
    _cache: Any

    @property
    def _own_name(self) -> str:
        """The name that the user gave it; empty for one made from its id, which is another in every process."""
        return "" if _ID_NAME.fullmatch(self.block_name) else self.block_name

    def save(self, path: str | Path, data: bool = False) -> None:
        """Write the whole object, with the block and whatever Python functions belong to it, into one file.

        For what a state_dict can't hold: plain functions as blocks, functions as variable transforms. The
        file is written atomically. Loading it runs code that is in it.

        Args:
            path: of the file.
            data: keep the captured data as well.
        """
        save_trusted(path, {"model": self, "data": self._cache if data else None})

    @classmethod
    def load(cls, path: str | Path, trusted: bool = False, map_location: Any = None) -> Self:
        """Read what :meth:`save` has written.

        Args:
            path: of the file.
            trusted: say that you know where it comes from; nothing is loaded otherwise.
            map_location: where tensors go, as for ``torch.load``.

        Raises:
            StateError: the file isn't trusted, is damaged, of a later version, or something else.
        """
        content = load_trusted(path, trusted, map_location)
        model = content.get("model") if isinstance(content, dict) else None
        if not isinstance(model, cls):
            raise StateError(f"{path} holds a {type(model).__name__}; expected a {cls.__name__}.")
        model._cache = content.get("data")
        return model

    def get_extra_state(self) -> Tensor:
        """Everything symbolic, as UTF-8 JSON in a uint8 tensor (n_bytes,) on the CPU."""
        return torch.frombuffer(bytearray(dumps(write_model(self), "state")), dtype=torch.uint8)

    def set_extra_state(self, state: Any) -> None:
        """Take over what :meth:`get_extra_state` has given, all of it or, where anything is wrong, nothing.

        Raises:
            StateError: says what is wrong and where.
        """
        if not isinstance(state, Tensor) or state.dtype != torch.uint8 or state.dim() != 1 or state.is_meta:
            what = f"{tuple(state.shape)} of {state.dtype}" if isinstance(state, Tensor) else type(state).__name__
            raise StateError(f"the state of {self.block_name!r} is {what}; expected a uint8 tensor (n_bytes,).")
        try:
            found = read_model(loads(state.detach().cpu().numpy().tobytes(), "state"), self)
        except StateError as error:
            raise StateError(f"the state of {self.block_name!r} can't be loaded: {error}") from None
        found.give_to(self)

    def state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """As every module's; the equations and their constants are in its extra state."""
        state = super().state_dict(*args, **kwargs)
        prefix = kwargs.get("prefix", args[1] if len(args) > 1 else "")
        for key in [key for key in state if key.startswith(f"{prefix}{_SURROGATE}.")]:
            del state[key]
        return state

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        pruning = take_legacy(state_dict, prefix)
        if pruning is not None:
            state_dict[f"{prefix}_extra_state"] = self.get_extra_state()
        super()._load_from_state_dict(state_dict, prefix, *args)
        for name, value in (pruning or {}).items():
            setattr(self, name, value)
        # The surrogate was made from the extra state a moment ago, and has its constants from there.
        if self.surrogate is not None:
            own = self.surrogate.state_dict(prefix=f"{prefix}{_SURROGATE}.")
            state_dict.update(own)


# ---- writing


def write_model(model: Persistent) -> dict[str, Any]:
    """All that is symbolic about a model, as plain values."""
    pruning = None
    if model.pruning_schedule is not None and model.pruning_mask is not None and not model.pruning_mask.is_meta:
        pruning = {
            "schedule": [[step, n] for step, n in model.pruning_schedule.items()],
            "initial_dim": model.initial_dim,
            "target_dim": model.target_dim,
            "current_dim": model.current_dim,
            "mask": model.pruning_mask.tolist(),
        }
    return {
        "name": model.block_name,
        "uses": "equations" if model._use_symbolic else "block",
        "chosen": "local" if model._chosen is model._local else "global",
        "global": _write_findings(model._standard),
        "local": _write_findings(model._local),
        "in_place": _write_in_place(model),
        "switch": {"compile": model._compile, "guard": model._guard},
        "pruning": pruning,
    }


def _write_findings(found: Findings) -> dict[str, Any] | None:
    if found.interface is None:
        return None
    return {
        "interface": write_interface(found.interface),
        "fronts": [[output, write_front(front)] for output, front in found.fronts.items()],
        "complexities": [[output, complexity] for output, complexity in found.complexities.items()],
        "options": dict(found.options),
        "ranges": [[output, list(ends)] for output, ends in found.ranges.items()],
        "domain": [list(ends) for ends in found.domain],
    }


def _write_in_place(model: Persistent) -> dict[str, Any] | None:
    """Of the equations that were last put in the block's place: whether and how they were trained since."""
    surrogate, found = model.surrogate, model._chosen
    if surrogate is None or found.interface is None:
        return None
    active = _active(model.pruning_mask, found.interface.n_outputs)
    if any(i not in found.complexities for i in active):
        return None  # distilled again since; nothing is chosen any more
    function = surrogate.function
    exprs, trained = function.expressions(), None
    chosen = [found.equation(i).expr if i in active else None for i in range(found.interface.n_outputs)]
    if not all(math.isfinite(value) for expr in exprs for value in constants(expr)):
        logger.warning("Constants of %r are not finite; those before are saved.", model.block_name)
    elif exprs != in_block_inputs(chosen, found.interface.transforms)[0]:
        names = [f"v{i}" for i in range(function.n_inputs)]
        trained = {"operators": write_operators(exprs), "equations": [to_text(expr, names) for expr in exprs]}
    return {"trained": trained, "trainable": function.constants.requires_grad}


def _active(mask: Tensor | None, n_outputs: int) -> list[int]:
    return list(range(n_outputs)) if mask is None else torch.where(mask)[0].tolist()


# ---- reading


@dataclass(frozen=True)
class _Read:
    """All that a document says, checked and made, to be handed over in one go."""

    name: str
    use_symbolic: bool
    local: bool
    findings: tuple[Findings, Findings]
    surrogate: Surrogate | None
    switch: tuple[bool | str, str]
    pruning: Mapping[str, Any]

    def give_to(self, model: Persistent) -> None:
        if not model._own_name:
            model.block_name = self.name
        for own, new in zip((model._standard, model._local), self.findings, strict=True):
            own.fronts, own.interface = new.fronts, new.interface
            own.complexities, own.options = new.complexities, new.options
            own.ranges, own.domain = new.ranges, new.domain
        model._chosen = model._local if self.local else model._standard
        tensors = (*model.parameters(), *model.buffers())
        device = next((tensor.device for tensor in tensors if not tensor.is_meta), None)
        model.surrogate = None if self.surrogate is None else self.surrogate.to(device).train(model.training)
        model._use_symbolic = self.use_symbolic
        model._compile, model._guard = self.switch
        if model.surrogate is not None:
            _compile_where_possible(model.surrogate, model._compile)
        for name, value in self.pruning.items():
            setattr(model, name, value.to(device) if isinstance(value, Tensor) else value)


def read_model(root: Node, model: Persistent) -> _Read:
    """What a document says, for this model; nothing of the model is changed."""
    uses, chosen = root["uses"], root["chosen"]
    if uses.text() not in ("equations", "block"):
        raise uses.fail("equations or block")
    if chosen.text() not in ("global", "local"):
        raise chosen.fail("global or local")
    findings = _read_findings(root, "global", model._standard), _read_findings(root, "local", model._local)
    found = findings[chosen.text() == "local"]
    pruning = _read_pruning(root.optional("pruning"))
    surrogate = _read_surrogate(root, found, pruning["pruning_mask"])
    if uses.text() == "equations" and surrogate is None:
        raise uses.fail("'block', since no equations were chosen")
    return _Read(
        root["name"].text(),
        uses.text() == "equations",
        chosen.text() == "local",
        findings,
        surrogate,
        _read_switch(root.optional("switch")),
        pruning,
    )


def _read_findings(root: Node, key: str, own: Findings) -> Findings:
    node = root.optional(key)
    found = Findings(own.what, own.how)
    if node is None:
        return found
    interface = read_interface(node["interface"], own.interface)
    fronts = {}
    for output, front in (_pair(pair) for pair in node["fronts"]):
        index = output.integer(0, interface.n_outputs - 1)
        fronts[index] = read_front(front, interface.variable_names)
    complexities = {}
    for output, complexity in (_pair(pair) for pair in node["complexities"]):
        index = output.integer(0, interface.n_outputs - 1)
        if index not in fronts or complexity.integer() not in fronts[index].complexities:
            raise complexity.fail(f"a complexity that output {index} has an equation of")
        complexities[index] = complexity.integer()
    options = write_options({name: option.value for name, option in node["options"].items()})
    ranges = _read_ranges(node.optional("ranges"), interface.n_outputs)
    domain = _read_domain(node.optional("domain"), len(interface.variable_names))
    return Findings(own.what, own.how, dict(sorted(fronts.items())), interface, complexities, options, ranges, domain)


def _read_ranges(node: Node | None, n_outputs: int) -> dict[int, tuple[float, float]]:
    """Earlier states have none."""
    ranges = {}
    for output, ends in (_pair(pair) for pair in node or ()):
        ranges[output.integer(0, n_outputs - 1)] = _ends(ends)
    return ranges


def _read_domain(node: Node | None, n_variables: int) -> tuple[tuple[float, float], ...]:
    """Earlier states have none."""
    domain = tuple(_ends(ends) for ends in node or ())
    if node is not None and len(domain) not in (0, n_variables):
        raise node.fail(f"the ends of {n_variables} variables")
    return domain


def _ends(node: Node) -> tuple[float, float]:
    low, high = _pair(node)
    return low.number(), high.number()


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


def _compile_where_possible(surrogate: Surrogate, compiled: bool | str) -> None:
    try:
        surrogate.function.use_compiled(compiled)
    except CompilerError as error:
        logger.warning("The equations were compiled where they were saved, but run eagerly here: %s", error)
        surrogate.function.use_compiled(False)


def _pair(node: Node) -> tuple[Node, Node]:
    pair = list(node)
    if len(pair) != 2:
        raise node.fail("a pair")
    return pair[0], pair[1]


def _read_surrogate(root: Node, found: Findings, mask: Tensor | None) -> Surrogate | None:
    """The equations that were in the block's place, with the constants that they had there."""
    in_place = root.optional("in_place")
    if in_place is None:
        return None
    if found.interface is None:
        raise in_place.fail("null, since nothing was found")
    n_outputs = found.interface.n_outputs
    if mask is not None and len(mask) != n_outputs:
        raise StateError(f"{root.path}.pruning.mask is for {len(mask)} outputs; there are {n_outputs}.")
    active = _active(mask, n_outputs)
    if any(i not in found.complexities for i in active):
        raise in_place.fail("null, since not every output has a chosen equation")
    complexities = dict(found.complexities)
    surrogate = found.choose(complexities, active)
    found.complexities = complexities
    trained = in_place.optional("trained")
    if trained is not None:
        surrogate = _trained(surrogate, trained)
    surrogate.function.constants.requires_grad_(in_place["trainable"].flag())
    return surrogate


def _trained(surrogate: Surrogate, node: Node) -> Surrogate:
    operators = [read_operator(op) for op in node["operators"]]
    names = tuple(f"v{i}" for i in range(surrogate.function.n_inputs))
    exprs = [read_expr(text, names, operators) for text in node["equations"]]
    if len(exprs) != surrogate.function.n_outputs:
        raise node["equations"].fail(f"{surrogate.function.n_outputs} equations")
    return Surrogate(exprs, surrogate.layout, surrogate.transforms)


def _read_pruning(node: Node | None) -> dict[str, Any]:
    names = ("pruning_schedule", "initial_dim", "target_dim", "current_dim", "pruning_mask")
    if node is None:
        return dict.fromkeys(names)
    initial = node["initial_dim"].integer(1, MAX_OUTPUTS)
    schedule = {step.integer(): n.integer(0, initial) for step, n in (_pair(pair) for pair in node["schedule"])}
    mask = [kept.flag() for kept in node["mask"]]
    if len(mask) != initial:
        raise node["mask"].fail(f"{initial} flags")
    values = (schedule, initial, node["target_dim"].integer(0, initial), node["current_dim"].integer(0, initial))
    return dict(zip(names, (*values, torch.tensor(mask, dtype=torch.bool)), strict=True))
