"""A law that the options don't let the search write, and what to allow so that they do.

The default operators are few, and the commonest reason why a law isn't found is that it can't be written: a distance
without a square root, a law of forty nodes. Structure tells. Where asking has shown some and no law has come of it,
the same questions are put once more with the operators that common laws are made of.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from symtorch.engines.native.fitting.archive import Archive
from symtorch.engines.native.fitting.levenberg_marquardt import Rows
from symtorch.engines.native.fitting.losses import SQUARED
from symtorch.engines.native.forms.vocabulary import Vocabulary
from symtorch.engines.native.structure.decompose import FlatSolver, Laws, find_laws, piece_solver
from symtorch.engines.native.structure.solutions import n_fitted
from symtorch.engines.native.structure.tuning import is_formula, tuning
from symtorch.engines.options import SearchOptions
from symtorch.equations.expr import Call, Constant, Expr, depth, to_text, transform, walk
from symtorch.equations.normal import normalise

_BINARY = ("+", "-", "*", "/")
_UNARY = ("sqrt", "square", "cube", "exp", "log", "sin", "cos", "tanh", "erf", "abs")
_LONGEST = 60
"""Complexity of a law that is worth a word; what is longer nobody takes for one."""
_BETTER = 0.1
"""Share of the loss of what can be written that it leaves at most, however many numbers it takes."""
_DIGITS = 4


def with_law_beyond(
    laws: Laws,
    X: np.ndarray,
    teacher: Callable[[np.ndarray], np.ndarray],
    options: SearchOptions,
    seed: int = 0,
    stopped: Callable[[], bool] = lambda: False,
    most_rows: int | None = None,
) -> Laws:
    """The laws of a teacher's output with the one that these options can't write, where such a one shows.

    >>> X = np.random.default_rng(0).uniform(1.0, 2.0, (200, 2))
    >>> def teacher(X):
    ...     return np.log(X[:, 0]) + X[:, 1]
    >>> options = SearchOptions.from_params({"unary_operators": ["sin"]})
    >>> nothing = Laws([], False, np.inf, 0.0, 0)
    >>> told(with_law_beyond(nothing, X, teacher, options).beyond, ["x0", "x1"], options)
    'log(x0) + x1, with log allowed'

    Args:
        laws: what :func:`.find_laws` has found with these options; the others are as it has them.
    """
    words = Vocabulary(options)
    found, space = laws, replace(options, maxsize=max(options.maxsize, _LONGEST))
    if laws.solved and _may_approximate(laws):
        laws = found = replace(laws, solved=False, structure=None)
    if not laws.solved and _lacks(options) and laws.floor <= tuning().worst:
        wider = _wider(options)
        left = None if most_rows is None else most_rows - laws.rows_asked
        # Steps and closed forms take a moment, so time or no time they are looked at; the flat search is dear.
        solver = _first_piece(None if stopped() else piece_solver(wider, seed, stopped))
        other = find_laws(X, teacher, wider, seed, flat=solver, most_rows=left)
        laws = found = replace(laws, rows_asked=laws.rows_asked + other.rows_asked)
        if other.solved and _is_better(other, laws):
            found, space = other, wider
    if not found.solved or words.legal(found.exprs[-1]) is not None:
        return laws
    rows = X[: tuning().piece_rows]
    if most_rows is not None and most_rows - laws.rows_asked < len(rows):
        return laws
    tree = _written(found.exprs[-1], rows, teacher(rows), Vocabulary(space))
    laws = replace(laws, rows_asked=laws.rows_asked + len(rows))
    return laws if tree is None or words.legal(normalise(tree)) is not None else replace(laws, beyond=tree)


def told(law: Expr, names: Sequence[str], options: SearchOptions) -> str:
    """A law that the options can't write, and all that has to be allowed for it."""
    used = dict.fromkeys(node.op.name for node in walk(law) if isinstance(node, Call))
    missing = [name for name in used if name not in options.operators]
    size, deep = options.complexity(law), depth(law)
    unbound = replace(
        _wider(options), maxsize=size, constraints=options.constraints, nested_constraints=options.nested_constraints
    )
    stand_in_the_way = {
        f"{_listed(missing)} allowed": bool(missing),
        f"a maxsize of {size}": size > options.maxsize,
        f"a maxdepth of {deep}": options.maxdepth is not None and deep > options.maxdepth,
        "looser constraints": unbound.violation(law) is not None,
    }
    return f"{to_text(law, names, _DIGITS)}, with {_listed([what for what, does in stand_in_the_way.items() if does])}"


def _listed(words: Sequence[str]) -> str:
    """``a, b and c``."""
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))


def _lacks(options: SearchOptions) -> bool:
    """Whether operators of common laws are missing."""
    return not set(_BINARY + _UNARY) <= options.operators.keys()


def _may_approximate(laws: Laws) -> bool:
    """Whether a law may be an approximation: its numbers are fitted, no step of the whole tells how far it may be off,
    as of a network that obeys identities by its architecture, and the steps that led to it don't explain its loss."""
    if is_formula(laws.floor) or laws.witnessed < np.inf or n_fitted(laws.exprs[-1]) == 0:
        return False
    return laws.loss > tuning().seen * laws.error


def _is_better(law: Laws, laws: Laws) -> bool:
    """Whether a law of more operators is what the other laws only approximate.

    Beside a rough teacher an approximation may miss little more than its law, but takes more numbers.
    """
    if not law.loss <= tuning().better * laws.loss:
        return False
    return law.loss <= _BETTER * laws.loss or (bool(laws.exprs) and n_fitted(law.exprs[-1]) < n_fitted(laws.exprs[-1]))


def _wider(options: SearchOptions) -> SearchOptions:
    """The search space with all operators of common laws."""
    return replace(
        options,
        binary_operators=(*options.binary_operators, *(op for op in _BINARY if op not in options.operators)),
        unary_operators=(*options.unary_operators, *(op for op in _UNARY if op not in options.operators)),
        maxsize=max(options.maxsize, _LONGEST),
        constraints={},
        nested_constraints={},
        maxdepth=None,
    )


def _written(law: Expr, X: np.ndarray, y: np.ndarray, words: Vocabulary) -> Expr | None:
    """A law as it reads best, its constants cleaned; None if it can't be written."""
    rows = Rows.of(X, y)
    archive = Archive(words, rows, rows, SQUARED, float(np.var(y)))
    archive.offer(law)
    archive.write_readably(archive.picked("law"))
    picked = archive.picked("law")
    if picked is None:
        return None
    plain = transform(picked.tree, _plain)
    return plain if plain == picked.tree else words.render(normalise(plain))


def _plain(node: Expr) -> Expr:
    """A constant that is told as one or minus one as just that, so that it leaves products and powers."""
    if isinstance(node, Constant) and f"{abs(node.value):.{_DIGITS}g}" == "1":
        return Constant(math.copysign(1.0, node.value))
    return node


def _first_piece(solver: FlatSolver | None) -> FlatSolver:
    """What solves the first piece that closed forms don't, and no other: this is a side glance."""
    left = [] if solver is None else [solver]

    def solve(*piece: object) -> Sequence[Expr]:
        return left.pop()(*piece) if left else []  # type: ignore[arg-type]

    return solve
