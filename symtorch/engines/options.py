"""What a search may build and how long it may take, under PySR's own parameter names.

The names and their meaning are those of PySR: https://ai.damtp.cam.ac.uk/pysr/stable/api/
"""

from __future__ import annotations

import difflib
import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from pathlib import PurePath
from typing import Any

from symtorch.equations.definitions import operator
from symtorch.equations.expr import Call, Constant, Expr, Variable, depth, walk
from symtorch.equations.operators import ALIASES, OPERATORS, Operator
from symtorch.errors import OptionError, listed

logger = logging.getLogger("symtorch.engines")

DEFAULT_SR_PARAMS: dict[str, Any] = {
    "binary_operators": ["+", "*"],
    "unary_operators": ["inv(x) = 1/x", "sin", "exp"],
    "extra_sympy_mappings": {"inv": lambda x: 1 / x},
    "niterations": 400,
    "complexity_of_operators": {"sin": 3, "exp": 3},
}
"""The search space that is used where the user names none (torch-symbolic 1.0's own)."""

MODEL_SELECTIONS = ("law", "best", "accuracy", "score")
"""Rules that pick one equation from a front; see :mod:`symtorch.equations.selection`."""

_OTHER_LOSSES = frozenset({"loss_function", "loss_function_expression"})
"""Options of PySR's that make a loss something else than ``elementwise_loss`` says."""

_DECLARED: set[str] = set()


def declare(parameters: Iterable[str]) -> None:
    """Let options have these names beside the fields of SearchOptions, whatever engine they are for."""
    _DECLARED.update(parameters)


def is_option(name: str) -> bool:
    """Whether a search option is called that, of whatever engine."""
    return name in _CHECKS or name in _DECLARED or name in OLD_NAMES


