"""The native engine: symtorch's own search, which runs wherever PyTorch runs."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch

from symtorch.engines.base import Progress, ProgressCallback
from symtorch.engines.native.archive import Archive
from symtorch.engines.native.asking import ask_teacher, close_solved
from symtorch.engines.native.fit import Rows, fit
from symtorch.engines.native.losses import Loss, parse_loss
from symtorch.engines.native.normal import normalise
from symtorch.engines.native.search import Budget, FlatSearch
from symtorch.engines.native.vocabulary import Vocabulary
from symtorch.equations.expr import Constant, Expr, Variable, evaluate
from symtorch.equations.front import Equation, Front
from symtorch.equations.parser import parse
from symtorch.errors import OptionError
from symtorch.options import ENGINE_PARAMETERS, SearchOptions
from symtorch.samples import MIN_SAMPLES, Samples

logger = logging.getLogger("symtorch.engines.native")

FULL_BUDGET = 400
"""``niterations`` that stand for the full budget (the library's default)."""

_FULL_ROUNDS = 24
_FIT_ROWS = 4096
_POLISH_ROWS = 65536
_ROWS_AT_ONCE = 65536

# What says how PySR goes about its search. The native engine's way is another one, and none of these
# changes what may be found, so they are accepted and have no effect; every other parameter that only
# PySR knows is refused.
_PYSR_MACHINERY = frozenset(
    """
    populations population_size use_frequency use_frequency_in_tournament adaptive_parsimony_scaling alpha
    annealing ncycles_per_iteration fraction_replaced fraction_replaced_hof fraction_replaced_guesses
    weight_add_node weight_insert_node weight_delete_node weight_do_nothing weight_mutate_constant
    weight_mutate_operator weight_mutate_feature weight_swap_operands weight_rotate_tree weight_randomize
    weight_simplify weight_optimize weight_backsolve crossover_probability skip_mutation_failures migration
    hof_migration topn should_simplify should_optimize_constants optimizer_algorithm optimizer_nrestarts
    optimizer_f_calls_limit optimize_probability optimizer_iterations perturbation_factor
    probability_negate_constant tournament_selection_n tournament_selection_p parallelism procs
    multithreading heap_size_hint_in_bytes worker_timeout fast_cycle turbo bumper precision autodiff_backend
    enable_autodiff deterministic update_verbosity print_precision update temp_equation_file tempdir
    delete_tempfiles output_directory run_id output_jax_format output_torch_format warmup_maxsize_by
    input_stream
    """.split()
)
assert _PYSR_MACHINERY <= ENGINE_PARAMETERS


class NativeEngine:
    """Bank, contexts by matrix product, Levenberg-Marquardt, refinement, cleaning: see :mod:`.search`.

    >>> import numpy as np
    >>> x = np.random.default_rng(0).uniform(1, 3, (200, 2))
    >>> samples = Samples(x, (x[:, :1] * x[:, 1:]) ** 2)
    >>> front = NativeEngine().search(samples, SearchOptions.from_params({"random_state": 0}))[0]
    >>> front.best.complexity, front.stop_reason
    (7, 'exact')
    """

    name = "native"
    takes_guesses = True  # an interrupted search goes on from what it had

    def search(self, samples: Samples, options: SearchOptions, progress: ProgressCallback | None = None) -> list[Front]:
        """One front per output; see :class:`symtorch.engines.base.Engine`.

        Raises:
            OptionError: an option that only another engine can honour; it names both.
        """
        started = time.monotonic()
        loss = check_options(options)
        words = Vocabulary(options)
        guesses = _guesses(samples, options)
        seed = options.random_state if options.random_state is not None else secrets.randbits(32)
        rows = _rows_to_fit(samples, options, seed)
        varying = [k for k in range(samples.n_outputs) if _varies(samples.Y[:, k])]
        goal = float(options.early_stop_condition or 0.0)
        budget = Budget(
            rounds=max(1, round(_FULL_ROUNDS * options.niterations / FULL_BUDGET)),
            goal=goal,
            seconds=options.timeout_in_seconds,
        )
        search: FlatSearch | None = None

        def fronts() -> list[Front]:
            archives: dict[int, Archive] = dict(zip(varying, search.archives if search else [], strict=False))
            reason = search.stop_reason if search else "exact"
            return [
                _front(samples, options, words, loss, k, archives.get(k), reason, time.monotonic() - started)
                for k in range(samples.n_outputs)
            ]

        def report(stage: str, done: int, total: int) -> None:
            if progress is not None and search is not None:
                best = dict(zip(varying, (archive.best for archive in search.archives), strict=True))
                losses = tuple(min(best.get(k, 0.0), 1.0) for k in range(samples.n_outputs))
                progress(Progress(stage, None, done, total, losses, fronts))

        if varying:
            with _one_thread():
                part = samples.take(rows) if len(rows) < samples.n_samples else samples
                search = FlatSearch(
                    part.X, part.Y[:, varying], words, budget, part.weights, loss, seed, _device(), report
                )
                for k, exprs in guesses.items():
                    if k in varying:
                        search.offer(varying.index(k), exprs)
                _run(search, part, varying, options, seed)
                if len(rows) < samples.n_samples:
                    _polish(search.archives, samples, varying, loss, seed)
        return fronts()


def _run(search: FlatSearch, samples: Samples, outputs: list[int], options: SearchOptions, seed: int) -> None:
    """The whole search: structure by asking where there is a teacher, then the flat search."""
    if samples.teacher is not None:
        try:
            found = ask_teacher(search, samples, outputs, options, seed)
            search.sketch()
            close_solved(search, found)
        except KeyboardInterrupt:
            search.stop_reason = "interrupted"
            return
    search.run()


def check_options(options: SearchOptions) -> Loss:
    """The loss that the options ask for; raises OptionError for what this engine can't honour."""
    for name in options.extra:
        if name not in _PYSR_MACHINERY:
            raise OptionError(f'the native engine can\'t honour search option {name!r}; engine="pysr" can.')
    ignored = sorted(options.extra)
    if ignored:
        logger.info("options %s speak of PySR's way of searching and have no effect on the native engine", ignored)
    if isinstance(options.early_stop_condition, str):
        raise OptionError(
            f"early_stop_condition is {options.early_stop_condition!r}; the native engine takes a number. "
            f'engine="pysr" takes a Julia function.'
        )
    return parse_loss(options.elementwise_loss)


def _guesses(samples: Samples, options: SearchOptions) -> dict[int, list[Expr]]:
    given = options.guesses or ()
    per_output = list(given) if given and not isinstance(given[0], str) else [given] * samples.n_outputs
    if len(per_output) != samples.n_outputs:
        raise OptionError(f"guesses has {len(per_output)} lists for {samples.n_outputs} outputs; give one per output.")
    out: dict[int, list[Expr]] = {}
    for k, texts in enumerate(per_output):
        out[k] = [normalise(parse(text, samples.variable_names, options.operators.values())) for text in texts]
    return out


def _rows_to_fit(samples: Samples, options: SearchOptions, seed: int) -> np.ndarray:
    """Rows that the search fits to: all where there are few, else a random part; none of weight 0."""
    limit = _FIT_ROWS
    if options.batching is True:
        limit = max(100, options.batch_size or 1000)
    rows = np.arange(samples.n_samples)
    if samples.weights is not None and np.count_nonzero(samples.weights) >= MIN_SAMPLES:
        rows = rows[samples.weights > 0.0]
    if len(rows) > limit:
        rows = np.sort(np.random.default_rng(seed).choice(rows, limit, replace=False))
    return rows


def _varies(y: np.ndarray) -> bool:
    return float(np.ptp(y)) > 1e-12 * float(np.abs(y).max())


def _device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


@contextmanager
def _one_thread() -> Iterator[None]:
    """The products are small: a second thread costs more than it brings."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _polish(archives: Sequence[Archive], samples: Samples, outputs: list[int], loss: Loss, seed: int) -> None:
    """Refit the fronts on more rows than the search could afford."""
    rng = np.random.default_rng(seed + 1)
    n = samples.n_samples
    rows = np.arange(n) if n <= _POLISH_ROWS else np.sort(rng.choice(n, _POLISH_ROWS, replace=False))
    part = samples.take(rows)
    for archive, k in zip(archives, outputs, strict=True):
        data = Rows.of(part.X, part.Y[:, k], part.weights)
        for complexity, candidate in list(archive.front.items()):
            expr, found = fit(candidate.expr, data, loss, 5)
            tree = archive.words.legal(expr)
            if tree is not None and np.isfinite(found) and archive.words.options.complexity(tree) == complexity:
                archive.front[complexity] = type(candidate)(expr, tree, complexity, found / archive.scale)


def _front(
    samples: Samples,
    options: SearchOptions,
    words: Vocabulary,
    loss: Loss,
    k: int,
    archive: Archive | None,
    reason: str,
    seconds: float,
) -> Front:
    """The archive as a front, each loss computed anew from the tree that is returned, on all rows."""
    trees = [candidate.tree for candidate in archive.pareto()] if archive is not None else []
    y = samples.Y[:, k]
    if archive is None:
        trees = [Constant(float(np.average(y, weights=samples.weights)))]
    trees = [tree for tree in trees if options.violation(tree) is None] or _smallest(samples, options)
    equations = [
        Equation(tree, samples.variable_names, options.complexity(tree), _loss_on_all(tree, samples, y, loss))
        for tree in trees
    ]
    return Front.from_candidates(
        equations,
        model_selection=options.model_selection,
        engine=NativeEngine.name,
        stop_reason="exact" if archive is None or archive.is_exact else reason,
        n_samples=samples.n_samples,
        seconds=seconds,
    )


def _loss_on_all(tree: Expr, samples: Samples, y: np.ndarray, loss: Loss) -> float:
    total, weight = 0.0, 0.0
    for first in range(0, len(y), _ROWS_AT_ONCE):
        part = slice(first, first + _ROWS_AT_ONCE)
        w = np.ones(len(y[part])) if samples.weights is None else samples.weights[part]
        used = w > 0.0
        with np.errstate(all="ignore"):
            losses = loss.value(evaluate(tree, samples.X[part]) - y[part])
        total += float(np.sum(np.where(used, w * losses, 0.0)))
        weight += float(w.sum())
    return total / weight


def _smallest(samples: Samples, options: SearchOptions) -> list[Expr]:
    """The leaves, for when nothing else is allowed."""
    leaves: list[Expr] = [Constant(float(np.mean(samples.Y))), *(Variable(i) for i in range(samples.n_inputs))]
    allowed = [leaf for leaf in leaves if options.violation(leaf) is None]
    if not allowed:
        raise OptionError(
            f"maxsize {options.maxsize} allows no expression at all: a constant has complexity "
            f"{options.complexity_of_constants}, a variable {options.complexity_of_variables}."
        )
    return allowed
