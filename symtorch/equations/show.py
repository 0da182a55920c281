"""How equations and fronts look: a line or a table of text, HTML in a notebook, a figure.

What is shown fits on a screen, however many equations there are and however long they are; what was
left out is counted. The figures need matplotlib: ``pip install 'torch-symbolic[plot]'``.
"""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from symtorch.equations.expr import Expr, size
from symtorch.equations.latex import latex
from symtorch.equations.mathml import mathml
from symtorch.errors import InputError

WIDTH = 100
"""Characters of an equation in a line."""

ROWS = 20
"""Rows of a table on a screen."""

SUMMARISED = 5
"""Outputs that stand for all of them, where there are too many for a screen."""

_WORDS = ("equation", "input", "way")
"""Columns of text; the others are of figures."""

LARGEST_FORMULA = 120
"""Nodes up to which an equation is typeset; longer ones are cut text, since nobody reads them as formulas."""

LARGEST_ALONE = 400
"""The same for an equation that is shown by itself, over the whole width."""


class Equation(Protocol):
    """What is read of a :class:`symtorch.equations.Equation`."""

    @property
    def expr(self) -> Expr: ...
    @property
    def complexity(self) -> int: ...
    @property
    def loss(self) -> float: ...
    @property
    def r2(self) -> float | None: ...
    @property
    def variable_names(self) -> tuple[str, ...]: ...
    def latex(self) -> str: ...


class Law(Equation, Protocol):
    """The same, and what is read of one that is compared with others."""

    @property
    def variable_names(self) -> tuple[str, ...]: ...
    def predict(self, X: np.ndarray) -> np.ndarray: ...


class Front(Protocol):
    """What is read of a :class:`symtorch.equations.Front`."""

    @property
    def best_index(self) -> int: ...
    @property
    def summary(self) -> str: ...
    @property
    def seconds(self) -> float: ...
    @property
    def history(self) -> Sequence[tuple[float, float]]: ...
    def __len__(self) -> int: ...
    def __getitem__(self, index: int) -> Equation: ...


def shortened(text: str, width: int = WIDTH) -> str:
    """The text, its end left out where it is too long for a line."""
    return text if len(text) <= width else text[: width - 2] + " …"


def figures(eq: Equation) -> str:
    """``complexity 9, loss 1.2e-06, held-out R² 0.99998``"""
    loss = f", loss {eq.loss:.3g}" if math.isfinite(eq.loss) else ""
    r2 = "" if eq.r2 is None else f", held-out R² {eq.r2:.6g}"
    return f"complexity {eq.complexity}{loss}{r2}"


