"""The rows of the operator table, as text: one row says how every world computes one operator.

Names and meaning are PySR's (https://ai.damtp.cam.ac.uk/pysr/stable/operators/). A text is either the
name of a function (``torch.sin``) or an expression in the arguments x, y and z. The same texts are run
here and printed into exported sources, so what is exported is what was computed.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One operator.

    Attributes:
        name: PySR's name; for the infix operators the symbol.
        arity: number of arguments.
        torch: over tensors, of any float dtype and device.
        numpy: over arrays; for JAX, ``np`` is read as ``jnp``.
        c: over doubles.
        sympy: over SymPy expressions.
        partials: derivatives by each argument, over arrays and the operator's value ``v``, separated
            by ``;``. Empty where they are zero or don't exist.
        domain: where the operator has a real, finite value, over arrays; empty for everywhere.
        precedence: of infix notation; None for function notation.
    """

    name: str
    arity: int
    torch: str
    numpy: str
    c: str
    sympy: str
    partials: str = ""
    domain: str = ""
    precedence: int | None = None


def _named(name: str, partials: str, domain: str = "", c: str = "") -> Row:
    """A function that has the same name everywhere."""
    return Row(name, 1, f"torch.{name}", f"np.{name}", c or name, f"sympy.{name}", partials, domain)


def _inverse(name: str, partials: str, domain: str = "") -> Row:
    """An inverse trigonometric or hyperbolic function: NumPy's names differ before version 2."""
    return Row(name, 1, f"torch.{name}", f"np.arc{name[1:]}", name, f"sympy.{name}", partials, domain)


def _comparison(name: str, sign: str) -> Row:
    return Row(
        name,
        2,
        f"(x {sign} y).to(torch.result_type(x, y))",
        f"np.where(x {sign} y, 1.0, 0.0)",
        f"(x {sign} y ? 1.0 : 0.0)",
        f"indicator(x {sign} y)",
    )