@dataclass(frozen=True)
class SearchOptions:
    """A validated set of search options; make one with :meth:`from_params`.

    Attributes:
        binary_operators: names (``"+"``) or definitions (``"hyp(x, y) = sqrt(x^2 + y^2)"``).
        unary_operators: the same, with one argument.
        extra_sympy_mappings: SymPy functions of custom operators, by name: what a definition means that
            is more Julia than a formula, and how the others are shown.
        maxsize: highest complexity of an equation. Where it isn't named, the native engine's least squares may
            exceed the default: up to a line through all inputs within one function.
        maxdepth: greatest depth of its tree; None for no limit.
        constraints: for an operator the highest complexity of its argument, or of each of its
            arguments; -1 for no limit.
        nested_constraints: ``{"sin": {"cos": 0}}``: how often the inner may occur, nested, in the outer.
        complexity_of_operators, complexity_of_constants, complexity_of_variables: what each node adds
            to the complexity; 1 unless said otherwise. Variables may have one each.
        niterations: how long to search, as a count. 400 is the native engine's full budget.
        timeout_in_seconds: a ceiling on the time, wall clock; the front found by then is returned.
        early_stop_condition: stop once the loss is below this.
        parsimony: added to the loss per unit of complexity where candidates are ranked to be built on; what is on the
            front goes by loss alone.
        elementwise_loss: None or "L2DistLoss()" for squared errors, or another of PySR's losses; for the native engine
            also a function (prediction, target) of tensors (n,) to the loss of each row, (n,).
        model_selection: which equation of the front is the default pick.
        random_state: seed; None for a fresh one.
        verbosity: 0 for silence.
        progress: whether to show a progress bar.
        batching, batch_size: search on batches of rows.
        select_k_features: search on the k most relevant inputs only.
        guesses: equations to start from, as text.
        extra: what only some engines know, PySR's other parameters among it; an engine that does not know one
            refuses it.
        given: the parameters as the user gave them, defaults filled in.
    """

    binary_operators: tuple[str, ...] = ("+", "*")
    unary_operators: tuple[str, ...] = ("inv(x) = 1/x", "sin", "exp")
    extra_sympy_mappings: Mapping[str, Callable[..., Any]] | None = None
    maxsize: int = 30
    maxdepth: int | None = None
    constraints: Mapping[str, int | tuple[int, ...]] = field(default_factory=dict)
    nested_constraints: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    complexity_of_operators: Mapping[str, float] = field(default_factory=dict)
    complexity_of_constants: float = 1
    complexity_of_variables: float | tuple[float, ...] = 1
    niterations: int = 400
    timeout_in_seconds: float | None = None
    early_stop_condition: float | str | None = None
    parsimony: float = 0.0
    elementwise_loss: str | Callable[[Any, Any], Any] | None = None
    model_selection: str = "law"
    random_state: int | None = None
    verbosity: int = 1
    progress: bool = True
    batching: bool | str = "auto"
    batch_size: int | None = None
    select_k_features: int | None = None
    guesses: tuple[Any, ...] | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    given: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @classmethod
    def from_params(cls, params: Mapping[str, Any] | None = None, known: Collection[str] = ()) -> SearchOptions:
        """Options from a dict under PySR's names, the defaults filled in, everything checked.

        >>> SearchOptions.from_params({"binary_operators": ["+", "-"], "maxsize": 12}).maxsize
        12

        Args:
            params: the options that are not to be the default.
            known: names of an engine's own, beside the fields of this class and PySR's (``Engine.parameters``).

        Raises:
            OptionError: names the key, what came and what is accepted.
        """
        if params is not None and not isinstance(params, Mapping):
            raise OptionError(f"sr_params is a {type(params).__name__}; expected a dict, as {{'niterations': 40}}.")
        user = _by_new_names(params or {})
        if "complexity_of_operators" not in user:
            # The default's complexities speak of the default's operators.
            named = {
                operator_name(spec)
                for key in ("binary_operators", "unary_operators")
                for spec in _specs(key, user.get(key, DEFAULT_SR_PARAMS[key]))
            }
            default = {k: v for k, v in DEFAULT_SR_PARAMS["complexity_of_operators"].items() if k in named}
            user["complexity_of_operators"] = default
        merged = {**DEFAULT_SR_PARAMS, **user}
        own = {f.name for f in fields(cls)} - {"extra", "given"}
        names = {*own, *_DECLARED, *known}
        for key in merged:
            if key not in names:
                near = difflib.get_close_matches(str(key), sorted(names), n=1)
                hint = f"Did you mean {near[0]!r}?" if near else "The names are PySR's."
                raise OptionError(f"search option {key!r} is not known. {hint}")
        checked = {key: _CHECKS[key](key, value) for key, value in merged.items() if key in own}
        extra = {key: value for key, value in merged.items() if key not in own}
        options = cls(**checked, extra=extra, given=merged)
        _ = options.operators  # raises for operators that are not known
        for key in _BY_OPERATOR:
            kept = options._of_searched(key, getattr(options, key))
            if kept != getattr(options, key):
                options = replace(options, **{key: kept}, given={**options.given, key: kept})  # type: ignore[arg-type]
        for name, limit in options.constraints.items():
            arity = options.operators[name].arity
            if isinstance(limit, tuple) and len(limit) != arity:
                raise OptionError(f"constraints[{name!r}] has {len(limit)} limits; {name!r} takes {arity} argument(s).")
        return options

    @classmethod
    def counting(cls, given: Mapping[str, Any]) -> SearchOptions:
        """Options that count complexity as these parameters say, whatever else they say; the defaults for none."""
        if not given:
            return cls.from_params()
        return cls(**{key: _CHECKS[key](key, given[key]) for key in _COUNTED if key in given})

    def _of_searched(self, key: str, mapping: Mapping[str, Any], where: str = "") -> dict[str, Any]:
        """What an option says of the operators that are searched; of the others it may speak, to no effect.

        Raises:
            OptionError: it speaks of an operator that nobody knows.
        """
        kept: dict[str, Any] = {}
        for name, value in mapping.items():
            if name in self.operators:
                inner = isinstance(value, Mapping)
                kept[name] = self._of_searched(key, value, f"[{name!r}]") if inner else value
            elif name in OPERATORS or name in ALIASES:
                logger.info("%s%s: %r is left out, which is not among the operators searched", key, where, name)
            else:
                raise OptionError(
                    f"{key}{where} speaks of {name!r}, which is no operator; searched are {listed(self.operators)}."
                )
        return kept

    @cached_property
    def operators(self) -> dict[str, Operator]:
        """The operators that may be used, by name."""
        found = [operator(spec, 2, self.extra_sympy_mappings) for spec in self.binary_operators]
        found += [operator(spec, 1, self.extra_sympy_mappings) for spec in self.unary_operators]
        return {op.name: op for op in found}

    @property
    def squared_error(self) -> bool:
        """Whether the loss is the squared error."""
        loss = self.elementwise_loss
        named = loss is None or (isinstance(loss, str) and loss.startswith("L2DistLoss"))
        return named and not _OTHER_LOSSES & {*self.extra}

    def for_inputs(self, columns: Sequence[int], n_inputs: int) -> SearchOptions:
        """The same search space over these columns only, of so many inputs, numbered anew."""
        costs = self.complexity_of_variables
        if not isinstance(costs, tuple):
            return self
        if len(costs) != n_inputs:
            raise OptionError(f"complexity_of_variables has {len(costs)} numbers for {n_inputs} inputs.")
        return replace(self, complexity_of_variables=tuple(costs[i] for i in columns))

    def complexity(self, expr: Expr) -> int:
        """Complexity of a tree as PySR counts it: what its nodes add, rounded once."""
        constant, variable, operators = (
            self.complexity_of_constants,
            self.complexity_of_variables,
            self.complexity_of_operators,
        )
        if isinstance(variable, tuple):
            return round(sum(self.complexity_of(node) for node in walk(expr)))
        total: float = 0
        for node in walk(expr):  # a line through many inputs has hundreds of nodes
            if isinstance(node, Call):
                total += operators.get(node.op.name, 1)
            else:
                total += constant if isinstance(node, Constant) else variable
        return round(total)

    def complexity_of(self, node: Expr) -> float:
        """What this one node adds to the complexity."""
        if isinstance(node, Constant):
            return self.complexity_of_constants
        if isinstance(node, Variable):
            per_variable = self.complexity_of_variables
            return per_variable[node.index] if isinstance(per_variable, tuple) else per_variable
        assert isinstance(node, Call)
        return self.complexity_of_operators.get(node.op.name, 1)

    def violation(self, expr: Expr) -> str | None:
        """Which rule of the search space the tree breaks, or None if it keeps them all."""
        complexity = self.complexity(expr)
        if complexity > self.maxsize:
            return f"complexity {complexity} is over maxsize {self.maxsize}"
        if self.maxdepth is not None and depth(expr) > self.maxdepth:
            return f"depth {depth(expr)} is over maxdepth {self.maxdepth}"
        for node in walk(expr):
            if not isinstance(node, Call):
                continue
            name = node.op.name
            if self.operators.get(name) != node.op:
                return f"operator {name!r} is not among the allowed ones"
            limits = self.constraints.get(name, -1)
            per_argument = limits if isinstance(limits, tuple) else (limits,) * node.op.arity
            for limit, arg in zip(per_argument, node.args, strict=True):
                if limit >= 0 and self.complexity(arg) > limit:
                    return f"an argument of {name!r} is over its constraint {limit}"
            for inner, most in self.nested_constraints.get(name, {}).items():
                if max(_nesting(arg, inner) for arg in node.args) > most:
                    return f"{inner!r} is nested in {name!r} more than {most} times"
        return None