def window(n: int, around: int, most: int = ROWS) -> range:
    """Which of n rows are shown: all, or ``most`` of them that end well after one of them."""
    first = min(max(0, around - most // 2), max(0, n - most))
    return range(first, min(n, first + most))


# ---- text


def front_table(front: Front, most: int | None = None) -> str:
    """The front as a table, the pick marked, and how it was found.

    Args:
        most: rows, around the pick; None for all, with the equations in full.
    """
    shown = range(len(front)) if most is None else window(len(front), front.best_index, most)
    rows = [f"{'':2}{'complexity':>10}  {'loss':>10}  {'R²':>9}  equation"]
    for i in shown:
        eq = front[i]
        mark = "> " if i == front.best_index else "  "
        r2 = "" if eq.r2 is None else f"{eq.r2:9.6f}"
        text = str(eq) if most is None else shortened(str(eq), WIDTH - 20)
        loss = f"{eq.loss:10.3e}" if math.isfinite(eq.loss) else ""
        rows.append(f"{mark}{eq.complexity:>10}  {loss:>10}  {r2:>9}  {text}")
    if len(shown) < len(front):
        rows.append(f"  … {len(shown)} of {len(front)} equations; print(front) shows all")
    return "\n".join([*rows, front.summary])


def text_lines(equations: Mapping[int, Equation]) -> list[str]:
    """One line per output: the equation and its figures. Of more than a screen of them, a summary."""
    shown = list(equations) if len(equations) <= ROWS else list(equations)[:SUMMARISED]
    lines = [f"y{i} = {shortened(str(equations[i]))}    [{figures(equations[i])}]" for i in shown]
    return lines if len(shown) == len(equations) else [*lines, _rest(equations, len(equations) - len(shown))]


def _rest(equations: Mapping[int, Equation], n: int) -> str:
    """One line on the n equations that aren't shown, and on how good all of them are."""
    complexities = [eq.complexity for eq in equations.values()]
    known = {i: eq.r2 for i, eq in equations.items() if eq.r2 is not None}
    text = f"… and {n} more; complexity {min(complexities)} to {max(complexities)}"
    if known:
        worst = min(known, key=lambda i: known[i])
        text += f", held-out R² {known[worst]:.4g} (y{worst}) to {max(known.values()):.4g}"
    return text


# ---- notebooks


def formula(eq: Equation, largest: int = LARGEST_FORMULA) -> str:
    """The equation in HTML: typeset, or as text where it has more nodes than ``largest``."""
    if size(eq.expr) > largest:
        return f"<code>{html.escape(shortened(str(eq), 3 * WIDTH))}</code>"
    return f'<span style="font-size:1.15em">{mathml(eq.expr, eq.variable_names)}</span>'


def html_table(
    columns: Mapping[str, Callable[[Any], str]], rows: Sequence[Any], title: str = "", note: str = ""
) -> str:
    """Rows as an HTML table, in a notebook or in a page made of one.

    Args:
        columns: heading of each column, and what makes a cell of a row, in HTML. The column "equation"
            gets the width that the others leave.
        rows: what there is a row for.
        title: above the table, in text.
        note: below it, in text.
    """
    # Notebooks lay tables out by their first row; without a width there, formulas are cut to what the
    # heading takes. What is wider than the page can be scrolled.
    wide = "width:70%;min-width:10em;text-align:left;white-space:normal;overflow-wrap:anywhere"
    words, figures = "text-align:left;white-space:normal;overflow-wrap:anywhere", "text-align:right"

    def style(name: str) -> str:
        return wide if name == "equation" else words if name in _WORDS else figures

    head = "".join(f'<th style="{style(name)}">{html.escape(name)}</th>' for name in columns)
    cells = (
        "".join(
            f'<td style="{style(name)}{"" if name in _WORDS else ";white-space:nowrap"}">{cell(row)}</td>'
            for name, cell in columns.items()
        )
        for row in rows
    )
    body = "".join(f"<tr>{row}</tr>" for row in cells)
    width = "100%" if "equation" in columns else "auto"
    layout = f"table-layout:auto;width:{width};margin-left:0"
    table = f'<table style="{layout}"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
    above = f"<b>{html.escape(title)}</b>" if title else ""
    below = f"<small>{html.escape(note)}</small>" if note else ""
    return f'<div style="overflow-x:auto">{above}{table}{below}</div>'


def _figure_columns(equation: Callable[[Any], Equation]) -> dict[str, Callable[[Any], str]]:
    def r2(row: Any) -> str:
        known = equation(row).r2
        return "" if known is None else f"{known:.6g}"

    return {
        "complexity": lambda row: str(equation(row).complexity),
        "loss": lambda row: f"{equation(row).loss:.3g}" if math.isfinite(equation(row).loss) else "",
        "held-out R²": r2,
        "equation": lambda row: formula(equation(row)),
    }


def front_html(front: Front) -> str:
    """The front as an HTML table, the pick marked."""
    columns = {"": lambda i: "<b>&#9656;</b>" if i == front.best_index else "", **_figure_columns(lambda i: front[i])}
    shown = window(len(front), front.best_index)
    left_out = f"{len(shown)} of {len(front)} equations; " if len(shown) < len(front) else ""
    return html_table(columns, shown, note=left_out + front.summary)


def picks_html(equations: Mapping[int, Equation], title: str = "", note: str = "") -> str:
    """One equation per output as an HTML table."""
    columns = {"output": lambda i: f"y{i}", **_figure_columns(lambda i: equations[i])}
    shown = list(equations)[:ROWS]
    left_out = f"{len(shown)} of {len(equations)} outputs" if len(shown) < len(equations) else ""
    return html_table(columns, shown, title, "; ".join(text for text in (left_out, note) if text))


def picks_latex(equations: Mapping[int, Equation]) -> str:
    """The equations as one aligned LaTeX display; of many the first."""
    few = len(equations) <= SUMMARISED  # a form that reads well is looked for, which takes a while
    shown = list(equations.items())[:ROWS]
    rows = [f"y_{{{i}}} &= {eq.latex() if few else latex(eq.expr, eq.variable_names)}" for i, eq in shown]
    rows += [r"&\;\vdots"] if len(equations) > ROWS else []
    body = r" \\ ".join(rows)
    return rf"$$\begin{{aligned}} {body} \end{{aligned}}$$"


# ---- figures


def axes(ax: Any = None, **how: Any) -> Any:
    """The axes to draw on: those given, or new ones, made as matplotlib's ``subplots`` is told.

    Raises:
        ImportError: matplotlib is not installed.
    """
    return _pyplot().subplots(layout="constrained", **how)[1] if ax is None else ax


def _pyplot() -> Any:
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError("plots need matplotlib: pip install 'torch-symbolic[plot]'") from error
    return plt


def panels(n: int, columns: int = 3) -> np.ndarray:
    """New axes (n,) in a grid."""
    columns = min(n, columns)
    n_rows = -(-n // columns)
    _, grid = _pyplot().subplots(
        n_rows, columns, layout="constrained", squeeze=False, figsize=(4 * columns, 3 * n_rows)
    )
    for spare in grid.ravel()[n:]:
        spare.remove()
    return grid.ravel()[:n]


def plot_front(front: Front, ax: Any = None) -> Any:
    """Loss by complexity, the pick marked and named; a loss of 0 is drawn at the lower edge.

    A loss that is not known is drawn at the height of the largest.

    Args:
        ax: axes to draw on; None for new ones.

    Returns:
        the axes.
    """
    ax = axes(ax)
    equations = [front[i] for i in range(len(front))]
    complexities, losses = [eq.complexity for eq in equations], np.array([eq.loss for eq in equations])
    positive = losses[(losses > 0.0) & np.isfinite(losses)]
    lowest = _lowest(positive)
    known = losses[np.isfinite(losses)]
    heights = np.where(losses == 0.0, lowest, losses)
    heights = np.where(np.isfinite(losses), heights, known.max(initial=lowest))
    # Between two equations the simpler one is the best that there is.
    ax.step(complexities, heights, where="post", color="#2166ac", linewidth=1.0, zorder=1)
    ax.scatter(complexities, heights, color="#2166ac", s=20, zorder=2)
    best = front.best_index
    label = shortened(str(equations[best]), 60)
    ax.scatter([complexities[best]], [heights[best]], color="#b2182b", s=80, marker="*", zorder=3, label=label)
    if (losses >= 0.0).all():
        ax.set_yscale("log")
    ax.set_xlabel("complexity")
    ax.set_ylabel("loss")
    ax.legend()
    return ax


def _lowest(positive: np.ndarray) -> float:
    """Where on a logarithmic axis a loss of 0 is drawn, below the others."""
    return float(0.1 * positive.min()) if len(positive) else 1e-16


def plot_growth(front: Front, ax: Any = None) -> Any:
    """The best loss over the seconds of a search, as a share of the variance; 0 is drawn at the lower edge.

    Args:
        front: one that was searched for, with its ``history``.
        ax: axes to draw on; None for new ones.

    Returns:
        the axes.

    Raises:
        InputError: the front has no history.
    """
    if not front.history:
        raise InputError(
            "this front has no history: it was not searched for, its output is constant, or its engine tells nothing "
            "while it searches."
        )
    ax = axes(ax)
    seconds, losses = np.array(front.history).T
    heights = np.where(losses > 0.0, losses, _lowest(losses[losses > 0.0]))
    # Until the next report the best is what it was; the last one holds until the end.
    end = max(front.seconds, float(seconds[-1]))
    ax.step([*seconds, end], [*heights, heights[-1]], where="post", color="#2166ac", linewidth=1.0, zorder=1)
    ax.scatter(seconds, heights, color="#2166ac", s=20, zorder=2)
    ax.set_yscale("log")
    ax.set_xlabel("seconds")
    ax.set_ylabel("1 - R² of the best equation")
    return ax
