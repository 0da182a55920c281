"""Steps, choices and kinks in the user's operators, whichever of them there are.

What a search finds is an idea: *1 where u is positive*, *f where u is positive, else g*, *the positive part
of v*. One user allows ``cond``, another ``greater``, a third ``max`` or ``abs``, and each idea can be written
in many ways; here are all of them, and the cheapest is taken. Operators are recognised by what they do, so
that a user's own ``step(x) = greater(x, 0)`` counts too.

>>> from symtorch.engines.options import SearchOptions
>>> from symtorch.equations.expr import Variable, to_text
>>> words = Choices(Vocabulary(SearchOptions.from_params({"binary_operators": ["+", "*", "cond"]})))
>>> to_text(words.gate(normal.add([Variable(0), Constant(-5.84)]), Constant(1.0)), ["x0"])
'cond(x0 + (-5.84), 1)'
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from itertools import combinations

import numpy as np

from symtorch.engines.native.forms.vocabulary import Vocabulary
from symtorch.equations import normal
from symtorch.equations.expr import Call, Constant, Expr, Variable, walk
from symtorch.equations.operators import Operator

_X = Variable(0)
_ZERO, _ONE, _HALF = Constant(0.0), Constant(1.0), Constant(0.5)
_MOST_SHARED = 3
"""Terms beside a positive part that are put into it in every combination, at most."""

_MEANINGS: dict[int, dict[str, Callable[..., np.ndarray]]] = {
    1: {
        "step": lambda x: 1.0 * (x > 0),
        "not": lambda x: 1.0 * (x <= 0),
        "sign": np.sign,
        "relu": lambda x: np.maximum(x, 0.0),
        "abs": np.abs,
    },
    2: {
        "greater": lambda x, y: 1.0 * (x > y),
        "less": lambda x, y: 1.0 * (x < y),
        "cond": lambda x, y: np.where(x > 0, y, 0.0),
        "max": np.maximum,
        "min": np.minimum,
    },
}
_STEPS = frozenset(("step", "not", "sign", "greater", "less", "cond"))
_KINKS = frozenset(("relu", "abs", "max", "min"))


@lru_cache(maxsize=256)
def idea(op: Operator) -> str | None:
    """Which step or kink an operator is, but for its value at the step itself; None if it is neither."""
    if op.arity not in _MEANINGS:
        return None
    x = np.random.default_rng(0).uniform(-2.0, 2.0, (op.arity, 64))
    with np.errstate(all="ignore"):
        found = np.asarray(op.numpy(*x))
        return next((name for name, known in _MEANINGS[op.arity].items() if np.array_equal(found, known(*x))), None)


@lru_cache(maxsize=256)
def jumps_in(op: Operator) -> tuple[bool, ...]:
    """For each argument, whether the value doesn't change with it but by jumps; such have no derivative to follow."""
    x = np.random.default_rng(0).uniform(-2.0, 2.0, (op.arity, 64))
    out = []
    with np.errstate(all="ignore"):
        here = op.numpy(*x)
        for i in range(op.arity):
            moved = x.copy()
            moved[i] += 1e-6
            out.append(bool(np.mean(op.numpy(*moved) == here) > 0.9))
    return tuple(out)


