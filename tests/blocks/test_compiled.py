"""A model with surrogates in it goes through torch.compile as one graph, down to machine code."""

from __future__ import annotations

import pytest
import torch
from wide import TinyModel, token_batches

import symtorch
from symtorch import Gated, Projection
from symtorch.codegen.c_compiler import compiler


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")  # inductor's own
@pytest.mark.skipif(compiler() is None, reason="inductor needs a C++ compiler")
def test_the_hybrid_model_is_one_graph_for_inductor() -> None:
    torch.manual_seed(0)
    model, batches = TinyModel(scale=1.0), token_batches(12)
    block = symtorch.wrap(model, "mlps.1")
    block.distill(batches, parent_model=model, projection=Projection(outputs=0), skip=8, terms=Gated(8))
    block.switch_to_symbolic(min_r2=None)
    with torch.no_grad():
        expected = model(**batches[0])
        answer = torch.compile(model, fullgraph=True)(**batches[0])
    torch.testing.assert_close(answer, expected)
    block.switch_to_block()
    with torch.no_grad():
        assert not torch.allclose(model(**batches[0]), expected, atol=1e-3)
