"""Equations, and the Pareto front of them that a search returns for one output."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from symtorch.equations import show
from symtorch.equations.alternatives import Alternatives, alternatives, as_good
from symtorch.equations.description import extent, lengths
from symtorch.equations.expr import Expr, constants, evaluate, size, to_text
from symtorch.equations.latex import latex
from symtorch.equations.lines import line_of
from symtorch.equations.selection import (
    approximation,
    heeding,
    leaves_much,
    no_worse_than_a_line,
    pareto,
    scores,
    select,
)
from symtorch.equations.stability import Stability
from symtorch.equations.structure import plot_structure
from symtorch.equations.textbook import textbook
from symtorch.equations.uncertainty import Estimate, standard_errors
from symtorch.equations.verdict import Evidence, Verdict, judge
from symtorch.errors import InputError, listed

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, repr=False)
class Equation:
    """One candidate of a front.

    Attributes:
        expr: the tree, over the columns of the samples.
        variable_names: name of each of those columns.
        complexity: as the search options count it.
        loss: mean (weighted) loss on the samples that were searched, as computed from this tree; infinite
            where that is not known, as after its constants were trained elsewhere.
        score: gain in log(loss) per unit of complexity over the next simpler one (PySR's score).
        r2: R² on held-out samples; None where none were held out.
        source: the equation in the words of another program that found it; empty otherwise.
        standard_errors: of the constants, in their order in ``expr``; None where they were not computed.
        own: whether the user has set it; a new distillation leaves it in the front.
        signs: of each variable in the data: 1, -1, or 0 where it has both; None where that is not known. A root may
            be drawn where a quantity is positive.
    """

    expr: Expr
    variable_names: tuple[str, ...]
    complexity: int
    loss: float
    score: float = 0.0
    r2: float | None = None
    source: str = ""
    standard_errors: tuple[float | None, ...] | None = None
    own: bool = False
    signs: tuple[int, ...] | None = field(default=None, compare=False)

    @property
    def text(self) -> str:
        """The equation as text, constants in full: ``parse(text)`` gives ``expr`` back."""
        return to_text(self.expr, self.variable_names)

    @property
    def constants(self) -> tuple[Estimate, ...]:
        """The constants with their standard errors, in the order of ``walk(expr)``: as they read in ``text``.

        Those of the default picks are known after a search by squared error; others :meth:`with_errors` computes.
        """
        values = constants(self.expr)
        errors = (None,) * len(values) if self.standard_errors is None else self.standard_errors
        return tuple(Estimate(value, error) for value, error in zip(values, errors, strict=True))

    def with_errors(self, X: np.ndarray, y: np.ndarray, weights: np.ndarray | None = None) -> Equation:
        """The equation with the standard errors of its constants, as least squares on these rows has them.

        >>> from symtorch.equations.parser import parse
        >>> x = np.linspace(-1.0, 1.0, 50)
        >>> line = Equation(parse("2*x + 1.01", ["x"]), ("x",), 5, 0.01)
        >>> line.with_errors(x[:, None], 2 * x + 1.01 + 0.1 * (-1.0) ** np.arange(50)).constants
        (2, 1.010 ± 0.014)

        Args:
            X: (n_samples, n_inputs), the columns that the equation is over.
            y: (n_samples,), what it was fitted to.
            weights: (n_samples,), not negative; None for equal ones.

        Raises:
            InputError: shapes that don't fit together.
        """
        return replace(self, standard_errors=standard_errors(self.expr, X, y, weights))

    @property
    def textbook(self) -> str:
        """The equation as a textbook would print it, as text; notebooks and :meth:`latex` show this form.

        Complexity is counted of ``text``, the shortest form that there is; of the same function this one is the form
        that is easiest to read. Where none is, or an equation is too long for that, it is the equation as it stands.
        See :mod:`symtorch.equations.textbook`.

        >>> from symtorch.equations.parser import parse
        >>> names = ("a", "b", "angle")
        >>> Equation(parse("sqrt(a*(a - 2*b*cos(angle)) + b*b)", names), names, 14, 0.0).textbook
        'sqrt(a^2 + b^2 - 2*a*b*cos(angle))'
        """
        return to_text(self._form, self.variable_names, digits=5)

    @property
    def _form(self) -> Expr:
        return textbook(self.expr, self.signs)

    def sympy(self) -> Any:
        """The equation as a SymPy expression over real symbols."""
        from symtorch.equations.sympy_bridge import to_sympy  # SymPy takes long to import

        return to_sympy(self.expr, self.variable_names)

    def latex(self, precision: int = 4) -> str:
        """The equation in LaTeX as a textbook would print it, constants rounded to ``precision`` significant digits."""
        return latex(self._form, self.variable_names, precision)

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Value on the rows of X (n_samples, n_inputs): (n_samples,), float64.

        Raises:
            InputError: X is no matrix, or lacks columns.
        """
        X = np.asarray(X, dtype=np.float64)
        if X.ndim == 2 and X.shape[1] < len(self.variable_names):
            raise InputError(
                f"X has {X.shape[1]} columns; the equation is over {len(self.variable_names)} variables, in this "
                f"order: {listed(self.variable_names)}."
            )
        return evaluate(self.expr, X)

    def __str__(self) -> str:
        return to_text(self.expr, self.variable_names, digits=5)

    def __repr__(self) -> str:
        return f"<Equation {show.shortened(str(self))}, {show.figures(self)}>"

    def _repr_html_(self) -> str:
        return show.formula(replace(self, expr=self._form), show.LARGEST_ALONE)

    def _repr_latex_(self) -> str | None:
        return f"${self.latex()}$" if size(self.expr) <= show.LARGEST_ALONE else None


@dataclass(frozen=True, repr=False)
class Front:
    """The Pareto front of one output: no equation on it is both simpler and more accurate than another.

    It has what a PySR user looks for: ``equations_``, ``get_best()``, ``sympy()``, ``latex()``,
    ``predict(X)``.

    Attributes:
        equations: by rising complexity and falling loss; make a front with :meth:`from_candidates`.
        model_selection: the rule of the default pick.
        engine: name of the engine that found it.
        stop_reason: why the search ended ("exact", "converged", "budget", "timeout", "interrupted").
        n_samples: rows that the losses are over.
        seconds: wall time of the search that found it (all outputs together).
        folder: where the engine has kept its own record of the run; empty if nowhere.
        evidence: what is known of the output beyond the equations.
        pick: complexity of the equation that the user has put in the place of the default pick; None for none.
        history: (seconds, share of the variance that the best equation left) whenever the search told that it had
            got better by a fifth; empty where its engine tells nothing.
    """

    equations: tuple[Equation, ...]
    model_selection: str = "law"
    engine: str = ""
    stop_reason: str = ""
    n_samples: int = 0
    seconds: float = 0.0
    folder: str = ""
    evidence: Evidence = field(default_factory=Evidence)
    pick: int | None = None
    history: tuple[tuple[float, float], ...] = field(default=(), compare=False)  # times are others each time

    def __post_init__(self) -> None:
        if not self.equations:
            raise InputError("a front needs at least one equation.")

    @classmethod
    def from_candidates(cls, candidates: Iterable[Equation], **info: Any) -> Front:
        """The front of these equations: dominated ones dropped, sorted, scored."""
        given = list(candidates)
        kept = [given[i] for i in pareto([eq.complexity for eq in given], [eq.loss for eq in given])]
        score = scores([eq.complexity for eq in kept], [eq.loss for eq in kept])
        return cls(tuple(replace(eq, score=s) for eq, s in zip(kept, score, strict=True)), **info)

    @cached_property
    def best_index(self) -> int:
        """Position of the default pick: the user's own, or the one that the rule takes."""
        if self.pick in self.complexities:
            return self.complexities.index(self.pick)
        extents, losses, score = [extent(eq.expr) for eq in self], [eq.loss for eq in self], [eq.score for eq in self]
        if self.model_selection == "law":
            r2 = [eq.r2 for eq in self]
            known = None if self.evidence.noise is None else self.description_lengths
            pick = heeding(extents, losses, score, r2, self.evidence.reach, known)
            if known is not None or all(value is None for value in r2):
                is_line = [line_of(eq.expr) is not None for eq in self]
                return no_worse_than_a_line(pick, losses, self._n_constants, is_line, self.n_samples)
            if not leaves_much(r2[pick]):
                return pick
            best_first = sorted((-value, i) for i, value in enumerate(r2) if value is not None)
            line = next((-value for value, i in best_first if line_of(self[i].expr) is not None), -math.inf)
            return approximation(pick, r2, line)
        return select(extents, losses, score, self.model_selection)

    @property
    def _n_constants(self) -> list[int]:
        return [len(constants(eq.expr)) for eq in self]

    @property
    def best(self) -> Equation:
        """The default pick."""
        return self.equations[self.best_index]

    @cached_property
    def verdict(self) -> Verdict:
        """Whether the pick is a law, an approximation or nothing, and why: ``front.verdict == "law"``."""
        return judge(self.equations, self.best_index, self.evidence, self.stop_reason == "exact")

    @property
    def rows_asked(self) -> int:
        """Rows that the block was asked for, for this output, beside the data; see :class:`.Evidence`."""
        return self.evidence.rows_asked

    @property
    def complexities(self) -> list[int]:
        """The complexities that there are, rising."""
        return [eq.complexity for eq in self.equations]

    @property
    def description_lengths(self) -> list[float]:
        """Of every equation with what it leaves on the rows that were searched, in nats; see :mod:`.description`."""
        inputs = len(self.equations[0].variable_names)
        return lengths([eq.expr for eq in self], [eq.loss for eq in self], inputs, self.n_samples)

    def at(self, complexity: int | None = None) -> Equation:
        """The equation of this complexity; the default pick for None.

        Raises:
            InputError: there is none of that complexity; the message lists those there are.
        """
        if complexity is None:
            return self.best
        for eq in self.equations:
            if eq.complexity == complexity:
                return eq
        raise InputError(f"no equation of complexity {complexity}; there are [{listed(self.complexities)}].")

    def with_signs(self, signs: tuple[int, ...]) -> Front:
        """The front with what is known of its variables' signs; see :class:`Equation`."""
        return replace(self, equations=tuple(replace(eq, signs=signs) for eq in self))

    def with_errors(
        self, X: np.ndarray, y: np.ndarray, weights: np.ndarray | None = None, of: Iterable[int] | None = None
    ) -> Front:
        """The front with the standard errors of its equations' constants; see :meth:`Equation.with_errors`.

        Args:
            X: (n_samples, n_inputs), the columns that the equations are over.
            y: (n_samples,), what they were fitted to.
            weights: (n_samples,), not negative; None for equal ones.
            of: positions of the equations that get them; None for all.
        """
        wanted = range(len(self)) if of is None else set(of)
        known = (eq.with_errors(X, y, weights) if i in wanted else eq for i, eq in enumerate(self))
        return replace(self, equations=tuple(known))

    def alternatives(self, X: np.ndarray | None = None, also: Iterable[Equation] = (), seed: int = 0) -> Alternatives:
        """Other skeletons as good as the pick within the error, and the question at which they differ most.

        The error is what chance does to the mean loss (two standard errors), and the block's own where that is
        known. :meth:`symtorch.SymbolicModel.alternatives` takes its data, and asks the block that question.

        >>> from symtorch.equations.parser import parse
        >>> texts = {"x": 0.2, "sin(x)": 0.011, "x - x^3/6": 0.01}
        >>> laws = [Equation(parse(t, ["x"]), ("x",), len(t), loss) for t, loss in texts.items()]
        >>> front = Front.from_candidates(laws, n_samples=100, model_selection="accuracy")
        >>> front.alternatives(np.linspace(-1, 3, 50)[:, None])
          complexity        loss         there  equation
        >          9   1.000e-02          -1.5  x - x^3/6
                   6   1.100e-02       0.14112  sin(x)
        they differ most at x=3

        Args:
            X: (n, n_inputs), rows that span the points that can be asked for; None for no question.
            also: further equations, with losses on the same rows.
            seed: of the points that are compared.

        Raises:
            InputError: X is no matrix with a column for each variable.
        """
        worst = max((eq.loss for eq in self if math.isfinite(eq.loss)), default=0.0)
        level = as_good(self.best, worst, self.n_samples, self.evidence.reach)
        return alternatives(self.best, [*self, *also], level, X, seed)

    def stability(self, others: Iterable[Front]) -> Stability:
        """How often this pick's skeleton is the pick of other searches, and how its constants scatter over them.

        :meth:`symtorch.SymbolicModel.stability` runs such searches.

        Args:
            others: fronts over the same variables, from other rows, seeds, networks or options.

        Raises:
            InputError: there are none.
        """
        return Stability.of(self.best, [front.best for front in others])

    def __iter__(self) -> Iterator[Equation]:
        return iter(self.equations)

    def __len__(self) -> int:
        return len(self.equations)

    def __getitem__(self, index: int) -> Equation:
        return self.equations[index]

    # ---- the face that PySR users know

    @property
    def equations_(self) -> pd.DataFrame:
        """A table with complexity, loss, score, equation, sympy_format, and r2 on held-out samples."""
        import pandas as pd

        return pd.DataFrame(
            {
                "complexity": self.complexities,
                "loss": [eq.loss if math.isfinite(eq.loss) else math.nan for eq in self],
                "score": [eq.score for eq in self],
                "equation": [eq.text for eq in self],
                "sympy_format": [eq.sympy() for eq in self],
                "r2": [eq.r2 for eq in self],
            }
        )

    def get_best(self, index: int | None = None) -> pd.Series:
        """The row of ``equations_`` at this position; of the default pick for None."""
        return self.equations_.iloc[self._position(index)]

    def _position(self, index: int | None) -> int:
        if index is None:
            return self.best_index
        if not -len(self) <= index < len(self):
            raise InputError(
                f"no equation at position {index}; there are 0 to {len(self) - 1}. By complexity: at(complexity), for "
                f"one of {listed(self.complexities)}."
            )
        return index

    def _pick(self, index: int | None) -> Equation:
        return self.equations[self._position(index)]

    def sympy(self, index: int | None = None) -> Any:
        """SymPy expression of the default pick, or of the equation at this position."""
        return self._pick(index).sympy()

    def latex(self, index: int | None = None, precision: int = 3) -> str:
        """LaTeX of the default pick, or of the equation at this position."""
        return self._pick(index).latex(precision)

    def predict(self, X: np.ndarray, index: int | None = None) -> np.ndarray:
        """(n_samples, n_inputs) -> (n_samples,), by the default pick or the equation at this position."""
        return self._pick(index).predict(X)

    # ---- how it looks

    def __str__(self) -> str:
        return show.front_table(self)

    def __repr__(self) -> str:
        return show.front_table(self, most=show.ROWS)

    @property
    def summary(self) -> str:
        """One line: which engine searched, on what, how long, why it stopped, and what the pick is."""
        return f"{self.searched}; {self.verdict}"

    @property
    def searched(self) -> str:
        """One line on the search alone."""
        seconds = f" in {self.seconds:.1f} s" if self.seconds else ""
        asked = f", {self.rows_asked:,} asked" if self.rows_asked else ""
        return (
            f"engine {self.engine or 'unknown'}, {self.n_samples:,} rows{asked}{seconds}; stopped: {self.stop_reason}"
        )

    def _repr_html_(self) -> str:
        return show.front_html(self)

    def _repr_latex_(self) -> str | None:
        return f"${self.latex()}$" if size(self.best.expr) <= show.LARGEST_ALONE else None

    def plot(self, ax: Any = None) -> Any:
        """Draw loss by complexity, the pick marked; needs matplotlib.

        Args:
            ax: matplotlib axes to draw on; None for new ones.

        Returns:
            the axes.
        """
        return show.plot_front(self, ax)

    def plot_growth(self, ax: Any = None) -> Any:
        """Draw how the best loss fell while the search went on; needs matplotlib.

        Args:
            ax: matplotlib axes to draw on; None for new ones.

        Returns:
            the axes.

        Raises:
            InputError: no history is known, as of a front that was put together by hand.
        """
        return show.plot_growth(self, ax)

    def plot_structure(self, ax: Any = None) -> Any:
        """Draw what asking the block has found of its structure, down to the functions that it is made of.

        Needs matplotlib. What is drawn is ``front.evidence.structure``.

        Args:
            ax: matplotlib axes to draw on; None for new ones.

        Returns:
            the axes.

        Raises:
            InputError: nothing is known of it: the block was not asked, or asking has found no law.
        """
        if self.evidence.structure is None:
            raise InputError(
                "no structure is known of this output: the native engine finds it where it may ask the block "
                f"(ask=True) and the law is made of simpler functions. {self.searched}."
            )
        return plot_structure(self.evidence.structure, ax)


class Fronts(dict[int, Front]):
    """{output: Front}, as a search returns it: a dict that shows the picks."""

    @property
    def picks(self) -> dict[int, Equation]:
        """The default pick of every output."""
        return {output: front.best for output, front in self.items()}

    def __repr__(self) -> str:
        if not self:
            return "{}"
        return "\n".join([*show.text_lines(self.picks), self._note()])

    def _repr_html_(self) -> str:
        return show.picks_html(self.picks, note=self._note())

    def _note(self) -> str:
        """One line on the searches."""
        searches = list(dict.fromkeys(front.searched for front in self.values()))
        verdicts = list(dict.fromkeys(str(front.verdict) for front in self.values()))
        if len(searches) == len(verdicts) == 1:
            return f"{searches[0]}; {verdicts[0]}"
        kinds = [front.verdict.kind for front in self.values()]
        counts = ", ".join(f"{kind} {kinds.count(kind)}" for kind in dict.fromkeys(kinds))
        start = f"{searches[0]}; " if len(searches) == 1 else ""
        return f"{start}verdicts: {counts}; fronts[output] tells more of one"
