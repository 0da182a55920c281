"""The equations that were found for a block, and which of them were chosen."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from symtorch.engines.samples import Samples
from symtorch.equations.expr import Call, Constant, Expr, substitute, variables, walk
from symtorch.equations.front import Equation, Front
from symtorch.equations.operators import Operator
from symtorch.errors import InputError, NotDistilledError
from symtorch.surrogate.interface import Interface
from symtorch.surrogate.module import Surrogate


@dataclass
class Findings:
    """Fronts over the variables of one interface, and the complexities chosen from them.

    Attributes:
        what: how messages call the block and the kind of distillation.
        how: the call that makes them.
        fronts: {output: Front}.
        interface: what the fronts' variables are; None before the first.
        complexities: {output: complexity} of the equations that were switched to.
        options: search options of the last distillation, as plain values, for the record.
        ranges: {output: (smallest, largest)} of the values that it had in its last distillation.
        domain: (smallest, largest) of each variable in all distillations; empty where it is not known.
    """

    what: str
    how: str = "distill(...)"
    fronts: dict[int, Front] = field(default_factory=dict)
    interface: Interface | None = None
    complexities: dict[int, int] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    ranges: dict[int, tuple[float, float]] = field(default_factory=dict)
    domain: tuple[tuple[float, float], ...] = ()

    def add(self, fronts: Mapping[int, Front], interface: Interface, samples: Samples) -> bool:
        """Take new fronts; those over other variables can't stand beside them and go.

        Args:
            fronts: {output: Front}.
            interface: what their variables are.
            samples: what they were found from.

        Returns:
            whether earlier fronts went.
        """
        stale = self.interface is not None and self.interface != interface
        if stale:
            self.fronts, self.complexities, self.ranges, self.domain = {}, {}, {}, ()
        self.interface = interface
        outputs = _ends(samples.Y)
        self.ranges |= {i: outputs[i] for i in fronts}
        self.domain = _ends(np.concatenate([samples.X, np.transpose(self.domain)]) if self.domain else samples.X)
        self.fronts = dict(sorted((self.fronts | dict(fronts)).items()))
        # A choice was made from the earlier front; the new one may not have that complexity.
        self.complexities = {i: c for i, c in self.complexities.items() if i not in fronts}
        return stale

    @property
    def operators(self) -> list[Operator]:
        """Operators of the user's own in the equations."""
        nodes = (node for front in self.fronts.values() for eq in front for node in walk(eq.expr))
        own = {node.op.name: node.op for node in nodes if isinstance(node, Call) and node.op.body is not None}
        return list(own.values())

    def require(self) -> Interface:
        """The interface, where something has been found.

        Raises:
            NotDistilledError: nothing has.
        """
        if self.interface is None or not self.fronts:
            raise NotDistilledError(f"{self.what} has no equations yet; call {self.how} first.")
        return self.interface

    def equation(self, output: int, complexity: int | None = None) -> Equation:
        """The equation of an output: the chosen one, or the one of this complexity.

        Raises:
            InputError: there is no such output or complexity; says what there is.
            NotDistilledError: the output has not been distilled.
        """
        n_outputs = self.require().n_outputs
        if not 0 <= output < n_outputs:
            raise InputError(f"output {output} of {self.what} does not exist; it has outputs 0..{n_outputs - 1}.")
        if output not in self.fronts:
            raise NotDistilledError(f"output {output} has no equations yet; there are outputs {list(self.fronts)}.")
        return self.fronts[output].at(self.complexities.get(output) if complexity is None else complexity)

    def beyond(self, expr: Expr, X: np.ndarray) -> int | None:
        """On how many rows of X (n_rows, n_inputs) an input of the equation is outside what was seen of it."""
        if not self.domain:
            return None
        outside = np.zeros(len(X), dtype=bool)
        for j in variables(expr):
            low, high = self.domain[j]
            outside |= ~((low <= X[:, j]) & (X[:, j] <= high))
        return int(outside.sum())

    def in_block_inputs(self, equation: Equation) -> Equation:
        """The equation with its variables written out, over the block's own inputs ``x0, x1, ...``.

        Raises:
            InputError: a variable that it uses is made by a Python function, which can't be written out.
        """
        interface = self.require()
        transforms = interface.transforms
        if transforms is None:
            return equation
        used = variables(equation.expr)
        functions = [transforms.names[i] for i in used if not isinstance(transforms.items[i], Expr)]
        if functions:
            raise InputError(
                f"variables {functions} are made by Python functions, which can't be written out; give them as "
                f"formulas, such as variable_transforms={{'r': 'sqrt(x0^2 + x1^2)'}}."
            )
        inputs = [item if isinstance(item, Expr) else Constant(math.nan) for item in transforms.items]
        names = tuple(f"x{i}" for i in range(interface.layout.n_inputs))
        return replace(equation, expr=substitute(equation.expr, inputs), variable_names=names)

    def choose(self, complexity: Any, active: Sequence[int] | None = None) -> Surrogate:
        """The surrogate of these complexities, which are from now on the chosen ones.

        Args:
            complexity: None, a number, a list or a dict, as for ``SymbolicModel.switch_to_symbolic``.
            active: outputs that pruning has kept, the others are zero; None for all.
        """
        interface = self.require()
        n_outputs = interface.n_outputs
        active = range(n_outputs) if active is None else active
        missing = [i for i in active if i not in self.fronts]
        if missing:
            raise NotDistilledError(
                f"outputs {missing} of {self.what} have no equations yet (there are {list(self.fronts)}); "
                f"distill them too."
            )
        wanted = _per_output(complexity, n_outputs, active)
        chosen = {i: self.fronts[i].at(wanted[i]) for i in active}
        exprs = [chosen[i].expr if i in chosen else None for i in range(n_outputs)]
        surrogate = Surrogate(exprs, interface.layout, interface.transforms)
        self.complexities = {i: eq.complexity for i, eq in chosen.items()}
        return surrogate


def _ends(values: np.ndarray) -> tuple[tuple[float, float], ...]:
    """(smallest, largest) of each column."""
    return tuple(zip(values.min(axis=0).tolist(), values.max(axis=0).tolist(), strict=True))


def _per_output(complexity: Any, n_outputs: int, active: Sequence[int]) -> list[int | None]:
    """What the user said of complexities, as one entry per output."""
    if complexity is None or isinstance(complexity, int):
        return [complexity] * n_outputs
    if isinstance(complexity, Mapping):
        unknown = [i for i in complexity if i not in range(n_outputs)]
        if unknown:
            raise InputError(f"complexity speaks of outputs {unknown}; there are outputs 0..{n_outputs - 1}.")
        return [complexity.get(i) for i in range(n_outputs)]
    if len(complexity) == len(active):
        by_output = dict(zip(active, complexity, strict=True))
        return [by_output.get(i) for i in range(n_outputs)]
    if len(complexity) != n_outputs:
        raise InputError(f"{len(complexity)} complexities for {len(active)} outputs; give one for each.")
    return list(complexity)
