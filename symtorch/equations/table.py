"""The rows of the operator table, as text: one row says how every world computes one operator.

Names and meaning are PySR's (https://ai.damtp.cam.ac.uk/pysr/stable/operators/). A text is either the
name of a function (``torch.sin``) or an expression in the arguments x, y and z. The same texts are run
here and printed into exported sources, so what is exported is what was computed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Row:
    """One operator: how it is computed, and what is to be known of it.

    Every fact that any part of symtorch uses stands here, so a new operator is one row: in ``ROWS``, or
    given to :func:`symtorch.equations.operators.add` by a program that brings its own. The facts after
    ``precedence`` may be left out; each that is there lets something more be done.

    Attributes:
        name: PySR's name; for the infix operators the symbol.
        arity: number of arguments.
        torch: over tensors, of any float dtype and device.
        numpy: over arrays; for JAX, ``np`` is read as ``jnp``. It may call the words in ``WORDS``.
        c: over ``real``, which is double or float. It may call the words in ``WORDS``.
        sympy: over SymPy expressions; it may call what is in :mod:`symtorch.equations.sympy_words`.
        partials: derivatives by each argument, over arrays and the operator's value ``v``, separated
            by ``;``. Empty where they are zero or don't exist.
        domain: where the operator has a real, finite value, over arrays; empty for everywhere.
        precedence: of infix notation; None for function notation.
        aliases: other names that are read as this operator: SymPy's, NumPy's, PySR's older ones.
        variadic: whether more than two arguments are read too, put together from the left.
        power: the power of its argument that it is: 2 for ``square``. Those above 1 are computed as
            products, and the search knows all of them as powers.
        parity: of one argument: 1 for f(-x) = f(x), -1 for f(-x) = -f(x), 0 for neither.
        period: the least p with f(x + p) = f(x); 0 without one.
        cofunction: the operator that it is a quarter of its period on: ``cos`` for ``sin``. A search
            that may not use that one is offered this one moved by a quarter.
        inverse: argument of which v is the value, over arrays; NaN (or the nearest there is) where
            there is none. Of an even function the positive one; several, separated by ``;``, where
            several in one period have the value. The search takes off functions from outside that have
            one inverse, and needs their ``partials`` for it.
        positive: of a function with an inverse: whether it has no negative values.
        flattens: of a function with an inverse: whether it is bounded (tanh) or grows so slowly (log)
            that its inverse is hopeless for large values.
        bell: whether it falls to 0 towards minus infinity as exp does, so that of minus a square it is
            a bell, as fields, kernels and radial functions have them; the search is offered that.
        suggested: whether it is one of the forms a*f(b*x + c) + d that ``suggest`` tries; not where
            another operator differs by such constants only. Of equally good ones the earlier row wins.
        vectorized: NN of the glibc version 2.NN that has the function that ``c`` names over vectors; 0
            without one.
        takes_numbers: whether the text for torch takes numbers beside a tensor, and is quicker so.
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
    aliases: tuple[str, ...] = ()
    variadic: bool = False
    power: float | None = None
    parity: int = 0
    period: float = 0.0
    cofunction: str = ""
    inverse: str = ""
    positive: bool = False
    flattens: bool = False
    bell: bool = False
    suggested: bool = False
    vectorized: int = 0
    takes_numbers: bool = False

    @property
    def only_positive(self) -> bool:
        """Whether it is a function of positive arguments only."""
        return self.domain == "x > 0"


def _named(name: str, partials: str, domain: str = "", **facts: Any) -> Row:
    """A function that has the same name everywhere."""
    return Row(name, 1, f"torch.{name}", f"np.{name}", name, f"sympy.{name}", partials, domain, **facts)


def _arc(name: str, partials: str, domain: str = "", **facts: Any) -> Row:
    """An inverse trigonometric or hyperbolic function: NumPy's names differ before version 2."""
    arc = f"arc{name[1:]}"
    return Row(
        name, 1, f"torch.{name}", f"np.{arc}", name, f"sympy.{name}", partials, domain, aliases=(arc,), vectorized=35,
        **facts,
    )  # fmt: skip


def _comparison(name: str, sign: str) -> Row:
    return Row(
        name,
        2,
        f"(x {sign} y).to(torch.result_type(x, y))",
        f"np.where(x {sign} y, 1.0, 0.0)",
        f"(x {sign} y ? 1.0 : 0.0)",
        f"indicator(x {sign} y)",
        aliases=(sign,),
    )