_BY_OPERATOR = ("constraints", "nested_constraints", "complexity_of_operators")
_COUNTED = ("complexity_of_operators", "complexity_of_constants", "complexity_of_variables")

OLD_NAMES = {
    "loss": "elementwise_loss",
    "full_objective": "loss_function",
    "npop": "population_size",
    "ncyclesperiteration": "ncycles_per_iteration",
    "batchSize": "batch_size",
    "fractionReplaced": "fraction_replaced",
    "fractionReplacedHof": "fraction_replaced_hof",
    "hofMigration": "hof_migration",
    "shouldOptimizeConstants": "should_optimize_constants",
    "weightAddNode": "weight_add_node",
    "weightDeleteNode": "weight_delete_node",
    "weightDoNothing": "weight_do_nothing",
    "weightInsertNode": "weight_insert_node",
    "weightMutateConstant": "weight_mutate_constant",
    "weightMutateOperator": "weight_mutate_operator",
    "weightSwapOperands": "weight_swap_operands",
    "weightRandomize": "weight_randomize",
    "weightSimplify": "weight_simplify",
    "crossoverProbability": "crossover_probability",
    "perturbationFactor": "perturbation_factor",
    "warmupMaxsizeBy": "warmup_maxsize_by",
    "useFrequency": "use_frequency",
    "useFrequencyInTournament": "use_frequency_in_tournament",
}
"""PySR's earlier names of its parameters (its manual, deprecated keyword arguments), and what they are called now."""


