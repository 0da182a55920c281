"""The same equation with other functions of one input, which a rough network can't tell apart.

``0.7*(exp(x1/2) + exp(x2/2) - 2.6)`` is within 1e-4 of ``(x1^2 + x2^2)/4``, and of the two a network that is no better
than that may be nearer to the first. A search that fits one function at a time keeps the nearer one, and the law, which
has fewer numbers, is never seen whole. So in an equation that may be an approximation every part that is a function of
one input is taken for each of the closed forms of :mod:`.one_input` that are about the same on its range.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain, islice

import numpy as np

from symtorch.engines.native.fitting.archive import Archive
from symtorch.engines.native.fitting.clean import shorter
from symtorch.engines.native.forms.vocabulary import Vocabulary
from symtorch.engines.native.structure.one_input import resembling
from symtorch.engines.native.structure.tuning import tuning
from symtorch.equations.expr import Call, Expr, Variable, evaluate, substitute, variables, walk
from symtorch.equations.normal import PLUS, TIMES, is_power, normalise
from symtorch.equations.places import places, put
from symtorch.equations.worth import stands_out


def look_for_others(archive: Archive, stop: Callable[[], bool]) -> None:
    """Offer an archive what its pick may only look like, if the pick is nothing that stands out.

    What came nearest is looked at once more, since functions of several inputs may have to change.

    Args:
        stop: asked between two candidates; True ends it with what there is.
    """
    picked, front = archive.picked("law"), archive.pareto()
    if picked is None or stands_out([c.tree for c in front], [c.loss for c in front], front.index(picked)):
        return
    X = np.column_stack([column[: tuning().piece_rows] for column in archive.rows.columns])
    starts = [picked]
    for _ in range(tuning().looks):
        known = set(archive.found)
        others = chain.from_iterable(with_other_functions(start.expr, X, archive.words) for start in starts)
        archive.consider(islice(others, tuning().others), stop)
        new = [c for shape, c in archive.found.items() if shape not in known and c.loss <= tuning().alike * picked.loss]
        starts = sorted(new, key=lambda c: (c.complexity, c.loss))[: tuning().looked_at]


def with_other_functions(expr: Expr, X: np.ndarray, words: Vocabulary) -> Iterator[Expr]:
    """Normal forms with another function in the place of one part, and the same without one of their constants.

    >>> from symtorch.engines.options import SearchOptions
    >>> from symtorch.equations.expr import to_text
    >>> from symtorch.equations.parser import parse
    >>> words = Vocabulary(SearchOptions.from_params({"unary_operators": ["exp", "square"]}))
    >>> X = np.random.default_rng(0).uniform(1.0, 3.0, (200, 2))
    >>> found = with_other_functions(parse("x1*exp(0.5*x0)", ["x0", "x1"]), X, words)
    >>> "0.35*(x0^2 + 3.8)*x1" in [to_text(form, ["x0", "x1"], 2) for form in found]
    True

    Args:
        expr: a normal form over the columns of X.
        X: (n, n_inputs), where it is defined.
        words: what may be written.
    """
    for path, node, i in _parts(expr):
        values = evaluate(node, X)
        if np.isfinite(values).all() and np.var(values) > 0.0:
            for form in resembling(X[:, i], values, words, tuning().resembling)[: tuning().resembled]:
                other = normalise(put(expr, path, substitute(form, [Variable(i)])))
                yield other
                yield from shorter(other)


def _parts(expr: Expr) -> Iterator[tuple[tuple[int, ...], Expr, int]]:
    """The largest parts that are functions of one input, each with its path and the input."""
    taken: list[tuple[int, ...]] = []
    for path, node in places(expr):
        if isinstance(node, Call) and not any(path[: len(above)] == above for above in taken):
            used = variables(node)
            if len(used) == 1:
                taken.append(path)
                if not _is_plain(node):
                    yield path, node, used[0]


def _is_plain(node: Expr) -> bool:
    """Whether a part is a power of its input, or a line: nobody takes such a one for something else."""
    inside = node.args[0] if is_power(node) else node  # type: ignore[attr-defined]
    return all(inner.op in (PLUS, TIMES) for inner in walk(inside) if isinstance(inner, Call))