# fmt: off
ROWS = (
    # ---- arithmetic
    Row("+", 2, "torch.add", "np.add", "x + y", "x + y", "1.0; 1.0", precedence=1, aliases=("plus",)),
    Row("-", 2, "torch.sub", "np.subtract", "x - y", "x - y", "1.0; -1.0", precedence=1, aliases=("sub",)),
    Row("*", 2, "torch.mul", "np.multiply", "x * y", "x * y", "y; x", precedence=2, aliases=("mult",)),
    Row("/", 2, "torch.div", "np.divide", "x / y", "x / y", "1 / y; -v / y", "y != 0",
        precedence=2, aliases=("div",)),
    Row("^", 2, "torch.pow", "np.float_power", "pow", "power(x, y)",
        "y * np.float_power(x, y - 1); v * np.log(np.where(x == 0, 1.0, x))",
        "(x > 0) | (y == np.floor(y)) & ((x != 0) | (y >= 0))",
        precedence=4, aliases=("pow", "**"), vectorized=22, takes_numbers=True),
    Row("neg", 1, "torch.neg", "np.negative", "-x", "-x", "-1.0", parity=-1, suggested=True),
    Row("square", 1, "torch.square", "np.square", "x * x", "x**2", "2 * x", power=2.0, parity=1, suggested=True),
    Row("cube", 1, "x * x * x", "x * x * x", "x * x * x", "x**3", "3 * x * x", power=3.0, parity=-1, suggested=True),
    Row("inv", 1, "torch.reciprocal", "1.0 / x", "1.0 / x", "1 / x", "-v * v", "x != 0",
        power=-1.0, parity=-1, suggested=True),
    Row("fma", 3, "torch.addcmul(z, x, y)", "x * y + z", "x * y + z", "x * y + z", "y; x; 1.0", aliases=("muladd",)),
    # ---- roots, absolute value, exponentials and logarithms
    _named("sqrt", "0.5 / v", "x >= 0", power=0.5, suggested=True),
    Row("cbrt", 1, "torch.sign(x) * torch.abs(x) ** (1 / 3)", "np.cbrt", "cbrt",
        "sympy.sign(x) * sympy.Abs(x) ** sympy.Rational(1, 3)", "1 / (3 * v * v)",
        parity=-1, inverse="v**3", suggested=True, vectorized=35),
    Row("abs", 1, "torch.abs", "np.abs", "fabs", "sympy.Abs", "np.sign(x)",
        aliases=("Abs",), parity=1, suggested=True),
    _named("exp", "v",
        inverse="np.log(np.where(v > 0.0, v, np.nan))", positive=True, bell=True, suggested=True, vectorized=22),
    Row("exp2", 1, "torch.exp2", "np.exp2", "exp2", "power(sympy.Integer(2), x)", "v * np.log(2.0)",
        bell=True, vectorized=35),
    Row("expm1", 1, "torch.expm1", "np.expm1", "expm1", "sympy.exp(x) - 1", "v + 1", vectorized=35),
    _named("log", "1 / x", "x > 0",
        aliases=("ln",), inverse="np.exp(np.clip(v, -20.0, 20.0))", flattens=True, suggested=True, vectorized=22),
    Row("log2", 1, "torch.log2", "np.log2", "log2", "sympy.log(x) / sympy.log(2)", "1 / (x * np.log(2.0))", "x > 0",
        inverse="2.0 ** np.clip(v, -30, 30)", flattens=True, vectorized=35),
    Row("log10", 1, "torch.log10", "np.log10", "log10", "sympy.log(x) / sympy.log(10)", "1 / (x * np.log(10.0))",
        "x > 0",
        inverse="10.0 ** np.clip(v, -9, 9)", flattens=True, vectorized=35),
    Row("log1p", 1, "torch.log1p", "np.log1p", "log1p", "sympy.log(1 + x)", "1 / (1 + x)", "x > -1",
        inverse="np.expm1(np.clip(v, -20, 20))", flattens=True, vectorized=35),
    # ---- trigonometric and hyperbolic functions
    _named("sin", "np.cos(x)",
        parity=-1, period=math.tau, cofunction="cos", inverse="np.arcsin(v); np.pi - np.arcsin(v)", suggested=True,
        vectorized=22),
    _named("cos", "-np.sin(x)", parity=1, period=math.tau, inverse="np.arccos(v); -np.arccos(v)", vectorized=22),
    _named("tan", "1 + v * v", parity=-1, period=math.pi, inverse="np.arctan(v)", suggested=True, vectorized=35),
    _arc("asin", "1 / np.sqrt(1 - x * x)", "np.abs(x) <= 1",
        parity=-1, inverse="np.sin(v)", flattens=True, suggested=True),
    _arc("acos", "-1 / np.sqrt(1 - x * x)", "np.abs(x) <= 1", inverse="np.cos(v)", positive=True, flattens=True),
    _arc("atan", "1 / (1 + x * x)", parity=-1, inverse="np.tan(v)", flattens=True, suggested=True),
    _named("sinh", "np.cosh(x)", parity=-1, inverse="np.arcsinh(v)", suggested=True, vectorized=35),
    _named("cosh", "np.sinh(x)", parity=1, inverse="np.arccosh(v)", positive=True, suggested=True, vectorized=35),
    _named("tanh", "1 - v * v",
        parity=-1, inverse="np.arctanh(np.clip(v, -0.999999, 0.999999))", flattens=True, suggested=True,
        vectorized=35),
    _arc("asinh", "1 / np.sqrt(x * x + 1)", parity=-1, inverse="np.sinh(v)", flattens=True, suggested=True),
    _arc("acosh", "1 / (np.sqrt(x - 1) * np.sqrt(x + 1))", "x >= 1", suggested=True),
    _arc("atanh", "1 / (1 - x * x)", "np.abs(x) < 1", parity=-1, suggested=True),
    Row("atanh_clip", 1, "torch.atanh(torch.remainder(x + 1.0, 2.0) - 1.0)", "np.arctanh(np.mod(x + 1.0, 2.0) - 1.0)",
        "atanh(mod(x + 1.0, 2.0) - 1.0)", "sympy.atanh(x - 2 * sympy.floor((x + 1) / 2))",
        "1 / (1 - (np.mod(x + 1.0, 2.0) - 1.0) ** 2)", "np.mod(x + 1.0, 2.0) != 0",
        parity=-1, period=2.0),
    Row("atan2", 2, "torch.atan2", "np.arctan2", "atan2", "sympy.atan2(x, y)",
        "y / (x * x + y * y); -x / (x * x + y * y)",
        aliases=("arctan2",), vectorized=35),
    # ---- special functions
    Row("erf", 1, "torch.erf", "erf", "erf", "sympy.erf", "2 / np.sqrt(np.pi) * np.exp(-x * x)",
        parity=-1, suggested=True, vectorized=35),
    Row("erfc", 1, "torch.erfc", "erfc", "erfc", "sympy.erfc", "-2 / np.sqrt(np.pi) * np.exp(-x * x)", vectorized=35),
    # lgamma is log|gamma|: gamma is negative where floor(x) is an odd negative number.
    Row("gamma", 1,
        "torch.where(x < 0, 1.0 - 2.0 * torch.remainder(torch.floor(x), 2.0), 1.0) * torch.exp(torch.lgamma(x))",
        "gamma", "tgamma", "sympy.gamma", "v * digamma(x)", "(x > 0) | (x != np.floor(x))",
        suggested=True),
    # ---- activations
    Row("sigmoid", 1, "torch.sigmoid", "1.0 / (1.0 + np.exp(-x))", "1.0 / (1.0 + exp(-x))", "1 / (1 + sympy.exp(-x))",
        "v * (1 - v)",
        inverse="np.log(v / (1.0 - v))", positive=True, flattens=True, suggested=True),
    Row("softplus", 1, "torch.logaddexp(x, torch.zeros_like(x))", "np.logaddexp(x, 0.0)",
        "(x > 0.0 ? x : 0.0) + log1p(exp(-fabs(x)))", "sympy.log(1 + sympy.exp(x))", "1.0 / (1.0 + np.exp(-x))",
        suggested=True),
    Row("silu", 1, "torch.nn.functional.silu", "x / (1.0 + np.exp(-x))", "x / (1.0 + exp(-x))",
        "x / (1 + sympy.exp(-x))", "1.0 / (1.0 + np.exp(-x)) + v * (1.0 - 1.0 / (1.0 + np.exp(-x)))",
        suggested=True),
    Row("gelu", 1, "torch.nn.functional.gelu", "0.5 * x * erfc(-x / np.sqrt(2.0))", "0.5 * x * erfc(-x / sqrt(2.0))",
        "x * (1 + sympy.erf(x / sympy.sqrt(2))) / 2",
        "0.5 * erfc(-x / np.sqrt(2.0)) + x * np.exp(-0.5 * x * x) / np.sqrt(2.0 * np.pi)",
        suggested=True),
    Row("relu", 1, "torch.relu", "np.maximum(x, 0.0)", "(x < 0.0 ? 0.0 : x)", "sympy.Max(x, 0)", "1.0 * (x > 0)",
        suggested=True),
    # ---- kinks and steps
    # torch.sign(nan) is 0; a NaN must not turn into a number.
    Row("sign", 1, "torch.where(torch.isnan(x), x, torch.sign(x))", "np.sign",
        "(isnan(x) ? x : (real)((x > 0.0) - (x < 0.0)))", "sympy.sign",
        parity=-1, suggested=True),
    Row("heaviside", 1, "torch.where(torch.isnan(x), x, 0.5 * torch.sign(x) + 0.5)", "np.heaviside(x, 0.5)",
        "(isnan(x) ? x : 0.5 * ((x > 0.0) - (x < 0.0)) + 0.5)", "sympy.Heaviside",
        aliases=("Heaviside",)),
    Row("floor", 1, "torch.floor", "np.floor", "floor", "sympy.floor"),
    Row("ceil", 1, "torch.ceil", "np.ceil", "ceil", "sympy.ceiling", aliases=("ceiling",)),
    Row("round", 1, "torch.round", "np.round", "rint", "half_to_even(x)", parity=-1),
    Row("mod", 2, "torch.remainder", "np.mod", "mod(x, y)", "x - y * sympy.floor(x / y)", "1.0; -np.floor(x / y)",
        "y != 0",
        aliases=("Mod",)),
    Row("max", 2, "torch.maximum", "np.maximum", "(x > y || isnan(x) ? x : y)", "sympy.Max(x, y)",
        "np.where(x == y, 0.5, x > y); np.where(x == y, 0.5, y > x)",
        aliases=("Max",), variadic=True),
    Row("min", 2, "torch.minimum", "np.minimum", "(x < y || isnan(x) ? x : y)", "sympy.Min(x, y)",
        "np.where(x == y, 0.5, x < y); np.where(x == y, 0.5, y < x)",
        aliases=("Min",), variadic=True),
    Row("clamp", 3, "torch.where(x < y, y, torch.where(x > z, z, x))", "np.where(x < y, y, np.where(x > z, z, x))",
        "(x < y ? y : (x > z ? z : x))", "sympy.Piecewise((y, x < y), (z, x > z), (x, True))",
        "1.0 * ((x >= y) & (x <= z)); 1.0 * (x < y); 1.0 * ((x > z) & (x >= y))"),
    # ---- comparisons and logic: 1 for true, 0 for false; an argument is true where it is positive
    _comparison("greater", ">"),
    _comparison("less", "<"),
    _comparison("greater_equal", ">="),
    _comparison("less_equal", "<="),
    Row("logical_and", 2, "((x > 0) & (y > 0)).to(torch.result_type(x, y))", "np.where((x > 0) & (y > 0), 1.0, 0.0)",
        "(x > 0.0 && y > 0.0 ? 1.0 : 0.0)", "indicator(sympy.And(condition(x), condition(y)))"),
    Row("logical_or", 2, "((x > 0) | (y > 0)).to(torch.result_type(x, y))", "np.where((x > 0) | (y > 0), 1.0, 0.0)",
        "(x > 0.0 || y > 0.0 ? 1.0 : 0.0)", "indicator(sympy.Or(condition(x), condition(y)))"),
    Row("logical_not", 1, "(~(x > 0)).to(x.dtype)", "np.where(x > 0, 0.0, 1.0)", "(x > 0.0 ? 0.0 : 1.0)",
        "indicator(sympy.Not(condition(x)))"),
    Row("cond", 2, "torch.where(x > 0, y, 0.0)", "np.where(x > 0, y, 0.0)", "(x > 0.0 ? y : 0.0)",
        "sympy.Piecewise((y, condition(x)), (0, True))", "0.0; 1.0 * (x > 0)"),
    Row("ifelse", 3, "torch.where(x > 0, y, z)", "np.where(x > 0, y, z)", "(x > 0.0 ? y : z)",
        "sympy.Piecewise((y, condition(x)), (z, True))", "0.0; 1.0 * (x > 0); 1.0 * ~(x > 0)",
        aliases=("where",)),
)
# fmt: on
"""Every operator of the library; of equally good suggestions the earlier row is preferred."""


@dataclass(frozen=True)
class Word:
    """A function that texts of the table call and a language lacks: its definition in each that does."""

    name: str
    numpy: str = ""
    jax: str = ""
    c: str = ""


WORDS = (
    Word("erf", "erf = np.vectorize(math.erf, otypes=[float])", "from jax.scipy.special import erf"),
    Word("erfc", "erfc = np.vectorize(math.erfc, otypes=[float])", "from jax.scipy.special import erfc"),
    Word(
        "gamma",
        """\
@np.vectorize
def gamma(value):
    try:
        return math.gamma(value)
    except ValueError:
        return math.nan
    except OverflowError:
        return math.inf""",
        "from jax.scipy.special import gamma",
    ),
    Word(
        "mod",
        c="""\
static inline real mod(real x, real y) {
    real r = fmod(x, y);
    return r != 0 && (r < 0) != (y < 0) ? r + y : r;
}""",
    ),
)
"""What the texts for NumPy, JAX and C call beside those languages' own functions."""
