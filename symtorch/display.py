"""How a SymbolicModel and its equations look: in a terminal, in a notebook, while a search runs."""

from __future__ import annotations

import html
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tqdm.auto import tqdm

from symtorch.engines.base import Progress, ProgressCallback

if TYPE_CHECKING:
    from symtorch.equations.front import Equation


def figures(eq: Equation) -> str:
    """``complexity 9, loss 1.2e-06, held-out R² 0.99998``"""
    r2 = "" if eq.r2 is None else f", held-out R² {eq.r2:.6g}"
    return f"complexity {eq.complexity}, loss {eq.loss:.3g}{r2}"


def text_lines(equations: Mapping[int, Equation]) -> list[str]:
    """One line per output: the equation and its figures."""
    return [f"y{i} = {eq}    [{figures(eq)}]" for i, eq in equations.items()]


def latex(equations: Mapping[int, Equation]) -> str:
    """The equations as one aligned LaTeX display."""
    rows = r" \\ ".join(f"y_{{{i}}} &= {eq.latex()}" for i, eq in equations.items())
    return rf"$$\begin{{aligned}} {rows} \end{{aligned}}$$"


def html_table(title: str, equations: Mapping[int, Equation]) -> str:
    """The equations as an HTML table with their complexity, loss and held-out R²."""
    head = "".join(f"<th>{name}</th>" for name in ("output", "equation", "complexity", "loss", "held-out R²"))
    rows = []
    for i, eq in equations.items():
        r2 = "" if eq.r2 is None else f"{eq.r2:.6g}"
        cells = (f"y{i}", f"${html.escape(eq.latex())}$", str(eq.complexity), f"{eq.loss:.3g}", r2)
        rows.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    body = "".join(rows)
    return f"<div><b>{html.escape(title)}</b><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"


@contextmanager
def progress_bar(title: str, show: bool) -> Iterator[ProgressCallback]:
    """A bar that follows a search stage by stage; silent if it is not wanted or nobody watches."""
    watched = show and (sys.stderr.isatty() or "ipykernel" in sys.modules)
    bar = tqdm(total=1, desc=title, disable=not watched, leave=False)

    def report(event: Progress) -> None:
        bar.total = event.total
        bar.n = min(event.done, event.total)
        known = [loss for loss in event.losses if loss == loss]
        worst = f", 1-R² {max(known):.1e}" if known else ""
        bar.set_postfix_str(f"{event.stage}{worst}")

    try:
        yield report
    finally:
        bar.close()