class Choices:
    """How steps and kinks are written in a vocabulary.

    Attributes:
        words: the vocabulary.
        steps: whether it can write any step; whoever can write a step can write a kink.
        kinks: whether it can write any kink.
    """

    def __init__(self, words: Vocabulary) -> None:
        self.words = words
        self._ops: dict[str, Operator] = {}
        for op in (*words.functions, *words.binaries):
            name = idea(op)
            if name is not None:
                self._ops.setdefault(name, op)
        self.steps = bool(_STEPS & self._ops.keys()) and self.gate(normal.add([_X, _ONE]), _ONE) is not None
        self.kinks = self.steps or bool(_KINKS & self._ops.keys())

    def are_in(self, expr: Expr) -> bool:
        """Whether there is a step or a kink in it."""
        return any(isinstance(node, Call) and idea(node.op) is not None for node in walk(expr))

    def gate(self, u: Expr, f: Expr) -> Expr | None:
        """``f`` where ``u`` is positive, else 0."""
        return self._cheapest(self._gates(u, f))

    def choice(self, u: Expr, f: Expr, g: Expr) -> Expr | None:
        """``f`` where ``u`` is positive, else ``g``."""
        return self._cheapest(self._choices(u, f, g))

    def positive_part(self, v: Expr, plus: Expr = _ZERO, most: int = 1) -> list[Expr]:
        """Ways of writing ``max(v, 0) + plus``, which is ``max(v + plus, plus)``, the cheapest first."""
        return self._sorted(self._positive_parts(v, plus))[:most]

    def without_positive_part(self, v: Expr, plus: Expr = _ZERO, most: int = 1) -> list[Expr]:
        """Ways of writing ``plus - max(v, 0)``, which is ``min(plus - v, plus)``, the cheapest first."""
        return self._sorted(_negated(self._positive_parts(v, _times(-1.0, plus))))[:most]

    def larger(self, f: Expr, g: Expr) -> Expr | None:
        """The larger of two."""
        return self._cheapest(self._positive_parts(_minus(f, g), g))

    def smaller(self, f: Expr, g: Expr) -> Expr | None:
        """The smaller of two."""
        return self._cheapest(self.without_positive_part(_minus(g, f), g))

    # ---- all ways

    def _indicators(self, u: Expr) -> Iterator[Expr]:
        """1 where u is positive, else 0."""
        constant, found = normal.terms(u)
        positive = [_times(c, term) for c, term in found if c > 0.0]
        negative = [_times(-c, term) for c, term in found if c < 0.0]
        sides: list[tuple[Expr, Expr]] = [(_minus(u, Constant(constant)), Constant(0.0 - constant))]
        for extra in (positive, negative):
            number = Constant(constant if extra is positive else 0.0 - constant)
            left = normal.add([*positive, number] if extra is positive else positive)
            right = normal.add([*negative, number] if extra is negative else negative)
            sides.append((left, right))
        if len(found) == 1:  # no coefficient is needed: 2*x > 0.6 is x > 0.3
            c, term = found[0]
            left, right = term, Constant(0.0 - constant / c)
            sides.append((left, right) if c > 0.0 else (right, left))
        for left, right in sides:
            if "greater" in self._ops:
                yield self._call("greater", left, right)
            if "less" in self._ops:
                yield self._call("less", right, left)
        for _, scaled in _rescaled(u):
            if "step" in self._ops:
                yield self._call("step", scaled)
            if "cond" in self._ops:
                yield self._call("cond", scaled, _ONE)
            if "not" in self._ops:
                yield self._call("not", _times(-1.0, scaled))
            if "sign" in self._ops:
                yield normal.add([normal.multiply([_HALF, self._call("sign", scaled)]), _HALF])
                if "relu" in self._ops:
                    yield self._call("relu", self._call("sign", scaled))

    def _gates(self, u: Expr, f: Expr) -> Iterator[Expr]:
        if f == _ZERO:
            yield f
            return
        yield from (normal.multiply([f, indicator]) for indicator in self._indicators(u))
        if "cond" in self._ops:
            yield from (self._call("cond", scaled, f) for _, scaled in _rescaled(u))

    def _choices(self, u: Expr, f: Expr, g: Expr) -> Iterator[Expr]:
        minus_u = _times(-1.0, u)
        for base, gates in (
            (g, self._gates(u, _minus(f, g))),
            (f, self._gates(minus_u, _minus(g, f))),
        ):
            yield from (normal.add([gate, base]) for gate in gates)
        first, second = self.gate(u, f), self.gate(minus_u, g)
        if first is not None and second is not None:
            yield normal.add([first, second])

    def _positive_parts(self, v: Expr, plus: Expr) -> Iterator[Expr]:
        minus_v = _times(-1.0, v)
        for extra, rest in _shares(v, plus):
            if "max" in self._ops:
                yield normal.add([self._call("max", normal.add([v, extra]), extra), rest])
            if "min" in self._ops:
                both = _minus(minus_v, extra), _times(-1.0, extra)
                yield _minus(rest, self._call("min", *both))
                # max(v, 0) = v - min(v, 0)
                yield normal.add([v, rest, extra, _times(-1.0, self._call("min", v, _ZERO))])
                other = normal.add([v, extra])  # v + e + e - min(v + e, e)
                yield normal.add([v, extra, extra, rest, _times(-1.0, self._call("min", other, extra))])
        for size, scaled in _rescaled(v):
            if "relu" in self._ops:
                yield normal.add([_times(size, self._call("relu", scaled)), plus])
                yield normal.add([_times(size, self._call("relu", _times(-1.0, scaled))), v, plus])
            if "abs" in self._ops:
                size_of = _times(size, self._call("abs", scaled))
                rest = normal.multiplied_out(normal.add([v, _times(2.0, plus)]))
                yield normal.add([_times(0.5, size_of), normal.multiplied_out(_times(0.5, rest))])
                yield _times(0.5, normal.add([size_of, rest]))
        if self._ops.keys() & _STEPS:
            yield from (normal.add([gate, plus]) for gate in self._gates(v, v))
            yield from (normal.add([_times(-1.0, gate), v, plus]) for gate in self._gates(minus_v, v))

    def _call(self, name: str, *args: Expr) -> Expr:
        if name in ("max", "min"):  # the order says nothing: always the same one
            args = tuple(sorted(args, key=lambda arg: (isinstance(arg, Constant), normal.key(arg))))
        return normal.apply(self._ops[name], list(args))

    # ---- the cheapest

    def _sorted(self, ways: Iterable[Expr]) -> list[Expr]:
        priced: dict[str, tuple[float, int, Expr]] = {}
        for way in ways:
            tree = self.words.render(way)
            if tree is not None:
                constants = sum(isinstance(node, Constant) for node in walk(tree))
                priced.setdefault(normal.key(way), (self.words.cost(tree), constants, way))
        return [way for *_, way in sorted(priced.values(), key=lambda item: item[:2])]

    def _cheapest(self, ways: Iterable[Expr]) -> Expr | None:
        return next(iter(self._sorted(ways)), None)


