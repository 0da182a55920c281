"""Random trees for the property tests."""

from typing import Any

from hypothesis import strategies as st

from symtorch.equations.expr import Call, Constant, Expr, Variable
from symtorch.equations.operators import OPERATORS

NAMES = ["x0", "mass", "x2"]


def trees(
    operators: Any = tuple(OPERATORS), n_inputs: int = 3, max_leaves: int = 12, numbers: Any = None
) -> st.SearchStrategy[Expr]:
    """Trees over these operators, with constants of every size unless ``numbers`` says which."""
    if numbers is None:
        numbers = st.floats(allow_nan=False, allow_infinity=False, width=64)
    leaves = st.one_of(
        numbers.map(lambda value: Constant(float(value))),
        st.integers(0, n_inputs - 1).map(Variable),
    )

    def calls(inner: st.SearchStrategy[Expr]) -> st.SearchStrategy[Expr]:
        def call(name: str) -> st.SearchStrategy[Expr]:
            op = OPERATORS[name]
            return st.tuples(*[inner] * op.arity).map(lambda args: Call(op, args))

        return st.sampled_from(operators).flatmap(call)

    return st.recursive(leaves, calls, max_leaves=max_leaves)
