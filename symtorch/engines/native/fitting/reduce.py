"""What is found in pieces may be longer, put together, than equations may be: it is brought down to that size.

Each step takes out what is missed least for what it saves: a term, a factor, a function around its argument, or a
part that hardly varies, for which a constant is put.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from symtorch.engines.native.fitting.archive import Archive
from symtorch.engines.native.fitting.levenberg_marquardt import fit
from symtorch.engines.native.fitting.tuning import FittingTuning
from symtorch.engines.native.tuning import current
from symtorch.equations import normal
from symtorch.equations.expr import Call, Constant, Expr, evaluate
from symtorch.equations.places import places, put


def too_long(expr: Expr, archive: Archive) -> bool:
    """Whether a form can be written, but is longer than equations may be."""
    tree = archive.words.render(expr)
    return tree is not None and archive.words.complexity(tree) > archive.words.options.maxsize


def reduced(expr: Expr, archive: Archive) -> Expr | None:
    """A normal form that is too long with as little taken out as allows it; None if that leads nowhere."""
    tuning = current(FittingTuning)
    expr, loss = fit(expr, archive.few, archive.loss, tuning.quick_steps)
    for _ in range(tuning.most_reductions):
        if not too_long(expr, archive):
            return expr
        cost = _cost(expr, archive)
        tried: list[tuple[float, float, Expr]] = []
        for less in _less(expr, archive):
            saved = cost - _cost(less, archive)
            if saved > 0.0:
                fitted, found = fit(less, archive.few, archive.loss, tuning.first_steps)
                tried.append(((found - loss) / saved, found, normal.normalise(fitted)))
        missed, loss, expr = min(tried, key=lambda item: item[0], default=(np.inf, loss, expr))
        if not np.isfinite(missed):
            return None
    return None


def _cost(expr: Expr, archive: Archive) -> float:
    tree = archive.words.render(expr)
    return np.inf if tree is None else archive.words.cost(tree)


def _less(expr: Expr, archive: Archive) -> Iterator[Expr]:
    """The form with a constant, or one of its arguments, in the place of a node; each shape once."""
    X = np.stack(archive.few.columns, axis=1)
    seen = {normal.key(expr)}
    for path, node in list(places(expr)):
        if not isinstance(node, Call):
            continue
        value = float(np.mean(evaluate(node, X)))
        constants = [Constant(value)] if path and np.isfinite(value) else []
        for new in (*node.args, *constants):
            less = normal.normalise(put(expr, path, new))
            shape = normal.key(less)
            if shape not in seen:
                seen.add(shape)
                yield less