def _times(c: float, expr: Expr) -> Expr:
    if isinstance(expr, Constant):
        return Constant(c * expr.value + 0.0)  # never -0
    return normal.multiply([Constant(c), expr])


def _minus(a: Expr, b: Expr) -> Expr:
    return normal.add([a, _times(-1.0, b)])


def _rescaled(u: Expr) -> list[tuple[float, Expr]]:
    """``(size, v)`` with ``u = size*v`` and a positive size: u itself, and with one coefficient of 1 or -1."""
    constant, found = normal.terms(u)
    sizes = dict.fromkeys([1.0, *(abs(c) for c, _ in found)])
    # Divided, since c*(1/c) may differ from 1.
    return [
        (size, normal.add([*(_times(c / size, term) for c, term in found), Constant(constant / size)]))
        for size in sizes
        if size > 0.0
    ]


def _shares(v: Expr, plus: Expr) -> Iterator[tuple[Expr, Expr]]:
    """``plus`` as a sum of two in every way, if it has few terms; else whole, or what is in ``v``, too."""
    constant, found = normal.terms(plus)
    parts = [_times(c, term) for c, term in found] + [Constant(constant)] * (constant != 0.0)
    if len(parts) <= _MOST_SHARED:
        chosen = [set(inside) for n in range(len(parts) + 1) for inside in combinations(range(len(parts)), n)]
    else:
        shared = {term for _, term in normal.terms(v)[1]}
        chosen = [set(), set(range(len(parts))), {i for i, (_, term) in enumerate(found) if term in shared}]
    for inside in chosen:
        yield (
            normal.add([part for i, part in enumerate(parts) if i in inside]),
            normal.add([part for i, part in enumerate(parts) if i not in inside]),
        )


def _negated(exprs: Iterable[Expr]) -> Iterator[Expr]:
    return (_times(-1.0, expr) for expr in exprs)
