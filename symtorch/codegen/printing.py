"""Programs as source text: what all printed languages have in common.

A language is a :class:`Printer`: how it writes a leaf, a number and a step. The texts of the steps come
from the operator table. torch's functions, NumPy's, JAX's, C source and the C kernel are printed so.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from symtorch.codegen.program import Input, Program, Slot, Step
from symtorch.equations.table import WORDS, Row


@dataclass(frozen=True)
class Printer:
    """How one language writes the values of a program.

    Attributes:
        leaf: an input or an entry of the constants.
        number: a number, in full.
        step: an operator's row applied to the texts of its arguments.
    """

    leaf: Callable[[Input | Slot], str]
    number: Callable[[float], str]
    step: Callable[[Row, Sequence[str]], str]

    def leaves(self, program: Program) -> list[str]:
        """The text of every value that is a leaf; empty for the steps, which are named as they are printed."""
        return [
            "" if isinstance(value, Step) else self.leaf(value) if isinstance(value, (Input, Slot))
            else self.number(value.value)
            for value in program.values
        ]  # fmt: skip

    def steps(self, program: Program, names: list[str]) -> Iterator[tuple[int, Step, str]]:
        """Number, step and right-hand side of every step, in order.

        Args:
            names: of :meth:`leaves`. Whoever takes a step from here puts its name in before taking the
                next one, which may be written in terms of it.
        """
        for number, value in enumerate(program.values):
            if isinstance(value, Step):
                assert value.op.row is not None  # lowering has replaced users' operators by their bodies
                yield number, value, self.step(value.op.row, [names[a] for a in value.args])


def applied(text: str, args: Sequence[str]) -> str:
    """A text of the operator table with these arguments (names or numbers) put in."""
    args = [f"({arg})" if arg.startswith("-") else arg for arg in args]
    if text.replace(".", "").replace("_", "").isalnum():
        return f"{text}({', '.join(args)})"
    return re.sub(r"\b[xyz]\b", lambda match: args["xyz".index(match[0])], text)


def definitions(source: str, language: str) -> list[str]:
    """What a source in "numpy", "jax" or "c" calls beyond the language, defined."""
    found = [(word.name, getattr(word, language)) for word in WORDS]
    return [text for name, text in found if text and re.search(rf"(?<![.\w]){name}\(", source)]


# ---- the languages


def torch_printer(leaf: Callable[[Input | Slot], str], as_tensor: Callable[[str], str]) -> Printer:
    """Python over torch.

    Args:
        as_tensor: what makes a tensor of a number's text: torch's functions take tensors, its
            arithmetic numbers as well.
    """

    def step(row: Row, args: Sequence[str]) -> str:
        if not (row.takes_numbers and any(arg.isidentifier() for arg in args)):
            args = [tensor(arg, as_tensor) for arg in args]
        return applied(row.torch, args)

    return Printer(leaf, python_number, step)


def tensor(text: str, as_tensor: Callable[[str], str]) -> str:
    """A number's text made a tensor; what has a name is one already."""
    return text if text.isidentifier() else as_tensor(text)


def numpy_printer(leaf: Callable[[Input | Slot], str], module: str = "np") -> Printer:
    """Python over NumPy, or over JAX with ``jnp`` for a module."""

    def step(row: Row, args: Sequence[str]) -> str:
        return applied(re.sub(r"\bnp\.", f"{module}.", row.numpy), args)

    return Printer(leaf, python_number, step)


def c_printer(leaf: Callable[[Input | Slot], str], real: str = "real") -> Printer:
    """C over numbers of the type ``real``."""
    return Printer(leaf, c_number, lambda row, args: applied(of_type(row.c, real), args))


def of_type(text: str, real: str) -> str:
    """C from the operator table, with the type that ``real`` stands for."""
    return re.sub(r"\breal\b", real, text)


def python_number(value: float) -> str:
    """``2.5``, or ``float("inf")``."""
    return repr(value) if np.isfinite(value) else f'float("{value}")'


def c_number(value: float) -> str:
    """``2.5``, or ``INFINITY``."""
    return {"inf": "INFINITY", "-inf": "-INFINITY", "nan": "NAN"}.get(text := repr(value), text)
