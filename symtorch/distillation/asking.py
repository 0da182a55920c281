"""Whether the block is asked for more than its data, how much, and what is said where it is not."""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from symtorch.capture.rows import Block, Captured, Counted, Teacher, Trial
from symtorch.engines.options import SearchOptions
from symtorch.engines.samples import Asking, Samples
from symtorch.equations.front import Front
from symtorch.equations.verdict import shares
from symtorch.errors import InputError, NotAFunctionWarning
from symtorch.surrogate.encodings import Encoding

logger = logging.getLogger("symtorch")

Ask = bool | int | None
"""True, False, the most rows that may be asked, or None: as long as a call is cheap."""

DEAR = 5e-3
"""Seconds a row from which on nobody is asked unless the user says so. A search asks for some thousand rows to some
ten thousand, so at that price asking takes from half a minute to several minutes."""

_NO_FUNCTION = {
    "random": (
        "gives other answers to the same rows in the same order: it is random, or remembers earlier calls. The "
        "equations can say what it does on average at most"
    ),
    "company": (
        "gives a row another answer in the company of other rows: it mixes samples (attention, a mean over the "
        "batch). An equation of the row alone can say what it does on average at most; wrap a part of the model "
        "that works row by row"
    ),
}
_REASONS = {
    "dear": "a call takes {seconds:.2g} s a row; ask=True asks all the same, ask=1000 at most so many rows",
    "limit": "ask allows too few rows to try it out",
    "otherwise": "called alone it does not answer as it does in the data",
    "refused": "it can't be called with rows alone",
    "arguments": "it has arguments that are no tensors, or not the same in every call",
}


def check_ask(ask: Any) -> None:
    """Raise InputError unless it is something that ``ask`` may be."""
    if not (ask is None or isinstance(ask, bool) or (isinstance(ask, (int, np.integer)) and ask >= 1)):
        raise InputError(
            f"ask is {ask!r}; expected True, False, the number of rows that may be asked (at least 1), or None, "
            f"which asks where a call takes less than {1000 * DEAR:g} ms a row."
        )


def limit_of(ask: Ask) -> int | None:
    """Rows that may be asked; None for any number."""
    return None if ask is None or isinstance(ask, bool) else int(ask)


def tried(captured: Captured, block: Block, ask: Ask) -> Trial:
    """The block as a function of its rows, where it is one and may be asked."""
    if ask is False:
        return Trial(None, "off")
    return captured.trial(block, limit_of(ask), DEAR if ask is None else math.inf)


def limited(encoding: Encoding, find: Callable[[], Trial], ask: Ask) -> tuple[Teacher | None, Asking]:
    """The teacher over an encoding's variables, counted and limited; and what was found out.

    Args:
        find: tries the block out; called only where the encoding has use for it.
        ask: what the user says of asking.
    """
    trials: list[Trial] = []

    def teacher_of_block() -> Teacher | None:
        trials.append(find())
        return trials[-1].teacher

    teacher = encoding.teacher(teacher_of_block)
    trial = trials[-1] if trials else Trial(None)
    limit = limit_of(ask)
    left = None if limit is None else max(0, limit - trial.rows)
    asking = Asking(left, trial.rows, trial.trouble, trial.seconds)
    return None if teacher is None else Counted(teacher, left), asking


def tell(name: str, asking: Asking, stacklevel: int = 2) -> None:
    """Say why the block is not asked: as a warning where it is no function of its rows, else in the log."""
    if asking.trouble in _NO_FUNCTION:
        warnings.warn(f"{name} {_NO_FUNCTION[asking.trouble]}.", NotAFunctionWarning, stacklevel=stacklevel + 1)
    elif asking.trouble in _REASONS:
        reason = _REASONS[asking.trouble].format(seconds=asking.seconds)
        logger.info("%s is not asked beyond its data: %s", name, reason)


def with_evidence(
    fronts: Mapping[int, Front], samples: Samples, held_out: Samples | None, options: SearchOptions
) -> dict[int, Front]:
    """The fronts with what is known without their engine: rows asked, why none were, the outputs' variances.

    Args:
        fronts: by output, those of one search.
        samples: that were searched, with the teacher that was asked.
        held_out: that the equations are judged on.
        options: of the search.
    """
    new = {i: front for i, front in fronts.items() if not _is_known(front)}
    counted = samples.teacher.rows if isinstance(samples.teacher, Counted) else 0
    # What the engine has not told of. Workers ask copies of the teacher, whose rows are not counted here.
    rest = samples.asking.tried + max(0, counted - sum(front.rows_asked for front in new.values()))

    def known(i: int, front: Front, more: int) -> Front:
        evidence = replace(
            front.evidence,
            rows_asked=front.rows_asked + more,
            trouble=samples.asking.trouble,
            variance=samples.variance(i) if options.squared_error else None,
            n_held_out=0 if held_out is None else held_out.n_samples,
        )
        return replace(front, evidence=evidence)

    more = zip(new.items(), shares(rest, len(new)), strict=True)
    return {**fronts, **{i: known(i, front, part) for (i, front), part in more}}


def _is_known(front: Front) -> bool:
    """Whether the front was taken over, as it is, from an earlier request."""
    return front.evidence.n_held_out is not None
