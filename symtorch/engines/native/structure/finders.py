"""All that a function is tested for. A new identity is one file with its test and its step, and one entry here."""

from __future__ import annotations

from symtorch.engines.native.forms.choices import Choices
from symtorch.engines.native.forms.vocabulary import Vocabulary
from symtorch.engines.native.structure.expansions import expansion_finder
from symtorch.engines.native.structure.half_merges import find_half_merges
from symtorch.engines.native.structure.merges import find_divided_merges, find_merges
from symtorch.engines.native.structure.never_meet import find_never_meeting
from symtorch.engines.native.structure.quadrics import find_quadrics
from symtorch.engines.native.structure.quotients import quotient_finder
from symtorch.engines.native.structure.rank_two import find_rank_twos
from symtorch.engines.native.structure.scalings import find_rescalings
from symtorch.engines.native.structure.separations import judge_pairs, separations
from symtorch.engines.native.structure.steps import Finder
from symtorch.engines.native.structure.switches import switch_finder

FINDERS = (
    Finder(find_merges),
    Finder(find_divided_merges),
    Finder(find_rescalings),
    Finder(judge_pairs, separations),
    Finder(find_never_meeting, last=True),
    Finder(find_rank_twos, common=True, last=True),
    Finder(find_quadrics, outright=True),
    Finder(find_half_merges, outright=True),
)
"""In the order in which they are tested; of steps that are equally credible the first is followed first."""


def finders_for(words: Vocabulary) -> tuple[Finder, ...]:
    """All finders whose steps can be written: borders are looked for where there are steps or kinks to write them."""
    choices = Choices(words)
    finders = (*FINDERS, quotient_finder(words), expansion_finder(words))
    return (*finders, switch_finder(choices)) if choices.kinks else finders
