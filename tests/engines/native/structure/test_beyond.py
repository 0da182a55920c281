"""Laws that the options can't write are named, with what to allow for them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from symtorch import SymbolicModel
from symtorch.engines.native.structure.beyond import told, with_law_beyond
from symtorch.engines.native.structure.decompose import Laws, find_laws
from symtorch.engines.options import SearchOptions
from symtorch.equations.normal import normalise
from symtorch.equations.parser import parse

NAMES = ["x0", "x1", "x2", "x3"]
NOTHING = Laws([], False, np.inf, 0.0, 0)
FEW = SearchOptions.from_params({"unary_operators": ["sin"], "binary_operators": ["+", "*"]})


def spring(X: np.ndarray) -> np.ndarray:
    u, v = X[:, 0] - X[:, 2], X[:, 1] - X[:, 3]
    return -u * (2 - 2 / np.sqrt(u**2 + v**2 + 1e-12))


def test_a_law_that_lacks_operators_is_told_with_them() -> None:
    X = np.random.default_rng(0).uniform(-2.0, 2.0, (500, 4))
    laws = with_law_beyond(NOTHING, X, spring, FEW)
    assert laws.beyond is not None
    assert laws.rows_asked > 0
    law = told(laws.beyond, NAMES, FEW)
    assert law.endswith(", with -, /, sqrt and square allowed")
    assert "x0 - x2" in law


def test_a_law_that_is_too_long_is_told_with_its_size() -> None:
    X = np.random.default_rng(0).uniform(1.0, 2.0, (300, 3))
    short = SearchOptions.from_params({"unary_operators": ["sin", "exp"], "maxsize": 7})

    def teacher(X: np.ndarray) -> np.ndarray:
        return X[:, 0] * np.sin(3 * X[:, 1]) + np.exp(X[:, 2])

    laws = with_law_beyond(find_laws(X, teacher, short), X, teacher, short)
    assert laws.beyond is not None
    assert told(laws.beyond, NAMES, short).endswith(", with a maxsize of 13")


def test_all_that_stands_in_the_way_is_told() -> None:
    X = np.random.default_rng(0).uniform(1.0, 2.0, (300, 3))

    def teacher(X: np.ndarray) -> np.ndarray:
        return X[:, 0] * np.sin(3 * X[:, 1]) + np.log(X[:, 2])

    short = SearchOptions.from_params({"unary_operators": ["sin"], "binary_operators": ["+", "*"], "maxsize": 7})
    laws = with_law_beyond(find_laws(X, teacher, short), X, teacher, short)
    assert laws.beyond is not None
    assert told(laws.beyond, NAMES, short).endswith(", with log allowed and a maxsize of 11")
    law = parse("x0*sin(sin(x1) + x2)", NAMES)
    nested = {"nested_constraints": {"sin": {"sin": 0}}, "complexity_of_operators": {}}
    options = SearchOptions.from_params({"unary_operators": ["sin"], "maxdepth": 3, **nested})
    assert told(law, NAMES, options).endswith(", with a maxdepth of 5 and looser constraints")
    options = SearchOptions.from_params({"unary_operators": ["sin"], "maxsize": 5, **nested})
    assert told(law, NAMES, options).endswith(", with a maxsize of 7 and looser constraints")


def message(X: np.ndarray) -> np.ndarray:
    """What a network of a difference may have learned of exp(-u)*v: smooth errors, two inputs nearly unused."""
    rng = np.random.default_rng(1)
    seen = np.column_stack([X[:, 0] - X[:, 1], X[:, 2:]])
    hidden = np.tanh(seen @ (rng.normal(size=(4, 30)) * [[3.0], [3.0], [0.1], [0.1]]) + rng.normal(size=30))
    return seen[:, 1] * np.exp(-seen[:, 0]) + 1e-3 * hidden @ rng.normal(size=30)


MESSAGES = np.random.default_rng(0).uniform(0.0, 1.0, (600, 5)) + np.array([1.0, 0.0, 1.0, 0.0, 0.0])


def test_what_two_unused_inputs_do_to_each_other_tells_nothing_of_a_networks_error() -> None:
    laws = find_laws(MESSAGES, message, FEW, flat=lambda *_: [])
    assert laws.floor > 1e-8


def test_an_approximation_gives_way_to_the_law_of_a_rough_network_that_takes_fewer_numbers() -> None:
    options = SearchOptions.from_params({"binary_operators": ["+", "-", "*", "/"], "unary_operators": ["square"]})
    names = ["x0", "x1", "x2", "x3", "x4"]
    near = normalise(parse("x2/(1.1 + 0.9*(x0 - x1) + 0.5*(x0 - x1)*(x0 - x1))", names))
    found = Laws([near], True, 3e-3, 1e-4, 0)
    laws = with_law_beyond(found, MESSAGES, lambda X: X[:, 2] * np.exp(X[:, 1] - X[:, 0]), options)
    assert not laws.solved
    assert laws.beyond is not None
    assert told(laws.beyond, names, options).endswith(", with exp allowed")
    # where steps tell how far a law may be off it stands, and nobody looks further
    sure = replace(found, witnessed=1e-3)
    assert with_law_beyond(sure, MESSAGES, message, options) is sure


def test_nothing_is_told_where_the_law_can_be_written_nor_where_there_is_none() -> None:
    X = np.random.default_rng(0).uniform(-2.0, 2.0, (300, 3))

    def product(X: np.ndarray) -> np.ndarray:
        return X[:, 0] * X[:, 1] + X[:, 2]

    assert with_law_beyond(find_laws(X, product, FEW), X, product, FEW).beyond is None
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(3, 32), torch.nn.Tanh(), torch.nn.Linear(32, 1)).double()

    def lawless(X: np.ndarray) -> np.ndarray:
        return net(torch.as_tensor(X)).detach().numpy()[:, 0]

    assert with_law_beyond(find_laws(X, lawless, FEW, flat=lambda *_: []), X, lawless, FEW).beyond is None


def test_a_law_of_rounded_answers_is_told_without_ones() -> None:
    X = np.random.default_rng(0).uniform(-2.0, 2.0, (300, 2)).astype(np.float32).astype(float)

    def teacher(X: np.ndarray) -> np.ndarray:
        return np.tanh(X[:, 0] * X[:, 1]).astype(np.float32).astype(float)

    laws = with_law_beyond(NOTHING, X, teacher, FEW)
    assert laws.beyond is not None
    assert told(laws.beyond, NAMES, FEW) == "tanh(x0*x1), with tanh allowed"


def test_the_limit_of_questions_holds() -> None:
    X = np.random.default_rng(0).uniform(-2.0, 2.0, (500, 4))
    asked = []

    def counting(X: np.ndarray) -> np.ndarray:
        asked.append(len(X))
        return spring(X)

    laws = with_law_beyond(NOTHING, X, counting, FEW, most_rows=2000)
    assert laws.rows_asked <= 2000
    assert sum(asked) <= 2000


def test_the_verdict_says_so_and_the_state_keeps_it() -> None:
    block = SymbolicModel(lambda x: torch.tanh(x[:, :1] * x[:, 1:2]) + x[:, 2:3], "gate")
    x = 4 * torch.rand(300, 3, generator=torch.Generator().manual_seed(0)) - 2
    params = {"unary_operators": ["sin"], "niterations": 1, "maxsize": 9, "random_state": 0}
    front = block.distill(x, sr_params=params)[0]
    assert front.verdict != "law"
    assert front.evidence.beyond == "tanh(x0*x1) + x2, with tanh allowed"
    assert str(front.verdict).endswith(front.evidence.beyond)
    other = SymbolicModel(lambda x: x, "gate")
    other.load_state_dict(block.state_dict())
    assert other.fronts[0].evidence == front.evidence