ROWS = (
    # ---- arithmetic
    Row("+", 2, "torch.add", "np.add", "x + y", "x + y", "1.0; 1.0", precedence=1),
    Row("-", 2, "torch.sub", "np.subtract", "x - y", "x - y", "1.0; -1.0", precedence=1),
    Row("*", 2, "torch.mul", "np.multiply", "x * y", "x * y", "y; x", precedence=2),
    Row("/", 2, "torch.div", "np.divide", "x / y", "x / y", "1 / y; -v / y", "y != 0", precedence=2),
    Row(
        "^",
        2,
        "torch.pow",
        "np.float_power",
        "pow(x, y)",
        "power(x, y)",
        "y * np.float_power(x, y - 1); v * np.log(np.where(x == 0, 1.0, x))",
        "(x > 0) | (y == np.floor(y)) & ((x != 0) | (y >= 0))",
        precedence=4,
    ),
    Row("neg", 1, "torch.neg", "np.negative", "-x", "-x", "-1.0"),
    Row("inv", 1, "torch.reciprocal", "1.0 / x", "1.0 / x", "1 / x", "-v * v", "x != 0"),
    Row("square", 1, "torch.square", "np.square", "x * x", "x**2", "2 * x"),
    Row("cube", 1, "x * x * x", "x * x * x", "x * x * x", "x**3", "3 * x * x"),
    Row("fma", 3, "torch.addcmul(z, x, y)", "x * y + z", "x * y + z", "x * y + z", "y; x; 1.0"),
    # ---- roots, exponentials and logarithms
    _named("sqrt", "0.5 / v", "x >= 0"),
    Row(
        "cbrt",
        1,
        "torch.sign(x) * torch.abs(x) ** (1 / 3)",
        "np.cbrt",
        "cbrt",
        "sympy.sign(x) * sympy.Abs(x) ** sympy.Rational(1, 3)",
        "1 / (3 * v * v)",
    ),
    _named("exp", "v"),
    Row("exp2", 1, "torch.exp2", "np.exp2", "exp2", "power(sympy.Integer(2), x)", "v * np.log(2.0)"),
    Row("expm1", 1, "torch.expm1", "np.expm1", "expm1", "sympy.exp(x) - 1", "v + 1"),
    _named("log", "1 / x", "x > 0"),
    Row("log2", 1, "torch.log2", "np.log2", "log2", "sympy.log(x) / sympy.log(2)", "1 / (x * np.log(2.0))", "x > 0"),
    Row(
        "log10",
        1,
        "torch.log10",
        "np.log10",
        "log10",
        "sympy.log(x) / sympy.log(10)",
        "1 / (x * np.log(10.0))",
        "x > 0",
    ),
    Row("log1p", 1, "torch.log1p", "np.log1p", "log1p", "sympy.log(1 + x)", "1 / (1 + x)", "x > -1"),
    # ---- trigonometric and hyperbolic functions
    _named("sin", "np.cos(x)"),
    _named("cos", "-np.sin(x)"),
    _named("tan", "1 + v * v"),
    _inverse("asin", "1 / np.sqrt(1 - x * x)", "np.abs(x) <= 1"),
    _inverse("acos", "-1 / np.sqrt(1 - x * x)", "np.abs(x) <= 1"),
    _inverse("atan", "1 / (1 + x * x)"),
    _named("sinh", "np.cosh(x)"),
    _named("cosh", "np.sinh(x)"),
    _named("tanh", "1 - v * v"),
    _inverse("asinh", "1 / np.sqrt(x * x + 1)"),
    _inverse("acosh", "1 / (np.sqrt(x - 1) * np.sqrt(x + 1))", "x >= 1"),
    _inverse("atanh", "1 / (1 - x * x)", "np.abs(x) < 1"),
    Row(
        "atanh_clip",
        1,
        "torch.atanh(torch.remainder(x + 1.0, 2.0) - 1.0)",
        "np.arctanh(np.mod(x + 1.0, 2.0) - 1.0)",
        "atanh(mod(x + 1.0, 2.0) - 1.0)",
        "sympy.atanh(x - 2 * sympy.floor((x + 1) / 2))",
        "1 / (1 - (np.mod(x + 1.0, 2.0) - 1.0) ** 2)",
        "np.mod(x + 1.0, 2.0) != 0",
    ),
    Row(
        "atan2",
        2,
        "torch.atan2",
        "np.arctan2",
        "atan2",
        "sympy.atan2(x, y)",
        "y / (x * x + y * y); -x / (x * x + y * y)",
    ),
    # ---- special functions
    Row("erf", 1, "torch.erf", "erf", "erf", "sympy.erf", "2 / np.sqrt(np.pi) * np.exp(-x * x)"),
    Row("erfc", 1, "torch.erfc", "erfc", "erfc", "sympy.erfc", "-2 / np.sqrt(np.pi) * np.exp(-x * x)"),
    Row(
        "gamma",
        1,
        # lgamma is log|gamma|: gamma is negative where floor(x) is an odd negative number.
        "torch.where(x < 0, 1.0 - 2.0 * torch.remainder(torch.floor(x), 2.0), 1.0) * torch.exp(torch.lgamma(x))",
        "gamma",
        "tgamma",
        "sympy.gamma",
        "v * digamma(x)",
        "(x > 0) | (x != np.floor(x))",
    ),
    # ---- activations
    Row("relu", 1, "torch.relu", "np.maximum(x, 0.0)", "(x < 0.0 ? 0.0 : x)", "sympy.Max(x, 0)", "1.0 * (x > 0)"),
    Row(
        "sigmoid",
        1,
        "torch.sigmoid",
        "1.0 / (1.0 + np.exp(-x))",
        "1.0 / (1.0 + exp(-x))",
        "1 / (1 + sympy.exp(-x))",
        "v * (1 - v)",
    ),
    Row(
        "softplus",
        1,
        "torch.logaddexp(x, torch.zeros_like(x))",
        "np.logaddexp(x, 0.0)",
        "(x > 0.0 ? x : 0.0) + log1p(exp(-fabs(x)))",
        "sympy.log(1 + sympy.exp(x))",
        "1.0 / (1.0 + np.exp(-x))",
    ),
    Row(
        "silu",
        1,
        "torch.nn.functional.silu",
        "x / (1.0 + np.exp(-x))",
        "x / (1.0 + exp(-x))",
        "x / (1 + sympy.exp(-x))",
        "1.0 / (1.0 + np.exp(-x)) + v * (1.0 - 1.0 / (1.0 + np.exp(-x)))",
    ),
    Row(
        "gelu",
        1,
        "torch.nn.functional.gelu",
        "0.5 * x * erfc(-x / np.sqrt(2.0))",
        "0.5 * x * erfc(-x / sqrt(2.0))",
        "x * (1 + sympy.erf(x / sympy.sqrt(2))) / 2",
        "0.5 * erfc(-x / np.sqrt(2.0)) + x * np.exp(-0.5 * x * x) / np.sqrt(2.0 * np.pi)",
    ),
    # ---- kinks and steps
    Row("abs", 1, "torch.abs", "np.abs", "fabs", "sympy.Abs", "np.sign(x)"),
    # torch.sign(nan) is 0; a NaN must not turn into a number.
    Row(
        "sign",
        1,
        "torch.where(torch.isnan(x), x, torch.sign(x))",
        "np.sign",
        "(isnan(x) ? x : (real)((x > 0.0) - (x < 0.0)))",
        "sympy.sign",
    ),
    Row(
        "heaviside",
        1,
        "torch.where(torch.isnan(x), x, 0.5 * torch.sign(x) + 0.5)",
        "np.heaviside(x, 0.5)",
        "(isnan(x) ? x : 0.5 * ((x > 0.0) - (x < 0.0)) + 0.5)",
        "sympy.Heaviside",
    ),
    Row("floor", 1, "torch.floor", "np.floor", "floor", "sympy.floor"),
    Row("ceil", 1, "torch.ceil", "np.ceil", "ceil", "sympy.ceiling"),
    Row("round", 1, "torch.round", "np.round", "rint", "half_to_even(x)"),
    Row(
        "mod",
        2,
        "torch.remainder",
        "np.mod",
        "mod(x, y)",
        "x - y * sympy.floor(x / y)",
        "1.0; -np.floor(x / y)",
        "y != 0",
    ),
    Row(
        "max",
        2,
        "torch.maximum",
        "np.maximum",
        "(x > y || isnan(x) ? x : y)",
        "sympy.Max(x, y)",
        "np.where(x == y, 0.5, x > y); np.where(x == y, 0.5, y > x)",
    ),
    Row(
        "min",
        2,
        "torch.minimum",
        "np.minimum",
        "(x < y || isnan(x) ? x : y)",
        "sympy.Min(x, y)",
        "np.where(x == y, 0.5, x < y); np.where(x == y, 0.5, y < x)",
    ),
    Row(
        "clamp",
        3,
        "torch.where(x < y, y, torch.where(x > z, z, x))",
        "np.where(x < y, y, np.where(x > z, z, x))",
        "(x < y ? y : (x > z ? z : x))",
        "sympy.Piecewise((y, x < y), (z, x > z), (x, True))",
        "1.0 * ((x >= y) & (x <= z)); 1.0 * (x < y); 1.0 * ((x > z) & (x >= y))",
    ),
    # ---- comparisons and logic: 1 for true, 0 for false; an argument is true where it is positive
    _comparison("greater", ">"),
    _comparison("less", "<"),
    _comparison("greater_equal", ">="),
    _comparison("less_equal", "<="),
    Row(
        "logical_and",
        2,
        "((x > 0) & (y > 0)).to(torch.result_type(x, y))",
        "np.where((x > 0) & (y > 0), 1.0, 0.0)",
        "(x > 0.0 && y > 0.0 ? 1.0 : 0.0)",
        "indicator(sympy.And(condition(x), condition(y)))",
    ),
    Row(
        "logical_or",
        2,
        "((x > 0) | (y > 0)).to(torch.result_type(x, y))",
        "np.where((x > 0) | (y > 0), 1.0, 0.0)",
        "(x > 0.0 || y > 0.0 ? 1.0 : 0.0)",
        "indicator(sympy.Or(condition(x), condition(y)))",
    ),
    Row(
        "logical_not",
        1,
        "(~(x > 0)).to(x.dtype)",
        "np.where(x > 0, 0.0, 1.0)",
        "(x > 0.0 ? 0.0 : 1.0)",
        "indicator(sympy.Not(condition(x)))",
    ),
    Row(
        "cond",
        2,
        "torch.where(x > 0, y, 0.0)",
        "np.where(x > 0, y, 0.0)",
        "(x > 0.0 ? y : 0.0)",
        "sympy.Piecewise((y, condition(x)), (0, True))",
        "0.0; 1.0 * (x > 0)",
    ),
    Row(
        "ifelse",
        3,
        "torch.where(x > 0, y, z)",
        "np.where(x > 0, y, z)",
        "(x > 0.0 ? y : z)",
        "sympy.Piecewise((y, condition(x)), (z, True))",
        "0.0; 1.0 * (x > 0); 1.0 * ~(x > 0)",
    ),
)

ALIASES = {
    "pow": "^", "**": "^", "plus": "+", "sub": "-", "mult": "*", "div": "/", "muladd": "fma",
    "ln": "log", "Abs": "abs", "Max": "max", "Min": "min", "Mod": "mod", "Heaviside": "heaviside",
    "ceiling": "ceil", "arcsin": "asin", "arccos": "acos", "arctan": "atan", "arctan2": "atan2",
    "arcsinh": "asinh", "arccosh": "acosh", "arctanh": "atanh", "where": "ifelse",
    ">": "greater", "<": "less", ">=": "greater_equal", "<=": "less_equal",
}  # fmt: skip
"""Other spellings (SymPy's, NumPy's, PySR's older ones) that are read as an operator of the table."""