def _by_new_names(params: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters under PySR's present names, each translation with a line in the log.

    Raises:
        OptionError: a parameter came under both names.
    """
    new: dict[str, Any] = {}
    for key, value in params.items():
        names: dict[str, Any] = {OLD_NAMES[key]: value} if key in OLD_NAMES else {key: value}
        if key == "equation_file":  # the table of the run, which is in a folder of the run's own now
            names = {} if value is None else _run_of(key, value)
        for name, meant in names.items():
            if name in new or (name != key and name in params):
                raise OptionError(f"search options {key!r} and {name!r} are two names of one; give one of them.")
            new[name] = meant
        if list(names) != [key]:
            logger.info("search option %r is called %s now", key, " and ".join(names) or "nothing")
    return new


def _run_of(key: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, (str, PurePath)):
        raise _fail(key, value, "the path of a file; output_directory and run_id say now where a run is kept")
    path = PurePath(value)
    return {"output_directory": str(path.parent), "run_id": path.stem}


def _nesting(expr: Expr, name: str) -> int:
    """How often the operator occurs on the way from the root to a leaf, at most."""
    here = isinstance(expr, Call) and expr.op.name == name
    return here + max((_nesting(child, name) for child in expr.children), default=0)


def operator_name(spec: str) -> str:
    """``"inv"`` of ``"inv(x) = 1/x"``; a plain name is its own."""
    return spec.split("(", 1)[0].strip().removeprefix("function ").strip() if "(" in spec else spec.strip()


# ---- checks: (key, value) -> the value as the dataclass keeps it, or an OptionError


def _fail(key: str, value: Any, expected: str) -> OptionError:
    return OptionError(f"search option {key!r} is {value!r}; expected {expected}.")


def _specs(key: str, value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, Sequence) or not all(isinstance(v, str) for v in value):
        raise _fail(key, value, "a list of operator names or definitions")
    return tuple(value)


def _number(kind: type, low: float, expected: str, optional: bool = False) -> Callable[[str, Any], Any]:
    def check(key: str, value: Any) -> Any:
        if value is None and optional:
            return None
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if hasattr(value, "item") and not isinstance(value, bool):  # NumPy scalars
            value, number = value.item(), True
        if not number or (kind is int and value != int(value)) or not value >= low:
            raise _fail(key, value, expected)
        return kind(value)

    return check


def _positive(key: str, value: Any, expected: str) -> float | None:
    number = _number(float, 0, expected, optional=True)(key, value)
    if number == 0:
        raise _fail(key, value, expected)
    return number


def _mapping(what: str, check_value: Callable[[str, Any], Any]) -> Callable[[str, Any], Any]:
    def check(key: str, value: Any) -> Any:
        if value is None:
            return {}
        if not isinstance(value, Mapping):
            raise _fail(key, value, f"a dict of {what}")
        return {operator_name(str(k)): check_value(f"{key}[{k!r}]", v) for k, v in value.items()}

    return check


def _limit(key: str, value: Any) -> int | tuple[int, ...]:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return tuple(_integer_limit(key, v) for v in value)
    return _integer_limit(key, value)


def _per_variable(key: str, value: Any) -> float | tuple[float, ...]:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return tuple(_complexity(key, v) for v in value)
    return 1 if value is None else _complexity(key, value)


def _instance(kinds: type | tuple[type, ...], expected: str) -> Callable[[str, Any], Any]:
    def check(key: str, value: Any) -> Any:
        if value is not None and not isinstance(value, kinds):
            raise _fail(key, value, expected)
        return value

    return check


def _selection(key: str, value: Any) -> str:
    if value not in MODEL_SELECTIONS:
        raise _fail(key, value, f"one of {', '.join(map(repr, MODEL_SELECTIONS))}")
    return value


def _flag(key: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise _fail(key, value, "True or False")
    return value


def _batching(key: str, value: Any) -> bool | str:
    if value == "auto":
        return "auto"
    if not isinstance(value, bool):
        raise _fail(key, value, "True, False or 'auto'")
    return value


def _loss(key: str, value: Any) -> Any:
    if value is not None and not isinstance(value, str) and not callable(value):
        raise _fail(key, value, "the name or the Julia text of a loss, a function (prediction, target), or None")
    return value


def _guesses(key: str, value: Any) -> tuple[Any, ...] | None:
    if value is None:
        return None
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise _fail(key, value, "a list of equations as text, or one such list per output")
    return tuple(value)


_complexity = _number(float, 0, "a number of at least 0")
_integer_limit = _number(int, -1, "an integer, -1 for no limit")
_CHECKS: dict[str, Callable[[str, Any], Any]] = {
    "binary_operators": _specs,
    "unary_operators": _specs,
    "extra_sympy_mappings": _instance(Mapping, "a dict of SymPy functions by operator name"),
    "maxsize": _number(int, 1, "an integer of at least 1"),
    "maxdepth": _number(int, 1, "an integer of at least 1, or None", optional=True),
    "constraints": _mapping("limits by operator", _limit),
    "nested_constraints": _mapping("dicts by operator", _mapping("counts by operator", _number(int, 0, "a count"))),
    "complexity_of_operators": _mapping("numbers by operator", _complexity),
    "complexity_of_constants": lambda key, value: 1 if value is None else _complexity(key, value),
    "complexity_of_variables": _per_variable,
    "niterations": _number(int, 1, "an integer of at least 1"),
    "timeout_in_seconds": lambda key, value: _positive(key, value, "seconds, more than 0, or None for no limit"),
    "early_stop_condition": _instance((int, float, str), "a loss to stop at, or None"),
    "parsimony": _number(float, 0, "a number of at least 0"),
    "elementwise_loss": _loss,
    "model_selection": _selection,
    "random_state": _number(int, 0, "a seed: an integer of at least 0, or None", optional=True),
    "verbosity": _number(int, 0, "an integer of at least 0"),
    "progress": _flag,
    "batching": _batching,
    "batch_size": _number(int, 1, "an integer of at least 1, or None", optional=True),
    "select_k_features": _number(int, 1, "an integer of at least 1, or None", optional=True),
    "guesses": _guesses,
}
