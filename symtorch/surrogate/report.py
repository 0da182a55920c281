"""What ways of replacing a wide block cost, and how much of its outputs they explain."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import nn

from symtorch.capture.gradients import Felt
from symtorch.equations.expr import Call, Constant, Expr, evaluate, walk
from symtorch.equations.show import html_table
from symtorch.errors import InputError
from symtorch.surrogate.encodings.projected import Projected
from symtorch.surrogate.regression import LinearMap

_RANKS = (8, 16, 32, 64, 128, 256)

_CLEARLY = 2.0
"""Standard errors by which one way must be better than another to be called so."""


@dataclass(frozen=True)
class Way:
    """One way of replacing a block.

    Attributes:
        name: of the way.
        macs: multiplications (with the addition that follows) per row, and operations of equations.
        parameters: numbers that are kept.
        r2: share of the outputs' variance, summed over outputs, that it explains on the rows judged by.
        predicted_kl: divergence of the model's answers from the original's, in nats per row (token), were this block
            alone replaced; None where the model was not given.
    """

    name: str
    macs: int
    parameters: int
    r2: float
    predicted_kl: float | None = None


@dataclass(frozen=True, repr=False)
class Report:
    """Ways of replacing a block, side by side.

    Attributes:
        block_name: of the block.
        n_fitted: rows that the linear maps were fitted to.
        n_judged: rows that R² is of.
        held_out: whether those are others than the fitted ones.
        block: its own multiplications and parameters; R² 1 by definition. None where these can't be counted.
        mean: the outputs' mean.
        linear: linear maps of several ranks.
        terms: the linear part with the gated terms alone; None without both terms and equations that are searched.
        projection: what stands in the block's place after ``switch_to_symbolic()``.
        rival: the linear map at the projection's cost, or of full rank where that is cheaper.
        gain: what the projection's R² is above the rival's.
        gain_error: standard error of that, over the rows judged by.
        kl_gain: what the projection's predicted divergence is below the rival's; None where the model was not given.
        kl_gain_error: standard error of that.
    """

    block_name: str
    n_fitted: int
    n_judged: int
    held_out: bool
    block: Way | None
    mean: Way
    linear: tuple[Way, ...]
    terms: Way | None
    projection: Way
    rival: Way
    gain: float
    gain_error: float
    kl_gain: float | None = None
    kl_gain_error: float | None = None

    @property
    def verdict(self) -> str:
        """Which is better at equal cost: "projection", "linear", or "equal" within the error.

        By the predicted divergence, where the model was given, else by R².
        """
        gain, error = self.gain, self.gain_error
        if self.kl_gain is not None and self.kl_gain_error is not None:
            gain, error = self.kl_gain, self.kl_gain_error
        if abs(gain) <= _CLEARLY * error:
            return "equal"
        return "projection" if gain > 0 else "linear"

    @property
    def advice(self) -> str:
        """The verdict in words."""
        mine, rival = self.projection, self.rival
        figures = f"R² {mine.r2:.4f} against {rival.r2:.4f}, difference ± {self.gain_error:.4f}"
        better = "explain more than"
        if mine.predicted_kl is not None and rival.predicted_kl is not None:
            better = "cost the model's answers less than"
            figures = (
                f"predicted KL {mine.predicted_kl:.4f} against {rival.predicted_kl:.4f} nats, difference "
                f"± {self.kl_gain_error:.4f}; {figures}"
            )
        match self.verdict:
            case "projection":
                return f"the equations {better} the linear map of equal cost ({figures})"
            case "linear":
                return (
                    f"the plain linear map of equal cost is better ({figures}): distill(..., "
                    f"projection=Projection(outputs=0), skip=...)"
                )
        return f"no difference to the linear map of equal cost ({figures})"

    @property
    def ways(self) -> tuple[Way, ...]:
        """What is compared, the block itself last where its cost is known."""
        return tuple(way for way in (self.mean, *self.linear, self.terms, self.projection, self.block) if way)

    def __str__(self) -> str:
        columns = list(self._columns)
        lines = [[_COLUMNS[name](way) for name in columns] for way in self.ways]
        widths = [max(len(line[k]) for line in (columns, *lines)) for k in range(len(columns))]
        columns[0] = ""

        def joined(cells: Sequence[str]) -> str:
            aligned = (cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True))
            return "  ".join([cells[0].ljust(widths[0]), *aligned])

        return "\n".join([self._title, joined(columns), *map(joined, lines), f"At equal cost {self.advice}."])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        columns = {name: lambda way, cell=_COLUMNS[name]: html.escape(cell(way)) for name in self._columns}
        return html_table(columns, self.ways, self._title, f"At equal cost {self.advice}.")

    @property
    def _columns(self) -> list[str]:
        """Those of the table: the divergence where it is known."""
        return [name for name in _COLUMNS if name != "KL, nats" or self.projection.predicted_kl is not None]

    @property
    def _title(self) -> str:
        judged = f"{self.n_judged} held-out rows" if self.held_out else f"{self.n_judged} rows, which are fitted to"
        return f"{self.block_name}: fitted to {self.n_fitted} rows, judged on {judged}"


_COLUMNS: dict[str, Callable[[Way], str]] = {
    "way": lambda way: way.name,
    "MACs": lambda way: f"{way.macs:,}",
    "parameters": lambda way: f"{way.parameters:,}",
    "R²": lambda way: f"{way.r2:.4f}",
    "KL, nats": lambda way: "" if way.predicted_kl is None else f"{way.predicted_kl:.5f}",
}


@dataclass(frozen=True)
class _Candidate:
    """A way before it is judged: what it is called, costs, and answers (n, n_inputs) -> (n, n_outputs)."""

    name: str
    cost: tuple[int, int]
    answer: Callable[[np.ndarray], np.ndarray]


def report(
    block_name: str,
    block: Any,
    linear: LinearMap,
    encoding: Projected,
    laws: Mapping[int, Expr],
    n_fitted: int,
    rows: tuple[np.ndarray, np.ndarray],
    held_out: bool,
    felt: Iterable[Felt] | None = None,
) -> Report:
    """Compare the projection with the mean and with linear maps.

    Args:
        block_name: of the block.
        block: the block itself.
        linear: the best linear maps of all ranks.
        encoding: the projection.
        laws: {searched output: the equation that is used}.
        n_fitted: rows that the moments are of.
        rows: inputs (n, n_inputs) and outputs (n, n_outputs) to judge by.
        held_out: whether those were held out.
        felt: rows with gradients, to predict divergences by; None for none.
    """
    x, y = rows
    deviation = ((y - y.mean(axis=0)) ** 2).sum(axis=1)
    total = float(deviation.mean())
    n_terms, n_laws = encoding.n_terms, len(laws)
    cost = projection_cost(encoding, laws)
    mean, mine = _mean(linear), _Candidate("projection", cost, _answering(encoding, laws))
    maps = [_linear(linear, rank) for rank in _ranks(linear.rank)]
    rival = _linear(linear, equal_rank(linear, cost[0]))
    candidates = [mean, *maps, mine, rival]
    if n_terms and n_laws > n_terms:
        terms = {i: laws[i] if i >= n_laws - n_terms else Constant(0.0) for i in laws}
        name = f"{n_terms} gated terms, rank {len(encoding.linear)}"
        candidates.append(_Candidate(name, _cost_of_terms(encoding), _answering(encoding, terms)))
    errors: list[np.ndarray] = [((y - c.answer(x)) ** 2).sum(axis=1) for c in candidates]
    divergences = _divergences(candidates, encoding, felt)

    def judged(k: int) -> Way:
        r2 = 1.0 - float(errors[k].mean()) / total if total else float("nan")
        kl = None if divergences is None else float(divergences[k].mean())
        return Way(candidates[k].name, *candidates[k].cost, r2, kl)

    at_mine, at_rival = 1 + len(maps), 2 + len(maps)
    gained = (errors[at_rival] - errors[at_mine]) / total if total else np.zeros(len(x))
    found = Report(
        block_name,
        n_fitted,
        len(x),
        held_out,
        _own_cost(block),
        judged(0),
        tuple(judged(1 + k) for k in range(len(maps))),
        judged(at_rival + 1) if len(candidates) > at_rival + 1 else None,
        judged(at_mine),
        judged(at_rival),
        *_mean_and_error(gained),
    )
    if divergences is None:
        return found
    kl_gain, kl_gain_error = _mean_and_error(divergences[at_rival] - divergences[at_mine])
    return replace(found, kl_gain=kl_gain, kl_gain_error=kl_gain_error)


def _mean(linear: LinearMap) -> _Candidate:
    return _Candidate(
        "mean", (0, len(linear.mean_y)), lambda x: np.broadcast_to(linear.mean_y, (len(x), *linear.mean_y.shape))
    )


def _linear(linear: LinearMap, rank: int) -> _Candidate:
    return _Candidate(f"linear, rank {rank}", linear_cost(linear, rank), lambda x: linear.predict(x, rank))


def _answering(encoding: Projected, laws: Mapping[int, Expr]) -> Callable[[np.ndarray], np.ndarray]:
    """What the projection with these equations says."""

    def answer(x: np.ndarray) -> np.ndarray:
        variables = np.asarray(encoding.encode(x), dtype=np.float64)
        values = np.stack([evaluate(laws[i], variables) for i in sorted(laws)], axis=1) if laws else x[:, :0]
        return np.asarray(encoding.decode(values, x))

    return answer


def _divergences(
    candidates: Sequence[_Candidate], encoding: Projected, felt: Iterable[Felt] | None
) -> list[np.ndarray] | None:
    """Of each way the predicted divergence of every row (n,), but for those that a constant answers for."""
    if felt is None:
        return None
    found: list[list[np.ndarray]] = [[] for _ in candidates]
    for each in felt:
        x = each.x.double().cpu().numpy()
        ordinary = ~encoding.is_massive(x)
        for values, candidate in zip(found, candidates, strict=True):
            answer = torch.from_numpy(np.ascontiguousarray(candidate.answer(x), dtype=np.float64))
            values.append(each.divergence(answer).cpu().numpy()[ordinary])
    if not found[0]:
        raise InputError("the model's answers do not depend on the block; does the model call it on these batches?")
    return [np.concatenate(values) for values in found]


def _mean_and_error(values: np.ndarray) -> tuple[float, float]:
    """Mean and its standard error."""
    n = len(values)
    return float(values.mean()), float(values.std(ddof=1) / np.sqrt(n)) if n > 1 else 0.0


def linear_cost(linear: LinearMap, rank: int) -> tuple[int, int]:
    """Multiplications and parameters of the linear map of a rank, as two factors or as one matrix."""
    n_inputs, n_outputs = len(linear.mean_x), len(linear.mean_y)
    products = min(rank * (n_inputs + n_outputs), n_inputs * n_outputs)
    return products, products + n_outputs


def equal_rank(linear: LinearMap, macs: int) -> int:
    """The highest rank whose linear map costs no more than this; at least 1, as far as there is one."""
    n_inputs, n_outputs = len(linear.mean_x), len(linear.mean_y)
    if macs >= n_inputs * n_outputs:
        return linear.rank
    return min(max(macs // (n_inputs + n_outputs), min(macs, 1)), linear.rank)


def projection_cost(encoding: Projected, laws: Mapping[int, Expr]) -> tuple[int, int]:
    """Multiplications and parameters of a projection with these equations."""
    products = encoding.reduce.size + encoding.linear.size + encoding.lift.size
    nodes = [node for law in laws.values() for node in walk(law)]
    operations = sum(isinstance(node, Call) for node in nodes)
    constants = sum(isinstance(node, Constant) for node in nodes)
    return products + operations, products + encoding.reduce.shape[1] + len(encoding.mean_y) + constants


def _cost_of_terms(encoding: Projected) -> tuple[int, int]:
    """As :func:`projection_cost`, of linear part and terms alone."""
    n_inputs, n_outputs = len(encoding.mean_x), len(encoding.mean_y)
    arguments, rank = (1 + encoding.paired) * encoding.n_terms, len(encoding.linear)
    products = n_inputs * (arguments + rank) + n_outputs * (encoding.n_terms + rank)
    operations = sum(isinstance(node, Call) for term in encoding.terms() for node in walk(term))
    return products + operations, products + arguments + rank + n_outputs


def _own_cost(block: Any) -> Way | None:
    """Of a block whose multiplications are those of its linear layers."""
    if not isinstance(block, nn.Module):
        return None
    macs = sum(m.weight.numel() for m in block.modules() if isinstance(m, nn.Linear))
    return Way("the block", macs, sum(p.numel() for p in block.parameters()), 1.0) if macs else None


def _ranks(most: int) -> Sequence[int]:
    return [*(r for r in _RANKS if r < most), *([most] if most else [])]
