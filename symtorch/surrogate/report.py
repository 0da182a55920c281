"""What ways of replacing a wide block cost, and how much of its outputs they explain."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import nn

from symtorch.equations.expr import Call, Constant, Expr, evaluate, walk
from symtorch.equations.show import html_table
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
    """

    name: str
    macs: int
    parameters: int
    r2: float


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
        projection: what stands in the block's place after ``switch_to_symbolic()``.
        rival: the linear map at the projection's cost, or of full rank where that is cheaper.
        gain: what the projection's R² is above the rival's.
        gain_error: standard error of that, over the rows judged by.
    """

    block_name: str
    n_fitted: int
    n_judged: int
    held_out: bool
    block: Way | None
    mean: Way
    linear: tuple[Way, ...]
    projection: Way
    rival: Way
    gain: float
    gain_error: float

    @property
    def verdict(self) -> str:
        """Which is better at equal cost: "projection", "linear", or "equal" within the error."""
        if abs(self.gain) <= _CLEARLY * self.gain_error:
            return "equal"
        return "projection" if self.gain > 0 else "linear"

    @property
    def advice(self) -> str:
        """The verdict in words."""
        figures = f"R² {self.projection.r2:.4f} against {self.rival.r2:.4f}, difference ± {self.gain_error:.4f}"
        match self.verdict:
            case "projection":
                return f"the equations explain more than the linear map of equal cost ({figures})"
            case "linear":
                return (
                    f"the plain linear map of equal cost is better ({figures}): distill(..., "
                    f"projection=Projection(outputs=0), skip=...)"
                )
        return f"no difference to the linear map of equal cost ({figures})"

    @property
    def ways(self) -> tuple[Way, ...]:
        """What is compared, the block itself last where its cost is known."""
        return (self.mean, *self.linear, self.projection, *([self.block] if self.block else []))

    def __str__(self) -> str:
        width = max(len(way.name) for way in self.ways)
        lines = [
            self._title,
            f"{'':{width}}  {'MACs':>12} {'parameters':>12} {'R²':>8}",
            *(f"{way.name:{width}}  {way.macs:>12,} {way.parameters:>12,} {way.r2:>8.4f}" for way in self.ways),
            f"At equal cost {self.advice}.",
        ]
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        columns: dict[str, Callable[[Any], str]] = {
            "way": lambda way: html.escape(way.name),
            "MACs": lambda way: f"{way.macs:,}",
            "parameters": lambda way: f"{way.parameters:,}",
            "R²": lambda way: f"{way.r2:.4f}",
        }
        return html_table(columns, self.ways, self._title, f"At equal cost {self.advice}.")

    @property
    def _title(self) -> str:
        judged = f"{self.n_judged} held-out rows" if self.held_out else f"{self.n_judged} rows, which are fitted to"
        return f"{self.block_name}: fitted to {self.n_fitted} rows, judged on {judged}"


def report(
    block_name: str,
    block: Any,
    linear: LinearMap,
    encoding: Projected,
    laws: Mapping[int, Expr],
    n_fitted: int,
    rows: tuple[np.ndarray, np.ndarray],
    held_out: bool,
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
    """
    x, y = rows
    deviation = ((y - y.mean(axis=0)) ** 2).sum(axis=1)
    total = float(deviation.mean())

    def error(predicted: np.ndarray) -> np.ndarray:
        squares: np.ndarray = ((y - predicted) ** 2).sum(axis=1)
        return squares

    def r2(errors: np.ndarray) -> float:
        return 1.0 - float(errors.mean()) / total if total else float("nan")

    def linear_way(rank: int) -> Way:
        return Way(f"linear, rank {rank}", *linear_cost(linear, rank), r2(error(linear.predict(x, rank))))

    macs, parameters = projection_cost(encoding, laws)
    variables = np.asarray(encoding.encode(x), dtype=np.float64)
    values = np.stack([evaluate(laws[i], variables) for i in sorted(laws)], axis=1) if laws else x[:, :0]
    errors = error(np.asarray(encoding.decode(values, x)))
    rank = equal_rank(linear, macs)
    gained = (error(linear.predict(x, rank)) - errors) / total if total else np.zeros(len(x))
    return Report(
        block_name,
        n_fitted,
        len(x),
        held_out,
        _own_cost(block),
        Way("mean", 0, len(linear.mean_y), r2(error(np.broadcast_to(linear.mean_y, y.shape)))),
        tuple(linear_way(r) for r in _ranks(linear.rank)),
        Way("projection", macs, parameters, r2(errors)),
        linear_way(rank),
        float(gained.mean()),
        float(gained.std(ddof=1) / np.sqrt(len(x))) if len(x) > 1 else 0.0,
    )


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


def _own_cost(block: Any) -> Way | None:
    """Of a block whose multiplications are those of its linear layers."""
    if not isinstance(block, nn.Module):
        return None
    macs = sum(m.weight.numel() for m in block.modules() if isinstance(m, nn.Linear))
    return Way("the block", macs, sum(p.numel() for p in block.parameters()), 1.0) if macs else None


def _ranks(most: int) -> Sequence[int]:
    return [*(r for r in _RANKS if r < most), *([most] if most else [])]
