"""How a SymbolicModel looks: in a terminal, in a notebook, while a search runs.

Equations and fronts know how they look themselves: :mod:`symtorch.equations.show`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tqdm.auto import tqdm

from symtorch.engines.base import Progress, ProgressCallback
from symtorch.equations.show import figures, picks_html, picks_latex, text_lines

__all__ = ["figures", "picks_html", "picks_latex", "progress_bar", "text_lines"]


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
