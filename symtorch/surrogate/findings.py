"""The equations that were found for a block, and which of them were chosen: values, never changed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from symtorch.engines.samples import Samples
from symtorch.equations.expr import Call, Expr, Variable, variables, walk
from symtorch.equations.front import Equation, Front, Fronts
from symtorch.equations.operators import Operator
from symtorch.errors import InputError, NotDistilledError, listed
from symtorch.surrogate.interface import Interface


@dataclass(frozen=True)
class Findings:
    """Fronts over the variables of one interface, and the complexities chosen from them.

    Outputs are those of the search; they are the block's own unless the interface's encoding says otherwise.

    Attributes:
        what: how messages call the block and the kind of distillation.
        how: the call that makes them.
        fronts: {output: Front}, by rising output.
        interface: what the fronts' variables are; None before the first.
        complexities: {output: complexity} of the equations that were switched to.
        options: search options of the last distillation, as plain values, for the record.
        ranges: {output: (smallest, largest)} of the values that it had in its last distillation.
        domain: (smallest, largest) of each variable in all distillations; empty where it is not known.
    """

    what: str
    how: str = "distill(...)"
    fronts: Fronts = field(default_factory=Fronts)
    interface: Interface | None = None
    complexities: dict[int, int] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    ranges: dict[int, tuple[float, float]] = field(default_factory=dict)
    domain: tuple[tuple[float, float], ...] = ()

    # ---- reading

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
        if self.interface is None or not (self.fronts or not self.interface.n_searched):
            raise NotDistilledError(f"{self.what} has no equations yet; call {self.how} first.")
        return self.interface

    def equation(self, output: int, complexity: int | None = None) -> Equation:
        """The equation of an output: the chosen one, or the one of this complexity.

        Raises:
            InputError: there is no such output or complexity; says what there is.
            NotDistilledError: the output has not been distilled.
        """
        n_outputs = self.require().n_searched
        if isinstance(output, bool) or not isinstance(output, (int, np.integer)):
            raise InputError(f"output is {output!r}; expected its index, one of 0..{n_outputs - 1}.")
        if not 0 <= output < n_outputs:
            raise InputError(f"output {output} of {self.what} is out of range; it has outputs 0..{n_outputs - 1}.")
        if output not in self.fronts:
            raise NotDistilledError(f"output {output} has no equations yet; there are outputs [{listed(self.fronts)}].")
        return self.fronts[output].at(self.complexities.get(output) if complexity is None else complexity)

    @property
    def functions(self) -> dict[str, Any]:
        """By the variable's name, the Python functions that make variables of the equations."""
        return {} if self.interface is None else self.interface.encoding.functions

    @property
    def chosen(self) -> dict[int, Equation]:
        """{output: Equation} of the complexities that were switched to."""
        return {i: self.fronts[i].at(complexity) for i, complexity in self.complexities.items()}

    def beyond(self, exprs: Iterable[Expr], X: np.ndarray) -> int | None:
        """On how many rows of X (n_rows, n_variables) a variable of these equations is outside what was seen of it."""
        if not self.domain:
            return None
        outside = np.zeros(len(X), dtype=bool)
        for j in {j for expr in exprs for j in variables(expr)}:
            low, high = self.domain[j]
            outside |= ~((low <= X[:, j]) & (X[:, j] <= high))
        return int(outside.sum())

    def in_block_inputs(self, equation: Equation) -> Equation:
        """The equation with its variables written out, over the block's own inputs ``x0, x1, ...``.

        Raises:
            InputError: a variable that it uses is made by a Python function, which can't be written out.
        """
        interface = self.require()
        interface.check_written()
        expand, names = interface.encoding.expand, interface.variable_names
        expr = expand(equation.expr)
        if expr is None:
            functions = [names[j] for j in variables(equation.expr) if expand(Variable(j)) is None]
            raise InputError(
                f"variables [{listed(functions)}] are made by Python functions, which can't be written out; give them "
                f"as formulas, such as variable_transforms={{'r': 'sqrt(x0^2 + x1^2)'}}."
            )
        if expr is equation.expr:
            return equation
        inputs = tuple(f"x{i}" for i in range(interface.layout.n_inputs))
        return replace(equation, expr=expr, variable_names=inputs, standard_errors=None, signs=None)

    # ---- new ones

    def can_stand_beside(self, interface: Interface) -> bool:
        """Whether fronts over this interface can join those that there are."""
        return self.interface is None or self.interface == interface

    def with_fronts(
        self, fronts: Mapping[int, Front], interface: Interface, samples: Samples | None, options: Mapping[str, Any]
    ) -> Findings:
        """With the fronts of a distillation too; earlier ones over other variables can't stand beside them and go.

        Args:
            fronts: {output: Front}.
            interface: what their variables are.
            samples: what they were found from; None where nothing was searched for.
            options: of the search, as plain values.
        """
        before = self if self.can_stand_beside(interface) else Findings(self.what, self.how)
        if samples is None:
            return replace(before, interface=interface, options=dict(options))
        outputs = _ends(samples.Y)
        seen = np.concatenate([samples.X, np.transpose(before.domain)]) if before.domain else samples.X
        return replace(
            before,
            fronts=Fronts(sorted({**before.fronts, **fronts}.items())),
            interface=interface,
            # A choice was made from the earlier front, and the new one may not have it, but for the user's own.
            complexities={i: c for i, c in before.complexities.items() if i not in fronts or c == fronts[i].pick},
            options=dict(options),
            ranges={**before.ranges, **{i: outputs[i] for i in fronts}},
            domain=_ends(seen),
        )

    def with_equation(self, output: int, equation: Equation) -> Findings:
        """With the user's equation as part of its output's front, and its pick; of equal complexity it comes first."""
        front, equation = self.fronts.get(output), replace(equation, own=True)
        if front is None:
            front = Front((equation,), engine="user", pick=equation.complexity)
        else:
            others = [eq for eq in front if (eq.expr, eq.complexity) != (equation.expr, equation.complexity)]
            equations = tuple(sorted([equation, *others], key=lambda eq: eq.complexity))
            front = replace(front, equations=equations, pick=equation.complexity)
        return replace(
            self,
            fronts=Fronts(sorted({**self.fronts, output: front}.items())),
            complexities={**self.complexities, output: equation.complexity},
        )

    def without_own(self, output: int) -> Findings:
        """Without the equations that the user has set for an output; the rule picks again.

        Raises:
            InputError: there are no others.
        """
        others = tuple(eq for eq in self.fronts.get(output, ()) if not eq.own)
        if not others:
            raise InputError(f"output {output} of {self.what} has only what was set; distill it first.")
        front = replace(self.fronts[output], equations=others, pick=None)
        return replace(
            self,
            fronts=Fronts({**self.fronts, output: front}),
            complexities={i: c for i, c in self.complexities.items() if i != output},
        )

    def with_constants_of(self, equations: Mapping[int, Equation]) -> Findings:
        """With these equations in the place of the ones of their complexity: itself where they are the same.

        What the others' losses said of the pick stands, though the new ones' losses are not known.
        """
        changed = {}
        for i, new in equations.items():
            old = self.fronts[i].at(new.complexity)
            if new is not old:
                kept = tuple(new if eq is old else eq for eq in self.fronts[i].equations)
                changed[i] = replace(self.fronts[i], equations=kept, pick=self.fronts[i].best.complexity)
        return replace(self, fronts=Fronts({**self.fronts, **changed})) if changed else self

    def over(self, interface: Interface) -> Findings:
        """With an interface whose encoding was tuned; itself where it was not."""
        return self if self.interface is None or interface is self.interface else replace(self, interface=interface)

    def choosing(self, complexity: Any, active: Sequence[int] | None = None) -> Findings:
        """With the equations of these complexities as the chosen ones.

        Args:
            complexity: None, a number, a list or a dict, as for ``SymbolicModel.switch_to_symbolic``.
            active: outputs that are wanted, the others are zero; None for all.

        Raises:
            NotDistilledError: a wanted output has no equations.
            InputError: there is no equation of that complexity.
        """
        n_outputs = self.require().n_searched
        active = range(n_outputs) if active is None else active
        missing = [i for i in active if i not in self.fronts]
        if missing:
            raise NotDistilledError(
                f"outputs [{listed(missing)}] of {self.what} have no equations yet "
                f"(there are [{listed(self.fronts)}]); distill them too."
            )
        wanted = _per_output(complexity, n_outputs, active)
        return replace(self, complexities={i: self.fronts[i].at(wanted[i]).complexity for i in active})


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
            raise InputError(f"complexity speaks of outputs [{listed(unknown)}]; there are outputs 0..{n_outputs - 1}.")
        return [complexity.get(i) for i in range(n_outputs)]
    if len(complexity) == len(active):
        by_output = dict(zip(active, complexity, strict=True))
        return [by_output.get(i) for i in range(n_outputs)]
    if len(complexity) != n_outputs:
        raise InputError(f"{len(complexity)} complexities for {len(active)} outputs; give one for each.")
    return list(complexity)
