"""Links: what of an answer is a sum over groups of inputs, and how far four answers are from saying so.

With some inputs of a row swapped for those of another row, a function of which i and j act apart
gives four answers f, f_i, f_j, f_ij that obey an identity::

    f^m - f_i^m - f_j^m + f_ij^m = 0              a sum, under the power m (m = 1: a plain sum)
    (f - c)(f_ij - c) - (f_i - c)(f_j - c) = 0     a product with an offset c

The teacher errs, so the left side C is never zero. What says whether the identity holds is
``|C| / |grad C|``, to first order the smallest error of the four answers that would explain it, in units
of the answer: comparable between all identities and with the errors of every other test.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from symtorch.engines.native.structure.problem import Problem, median

TOLD_ON = 200
"""Rows that answers are compared on, to find a telling one or to bring a replica to the first one's size."""


@dataclass(frozen=True)
class Link:
    """What of the answer is a sum over groups of inputs.

    Attributes:
        power: m of ``f^m``; 0 for a product, the limit in which log(f - offset) is a sum.
        offset: c of the product.
    """

    power: float = 1.0
    offset: float = 0.0

    def violation(self, f: np.ndarray, fi: np.ndarray, fj: np.ndarray, fij: np.ndarray) -> np.ndarray:
        """The smallest error of the four answers that would explain what they say; NaN if none is defined."""
        with np.errstate(all="ignore"):
            if self.power == 0:
                f, fi, fj, fij = (v - self.offset for v in (f, fi, fj, fij))
                return (f * fij - fi * fj) / np.sqrt(f * f + fi * fi + fj * fj + fij * fij)
            if self.power == 1:
                return (f - fi - fj + fij) / 2
            answers = np.stack([f, fi, fj, fij])
            if not self.power.is_integer() or self.power % 2 == 0:
                sign = np.sign(median(answers))
                answers = np.where(sign * answers > 0, sign * answers, np.nan)
            g, slope = answers**self.power, self.power * answers ** (self.power - 1)
            return (g[0] - g[1] - g[2] + g[3]) / np.sqrt((slope**2).sum(axis=0))

    def linked(self, answers: np.ndarray, sign: float) -> np.ndarray:
        """The answers on the scale on which they are a sum (for a product: without its offset)."""
        with np.errstate(all="ignore"):
            if self.power == 0:
                return answers - self.offset
            if self.power == 1:
                return answers
            if self.power == -1:
                return 1 / answers
            return np.where(sign * answers > 0, sign * answers, np.nan) ** self.power


def telling(problem: Problem, link: Link, sign: float) -> np.ndarray:
    """A sample at which the linked answer is large (for a product) or middling (for a sum)."""
    linked = np.abs(link.linked(problem.y[:TOLD_ON], sign))
    target = np.nanquantile(linked, 0.8 if link.power == 0 else 0.5)
    return problem.Z[int(np.nanargmin(np.abs(linked - target)))]
