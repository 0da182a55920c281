"""SymbolicRegressor: symbolic distillation and plain symbolic regression behind scikit-learn's contract."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import nn

from symtorch.capture import Captured, capture
from symtorch.distillation.plan import Plan, distill
from symtorch.engines import Engine
from symtorch.engines.samples import Samples
from symtorch.equations.front import Equation, Front
from symtorch.equations.names import identifiers
from symtorch.errors import InputError
from symtorch.model import SymbolicModel

try:
    from sklearn.base import BaseEstimator, RegressorMixin
    from sklearn.metrics import r2_score
    from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data
except ImportError as error:  # pragma: no cover
    raise ImportError("SymbolicRegressor needs scikit-learn 1.6+: pip install 'torch-symbolic[sklearn]'") from error

if TYPE_CHECKING:
    import pandas as pd

_OWN = ("model", "target_module", "input_vars", "engine", "held_out", "max_rows", "output_index", "ask", "extra")


class SymbolicRegressor(RegressorMixin, BaseEstimator):
    """Equations for the columns of y, or for what a module of a PyTorch model computes.

    Without a model it is a symbolic regressor for any (X, y). With one, ``fit(X)`` runs the model on X
    and finds equations for the outputs of ``target_module``; ``predict(X)`` gives what the equations
    say in its place, one row for each row that goes through the module, and ``score(X)`` how faithful
    they are to it.

    >>> X = np.random.default_rng(0).uniform(-2, 2, (200, 2))
    >>> regressor = SymbolicRegressor(random_state=0).fit(X, X[:, 0] * X[:, 1] + 1)
    >>> print(regressor.sympy())
    x0*x1 + 1

    Args:
        model: a PyTorch module (or any callable, which is then the target itself); None for none.
        target_module: dotted name of the part of it that is distilled; None for all of it.
        input_vars: names of the inputs; None for those of a DataFrame, or ``x0, x1, ...``.
        engine: "native", "pysr", "auto", or an object; see :class:`symtorch.engines.Engine`.
        held_out: share of the rows to judge the equations by (``r2`` in ``equations_``) and not to search on.
        max_rows: rows of the module to keep, at most; drawn evenly.
        output_index: part of the module's output, where that is a tuple or a dict.
        ask: whether the search may ask the model at rows of its own; see :meth:`symtorch.SymbolicModel.distill`.
        extra: search options that have no argument of their own here, as a dict.
        others: the search options of :class:`symtorch.SearchOptions`; None for the default.

    Attributes:
        fronts_: one :class:`symtorch.Front` per output.
        equations_: the table of the front, or a list of tables if there are several outputs.
        n_features_in_: number of inputs.
        n_outputs_: number of outputs.
    """

    def __init__(
        self,
        model: nn.Module | Callable[..., Any] | None = None,
        target_module: str | None = None,
        input_vars: Sequence[str] | None = None,
        *,
        engine: str | Engine = "auto",
        held_out: float = 0.0,
        max_rows: int = 10_000,
        output_index: int | str | None = None,
        ask: bool | int | None = None,
        binary_operators: Sequence[str] | None = None,
        unary_operators: Sequence[str] | None = None,
        extra_sympy_mappings: Mapping[str, Any] | None = None,
        maxsize: int | None = None,
        maxdepth: int | None = None,
        constraints: Mapping[str, Any] | None = None,
        nested_constraints: Mapping[str, Any] | None = None,
        complexity_of_operators: Mapping[str, float] | None = None,
        complexity_of_constants: float | None = None,
        complexity_of_variables: float | Sequence[float] | None = None,
        niterations: int | None = None,
        timeout_in_seconds: float | None = None,
        early_stop_condition: float | str | None = None,
        parsimony: float | None = None,
        elementwise_loss: str | Callable[[Any, Any], Any] | None = None,
        model_selection: str | None = None,
        random_state: int | np.random.RandomState | None = None,
        batching: bool | str | None = None,
        batch_size: int | None = None,
        select_k_features: int | None = None,
        guesses: Sequence[Any] | None = None,
        progress: bool = False,
        verbosity: int = 0,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        self.model = model
        self.target_module = target_module
        self.input_vars = input_vars
        self.engine = engine
        self.held_out = held_out
        self.max_rows = max_rows
        self.output_index = output_index
        self.ask = ask
        self.binary_operators = binary_operators
        self.unary_operators = unary_operators
        self.extra_sympy_mappings = extra_sympy_mappings
        self.maxsize = maxsize
        self.maxdepth = maxdepth
        self.constraints = constraints
        self.nested_constraints = nested_constraints
        self.complexity_of_operators = complexity_of_operators
        self.complexity_of_constants = complexity_of_constants
        self.complexity_of_variables = complexity_of_variables
        self.niterations = niterations
        self.timeout_in_seconds = timeout_in_seconds
        self.early_stop_condition = early_stop_condition
        self.parsimony = parsimony
        self.elementwise_loss = elementwise_loss
        self.model_selection = model_selection
        self.random_state = random_state
        self.batching = batching
        self.batch_size = batch_size
        self.select_k_features = select_k_features
        self.guesses = guesses
        self.progress = progress
        self.verbosity = verbosity
        self.extra = extra

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> SymbolicRegressor:
        """Find the equations.

        Args:
            X: (n_samples, n_features); with a model whatever it is called with, as for
                :meth:`symtorch.SymbolicModel.distill`.
            y: (n_samples,) or (n_samples, n_outputs); not used with a model.
            sample_weight: (n_samples,), or None.
        """
        if self.model is None:
            self.fronts_ = self._fit_data(X, y, sample_weight)
        else:
            self.fronts_ = self._fit_model(X, sample_weight)
        self.n_outputs_ = len(self.fronts_)
        return self

    def _fit_data(self, X: Any, y: Any, sample_weight: Any) -> list[Front]:
        if self.target_module is not None:
            raise InputError(f"target_module is {self.target_module!r}, but there is no model to find it in.")
        X, y = validate_data(self, X, y, multi_output=True, y_numeric=True, dtype=np.float64, ensure_min_samples=2)
        self._one_output = y.ndim == 1
        weights = None if sample_weight is None else _check_sample_weight(sample_weight, X, ensure_non_negative=True)
        names = tuple(self.input_vars or identifiers(getattr(self, "feature_names_in_", ())))
        samples = Samples(X, y.reshape(len(X), -1), weights, names)
        plan = self._plan()
        found = distill(plan, samples, plan.engine)
        return [found[i] for i in range(samples.n_outputs)]

    def _fit_model(self, X: Any, sample_weight: Any) -> list[Front]:
        fit_params = {"variable_names": None if self.input_vars is None else tuple(self.input_vars)}
        if sample_weight is not None:
            fit_params["weights"] = sample_weight
        block, parent = self._block()
        self._symbolic = SymbolicModel(block, self.target_module)
        found = self._symbolic.distill(
            _plain(X),
            parent_model=parent,
            sr_params=self._options(),
            fit_params={key: value for key, value in fit_params.items() if value is not None},
            engine=self.engine,
            held_out=self.held_out,
            max_rows=self.max_rows,
            output_index=self.output_index,
            ask=self.ask,
        )
        assert isinstance(found, dict)
        self._one_output = len(found) == 1
        self.n_features_in_ = len(found[0].best.variable_names)
        return list(found.values())

    def predict(self, X: Any) -> np.ndarray:
        """Values of the chosen equations: (n_samples,), or (n_samples, n_outputs) if there are several.

        Args:
            X: as for ``fit``; with a model, the module's inputs are taken from a run of the model.
        """
        check_is_fitted(self, "fronts_")
        rows = self._captured(X).X if self.model is not None else validate_data(self, X, dtype=np.float64, reset=False)
        Y = np.stack([front.best.predict(rows) for front in self.fronts_], axis=1)
        return Y[:, 0] if self._one_output else Y

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """R² of the equations against y; with a model, against what the module computes."""
        check_is_fitted(self, "fronts_")
        if self.model is None:
            return super().score(X, y, sample_weight)
        captured = self._captured(X)
        Y = np.stack([front.best.predict(captured.X) for front in self.fronts_], axis=1)
        return float(r2_score(captured.Y, Y, sample_weight=sample_weight))

    @property
    def equations_(self) -> pd.DataFrame | list[pd.DataFrame]:
        """The front as a table, a list of them for several outputs."""
        return self._each(lambda front: front.equations_)

    def get_best(self) -> Equation | list[Equation]:
        """The chosen equation, a list of them for several outputs."""
        return self._each(lambda front: front.best)

    def sympy(self, index: int | None = None) -> Any:
        """The chosen equation, or the one at this position of the front, as a SymPy expression."""
        return self._each(lambda front: front.sympy(index))

    def latex(self, index: int | None = None, precision: int = 3) -> Any:
        """The chosen equation, or the one at this position of the front, in LaTeX."""
        return self._each(lambda front: front.latex(index, precision))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        tags.target_tags.required = self.model is None
        tags.regressor_tags.poor_score = True  # of the default checks: ten samples, many inputs
        return tags

    def _each(self, read: Callable[[Front], Any]) -> Any:
        check_is_fitted(self, "fronts_")
        values = [read(front) for front in self.fronts_]
        return values[0] if self._one_output else values

    def _options(self) -> dict[str, Any]:
        given = {k: v for k, v in self.get_params(deep=False).items() if k not in _OWN and v is not None}
        if isinstance(self.random_state, np.random.RandomState):
            given["random_state"] = int(self.random_state.randint(2**31 - 1))
        return given | dict(self.extra or {})

    def _plan(self) -> Plan:
        return Plan.make(sr_params=self._options(), engine=self.engine, held_out=self.held_out)

    def _block(self) -> tuple[Any, nn.Module | None]:
        """The target, and the model that calls it where that is another one."""
        if self.target_module is None:
            return self.model, None
        if not isinstance(self.model, nn.Module):
            raise InputError(f"model is a {type(self.model).__name__}; only an nn.Module has a target_module.")
        names = dict(self.model.named_modules())
        if self.target_module not in names:
            near = [n for n in names if n.split(".")[-1] == self.target_module.split(".")[-1]] or list(names)[1:]
            raise InputError(f"the model has no module {self.target_module!r}; there are {near[:20]}.")
        return names[self.target_module], self.model

    def _captured(self, X: Any) -> Captured:
        block, parent = self._block()
        every_row = 2**62  # grown as rows come, never allocated at once
        captured = capture(
            {"block": block}, _plain(X), model=parent, max_rows=every_row, output_index=self.output_index
        )
        return captured["block"]


def _plain(X: Any) -> Any:
    return X.to_numpy() if hasattr(X, "columns") and hasattr(X, "to_numpy") else X
