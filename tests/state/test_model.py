"""State dicts: complete, safe, the same keys before and after, and bit-equal outputs on the other side."""

import copy
import io
import json
from collections import namedtuple
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from formula_engine import FormulaEngine
from linear_engine import LinearEngine
from torch import nn

import symtorch
from symtorch import NotDistilledError, SymbolicModel
from symtorch.equations.definitions import operator
from symtorch.errors import InputError, StateError

FORMULAS = ("0.1", "x0*1.5 + 1/3", "sin(x0*0.7310585786300049) - 2.5e-7*x1^2", "max(x0, x1)/(x2^2 + 0.1) + exp(-x1)")
X = torch.randn(60, 3, generator=torch.Generator().manual_seed(0))


def network(n_outputs: int = 2) -> nn.Module:
    return nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, n_outputs))


def distilled(engine: Any = None, **more: Any) -> SymbolicModel:
    torch.manual_seed(1)
    block = SymbolicModel(network(), "mlp")
    block.distill(X, engine=engine or FormulaEngine(*FORMULAS), **more)
    return block


def fresh() -> SymbolicModel:
    torch.manual_seed(2)
    return SymbolicModel(network())


def document(block: nn.Module, key: str = "_extra_state") -> dict:
    return json.loads(bytes(block.state_dict()[key].numpy()))


def as_state(block: SymbolicModel, text: str | bytes) -> dict:
    data = text.encode() if isinstance(text, str) else text
    return block.state_dict() | {"_extra_state": torch.from_numpy(np.frombuffer(data, np.uint8).copy())}


# ---- ways to travel


def by_torch(source: nn.Module, target: nn.Module, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    torch.save(source.state_dict(), buffer)
    buffer.seek(0)
    target.load_state_dict(torch.load(buffer, weights_only=True))


def by_safetensors(source: nn.Module, target: nn.Module, tmp_path: Path) -> None:
    safetensors = pytest.importorskip("safetensors.torch")
    safetensors.save_model(source, tmp_path / "model.safetensors")
    assert safetensors.load_model(target, tmp_path / "model.safetensors") == (set(), [])


def by_data_parallel(source: nn.Module, target: nn.Module, tmp_path: Path) -> None:
    nn.DataParallel(target).load_state_dict(nn.DataParallel(source).state_dict())


def without_strict(source: nn.Module, target: nn.Module, tmp_path: Path) -> None:
    target.load_state_dict(source.state_dict(), strict=False)


def by_assignment(source: nn.Module, target: nn.Module, tmp_path: Path) -> None:
    target.load_state_dict(copy.deepcopy(source.state_dict()), assign=True)


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")
def by_distributed_checkpoint(source: nn.Module, target: nn.Module, tmp_path: Path) -> None:
    import torch.distributed.checkpoint as dcp

    from symtorch.state.distributed import LoadPlanner

    dcp.save({"model": source.state_dict()}, checkpoint_id=str(tmp_path), no_dist=True)
    state = {"model": target.state_dict()}
    dcp.load(state, checkpoint_id=str(tmp_path), no_dist=True, planner=LoadPlanner())
    target.load_state_dict(state["model"])


WAYS = [by_torch, by_safetensors, by_data_parallel, without_strict, by_assignment]


@pytest.mark.parametrize("travel", WAYS)
@pytest.mark.parametrize("symbolic", [True, False])
def test_a_fresh_model_becomes_the_saved_one(travel: Any, symbolic: Any, tmp_path: Path) -> None:
    block = distilled()
    if symbolic:
        block.switch_to_symbolic([4, 10])
    other = fresh()
    travel(block, other, tmp_path)
    assert torch.equal(other(X), block(X))
    assert other.use_symbolic is symbolic
    assert other.fronts == block.fronts
    assert other.equations == block.equations
    assert [eq.source for eq in other.fronts[0]] == [eq.source for eq in block.fronts[0]]
    assert repr(other) == repr(block)
    block.switch_to_block()
    other.switch_to_block()
    assert torch.equal(other(X), block(X))
    assert document(other) == document(block)


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")
def test_a_distributed_checkpoint_fills_a_fresh_model(tmp_path: Path) -> None:
    block, other = distilled(), fresh()
    block.switch_to_symbolic(7)
    by_distributed_checkpoint(block, other, tmp_path)
    assert torch.equal(other(X), block(X))


@pytest.mark.parametrize("complexity", [1, 4, 7, 10])
@pytest.mark.parametrize("slime", [False, True])
def test_every_complexity_comes_back_bit_equal(complexity: Any, slime: Any, tmp_path: Path) -> None:
    params = {"slime_params": {"x": X[0].numpy()}} if slime else {}
    block = distilled(SLIME=slime, **params)
    block.switch_to_symbolic(complexity, SLIME=slime)
    other = fresh()
    by_torch(block, other, tmp_path)
    assert torch.equal(other(X), block(X))
    assert other.equation(1, SLIME=slime) == block.equation(1, SLIME=slime)
    assert other.slime_fronts == block.slime_fronts


def test_keys_and_types_are_the_same_before_and_after() -> None:
    block = fresh()
    before = {key: value.dtype for key, value in block.state_dict().items()}
    block.distill(X, engine=LinearEngine())
    block.switch_to_symbolic()
    block.setup_pruning(2, 1, 10)
    after = block.state_dict()
    assert {key: value.dtype for key, value in after.items()} == before
    assert all(isinstance(value, torch.Tensor) for value in after.values())
    assert after["_extra_state"].device.type == "cpu"


def test_an_undistilled_state_makes_a_distilled_model_undistilled() -> None:
    block = distilled()
    block.switch_to_symbolic()
    block.load_state_dict(fresh().state_dict())
    assert block.fronts == {}
    assert not block.use_symbolic
    assert torch.equal(block(X), fresh()(X))


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_another_precision_gets_the_same_equations(dtype: torch.dtype, tmp_path: Path) -> None:
    block, other = distilled(), fresh().to(dtype)
    block.switch_to_symbolic(10)
    by_torch(block, other, tmp_path)
    assert other.equations == block.equations
    assert other(X.to(dtype)).dtype == dtype
    assert torch.equal(other(X.double()), block(X.double()))


def test_a_model_that_was_made_on_the_meta_device_is_filled() -> None:
    block = distilled()
    block.setup_pruning(2, 1, 10)
    block.switch_to_symbolic(7)
    with torch.device("meta"):
        other = SymbolicModel(network())
    other.load_state_dict(block.state_dict(), assign=True)
    assert torch.equal(other(X), block(X))
    other.switch_to_block()
    block.switch_to_block()
    assert torch.equal(other(X), block(X))


@pytest.mark.cuda
def test_another_device_gets_the_same_equations(tmp_path: Path) -> None:
    block, other = distilled(), fresh().cuda()
    block.switch_to_symbolic(10)
    by_torch(block, other, tmp_path)
    torch.testing.assert_close(other(X.cuda()).cpu(), block(X))


def test_several_blocks_in_a_model_travel_together(tmp_path: Path) -> None:
    def model() -> nn.Module:
        net = nn.ModuleDict({"a": nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3)), "b": nn.Linear(3, 1)})
        symtorch.wrap(net, "a.1")
        symtorch.wrap(net, "b")
        return net

    def run(net: nn.Module) -> torch.Tensor:
        return net["b"](net["a"](X))

    source, target = model(), model()
    for name, block in (("a", source["a"][1]), ("b", source["b"])):
        block.distill(X, engine=FormulaEngine(*FORMULAS[: 2 if name == "a" else 4]))
    source["b"].switch_to_symbolic()
    by_torch(source, target, tmp_path)
    assert torch.equal(run(target), run(source))
    assert (target["a"][1].use_symbolic, target["b"].use_symbolic) == (False, True)
    assert len(target["a"][1].fronts[0]) == 2


def test_a_block_in_two_places_is_saved_by_safetensors_rules(tmp_path: Path) -> None:
    def model() -> nn.Module:
        block = SymbolicModel(nn.Linear(3, 3), "shared")
        return nn.Sequential(block, nn.Tanh(), block)

    source, target = model(), model()
    source[0].distill(X, engine=FormulaEngine(*FORMULAS))
    source[0].switch_to_symbolic(4)
    by_safetensors(source, target, tmp_path)
    assert torch.equal(target(X), source(X))


def test_copies_and_whole_models_work_too() -> None:
    block = distilled()
    block.switch_to_symbolic(7)
    buffer = io.BytesIO()
    torch.save(nn.Sequential(block), buffer)
    buffer.seek(0)
    loaded = torch.load(buffer, weights_only=False)[0]
    for other in (copy.deepcopy(block), loaded):
        assert torch.equal(other(X), block(X))
        assert other.fronts == block.fronts
        other.switch_to_symbolic(1)
        assert not torch.equal(other(X), block(X))


# ---- what is in it


def test_trained_constants_come_back_in_full(tmp_path: Path) -> None:
    block, other = distilled(), fresh()
    block.switch_to_symbolic(7)
    constants = block.surrogate.function.constants
    constants.requires_grad_()
    with torch.no_grad():
        constants += torch.tensor(np.pi) * 1e-3
    by_torch(block, other, tmp_path)
    assert torch.equal(other.surrogate.function.constants, constants)
    assert other.surrogate.function.constants.requires_grad
    assert torch.equal(other(X), block(X))
    assert document(other) == document(block)


def test_formulas_as_variables_travel_and_functions_are_missed_by_name(tmp_path: Path) -> None:
    formulas = {"dx": "x0 - x2", "r": "sqrt(x0^2 + x1^2) + 0.01"}
    block = distilled(LinearEngine(), variable_transforms=formulas)
    block.switch_to_symbolic(5)
    other = fresh()
    by_torch(block, other, tmp_path)
    assert torch.equal(other(X), block(X))
    assert other.equation(0).variable_names == ("dx", "r")

    block = distilled(LinearEngine(), variable_transforms={"dx": "x0 - x2", "r": lambda x: x[:, 0].abs()})
    block.switch_to_symbolic(5)
    other = fresh()
    by_torch(block, other, tmp_path)
    assert other.fronts == block.fronts
    with pytest.raises(InputError, match="'r' was made by a Python function"):
        other(X)
    other.switch_to_block()
    assert other(X).shape == (60, 2)
    known = distilled(LinearEngine(), variable_transforms={"dx": "x0 - x2", "r": lambda x: x[:, 0].abs()})
    by_torch(block, known, tmp_path)
    assert torch.equal(known(X), block(X))


def test_an_equation_is_shown_in_the_blocks_own_inputs_also_after_loading(tmp_path: Path) -> None:
    formulas = {"dx": "x0 - x2", "r": "sqrt(x0^2 + x1^2) + 0.01"}
    block, other = distilled(FormulaEngine("0.5", "dx/r"), variable_transforms=formulas), fresh()
    by_torch(block, other, tmp_path)
    for model in (block, other):
        assert model.equation(0, 4).text == "dx/r"
        expanded = model.equation(0, 4, expand=True)
        assert expanded.text == "(x0 - x2)/(sqrt(x0^2 + x1^2) + 0.01)"
        np.testing.assert_allclose(expanded.predict(X.numpy()), block.get_symbolic_function(0, 4)(X.double()))
    mixed = {"dx": "x0 - x2", "r": lambda x: x[:, 0].abs()}
    block = distilled(FormulaEngine("dx*2", "dx/r"), variable_transforms=mixed)
    assert block.equation(0, 1, expand=True).text == "(x0 - x2)*2"
    with pytest.raises(InputError, match=r"\['r'\] are made by Python functions"):
        block.equation(0, 4, expand=True)
    plain = distilled()
    assert plain.equation(0, expand=True) == plain.equation(0)


def test_operators_of_ones_own_travel_by_their_formula(tmp_path: Path) -> None:
    bump = operator("bump(x, y) = exp(-x^2/(1 + y^2))")
    block = distilled(FormulaEngine("0.5", "bump(x0, x1 + 2) + bump(x1, 1)", operators=[bump]))
    block.switch_to_symbolic(4)
    other = fresh()
    by_torch(block, other, tmp_path)
    assert torch.equal(other(X), block(X))
    assert other.equation(0).expr == block.equation(0).expr


Point = namedtuple("Point", "value extra")


@pytest.mark.parametrize("kind", ["named", "tuple", "list", "dict"])
def test_results_keep_their_structure(kind: Any, tmp_path: Path) -> None:
    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Linear(3, 2)

        def forward(self, x: Any, scale: Any = 1.0, *, flag: Any = None) -> Any:
            y = self.inner(x) * scale
            return {"named": Point(y, None), "tuple": (y, None), "list": [y, None], "dict": {"value": y}}[kind]

    block, other = SymbolicModel(Block(), "b"), SymbolicModel(Block(), "b")
    index = "value" if kind == "dict" else 0
    block.distill((X, 2.0, ), engine=LinearEngine(), output_index=index)  # fmt: skip
    block.switch_to_symbolic()
    by_torch(block, other, tmp_path)
    ours, theirs = block(X, 2.0), other(X, 2.0)
    assert type(ours) is type(theirs)
    assert torch.equal(ours[index], theirs[index])


@pytest.mark.parametrize("in_place", [True, False])
def test_the_switch_comes_back_with_guard_and_compile(in_place: Any, tmp_path: Path) -> None:
    source, target = distilled(FormulaEngine("log(x0)")), fresh()
    source.switch_to_symbolic(compile=False, guard="block")
    if not in_place:
        source.switch_to_block()
    by_torch(source, target, tmp_path)
    assert torch.isfinite(target(X)).all()
    assert torch.equal(target(X), source(X))
    assert target.surrogate.function.compiled is False
    assert torch.equal(target.get_extra_state(), source.get_extra_state())


def test_compiled_equations_run_eagerly_where_there_is_no_compiler(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    source, target = distilled(), fresh()
    source.switch_to_symbolic()
    state = as_state(source, json.dumps(document(source) | {"switch": {"compile": True, "guard": "none"}}))
    monkeypatch.setattr("symtorch.codegen.torch_function.compiler", lambda: None)
    target.load_state_dict(state)
    assert "run eagerly here" in caplog.text
    assert target.surrogate.function.compiled is False
    assert torch.allclose(target(X), source(X))


def test_what_was_seen_is_known_after_loading(tmp_path: Path) -> None:
    source, target = distilled(FormulaEngine("100*x0")), fresh()
    by_torch(source, target, tmp_path)
    assert target.fidelity(2 * X)[0].n_outside == source.fidelity(2 * X)[0].n_outside > 0
    assert target.fidelity(2 * X)[0].n_extrapolated == source.fidelity(2 * X)[0].n_extrapolated > 0


def test_a_state_without_switch_and_ranges_has_the_defaults() -> None:
    source, target = distilled(), fresh()
    source.switch_to_symbolic()
    old = document(source)
    del old["switch"], old["global"]["ranges"], old["global"]["domain"]
    target.load_state_dict(as_state(source, json.dumps(old)))
    assert torch.equal(target(X), source(X))
    assert document(target)["switch"] == {"compile": "auto", "guard": "none"}
    assert target.fidelity(X)[0].n_outside is target.fidelity(X)[0].n_extrapolated is None


def test_pruning_goes_on_where_it_was(tmp_path: Path) -> None:
    block, other = fresh(), fresh()
    block.setup_pruning(2, 1, 10, end_step_frac=0.1)
    block.prune(5, X)
    by_torch(block, other, tmp_path)
    assert other.pruning_schedule == block.pruning_schedule
    assert (other.initial_dim, other.target_dim, other.current_dim) == (2, 1, 1)
    assert torch.equal(other.pruning_mask, block.pruning_mask)
    assert torch.equal(other(X), block(X))
    other.prune(6, X)
    block.distill(X, engine=LinearEngine())
    block.switch_to_symbolic()
    by_torch(block, other, tmp_path)
    assert torch.equal(other(X), block(X))


def test_the_record_says_what_was_done_with_what() -> None:
    block = distilled(sr_params={"random_state": 3, "extra_sympy_mappings": {"inv": lambda x: 1 / x}})
    found = document(block)
    assert found["versions"]["symtorch"] == symtorch.__version__
    assert found["global"]["options"]["random_state"] == 3
    assert "lambda" in found["global"]["options"]["extra_sympy_mappings"]["inv"]
    front = found["global"]["fronts"][0][1]
    assert (front["engine"], front["n_samples"]) == ("formula", 48)
    assert front["equations"][0]["r2"] == block.fronts[0][0].r2


def test_the_name_comes_back_with_a_state() -> None:
    saved = SymbolicModel(network(), "saved")
    block = SymbolicModel(network(), "other")
    block.load_state_dict(saved.state_dict())
    assert block.block_name == "saved"
    with pytest.raises(NotDistilledError, match="'saved' has no equations"):
        block.equation(0)


def test_a_name_made_from_an_id_is_nobody_elses() -> None:
    named = SymbolicModel(network(), "mine")
    named.load_state_dict(SymbolicModel(network()).state_dict())
    assert named.block_name == "mine"


# ---- files of earlier versions

FIXTURES = Path(__file__).with_name("fixtures")


@pytest.mark.parametrize("path", sorted(FIXTURES.glob("state_*.pt")), ids=lambda path: path.stem)
def test_states_of_earlier_versions_are_read(path: Path) -> None:
    """Written by tests/fixtures/write_state.py with the version in the name."""
    saved = torch.load(path, weights_only=True)
    block = SymbolicModel(network())
    block.load_state_dict(saved["state"])
    assert block.use_symbolic
    assert torch.allclose(block(saved["x"]), saved["y"], rtol=1e-6, atol=1e-7)
    assert [eq.complexity for eq in block.fronts[0]] == [1, 4, 7, 10]


@pytest.mark.parametrize("equations", [False, True])
def test_states_of_torch_symbolic_1_give_weights_and_pruning_and_run_nothing(
    equations: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """In the form that 1.0.1 writes; a bomb stands where it has its pickles."""
    torch.manual_seed(3)
    source = network()
    weights = {f"symtorch_block.{key}": value for key, value in source.state_dict().items()}
    if equations:
        weights |= {f"_original_block.{key}": value for key, value in source.state_dict().items()}
    pruning = {"initial_dim": 2, "target_dim": 1, "current_dim": 1, "pruning_schedule": {0: 2, 1: 1}}
    old = {
        **weights,
        "pruning_mask": torch.tensor([True, False]),
        "_symtorch_metadata": {"block_name": "mlp", "_using_equation": equations, "_equation_vars": {}} | pruning,
        "_pysr_regressor_dim_0": b"cos\nsystem\n(S'false'\ntR.",
        "_pysr_dims": [0],
        "_slime_dims": [],
    }
    outer = nn.Sequential(SymbolicModel(network()))
    outer.load_state_dict({f"0.{key}": value for key, value in old.items()})
    block = outer[0]
    assert "Distill the block again" in caplog.text
    assert block.pruning_mask.tolist() == [True, False]
    assert (block.current_dim, block.pruning_schedule) == (1, {0: 2, 1: 1})
    assert torch.equal(block(X)[:, 0], source(X)[:, 0])
    assert block.fronts == {}


# ---- hostile states


def changed(path: str, value: object, block: SymbolicModel) -> str:
    """The block's document with one value replaced, at a path such as 'global.fronts.0.1.seconds'."""
    found = document(block)
    *way, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    place = found
    for part in way:
        place = place[part]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return json.dumps(found)


EQUATION = "global.fronts.0.1.equations.1"
CHANGES = [
    ("format", "other", "format 'other'"),
    ("format", ..., "format is missing"),
    ("schema", 2, "schema 2, written by a later version"),
    ("schema", "1", "state.schema is '1'"),
    ("schema", 1.5, "state.schema is 1.5"),
    ("uses", "code", "state.uses is 'code'"),
    ("chosen", "local", "not every|nothing was found"),
    ("name", 3, "state.name is 3"),
    (f"{EQUATION}.text", "__import__('os').system('true')", r"equations\[1\].text: .*not allowed"),
    (f"{EQUATION}.text", "x0.__class__", "Attribute is not allowed"),
    (f"{EQUATION}.text", "eval(x0)", "function 'eval'"),
    (f"{EQUATION}.text", "__builtins__", "name '__builtins__'"),
    (f"{EQUATION}.text", "9**9**9**9", "a power of numbers that overflows"),
    (f"{EQUATION}.text", "(9^9)^9^9 + x0", "a power of numbers that overflows"),
    (f"{EQUATION}.text", "(" * 5000 + "x0" + ")" * 5000, "nested"),
    (f"{EQUATION}.text", "x0" + "+x0" * 500_000, "characters"),
    (f"{EQUATION}.text", "[x0 for x0 in x1]", "not allowed"),
    (f"{EQUATION}.text", "lambda: x0", "not allowed"),
    (f"{EQUATION}.text", "x0 +", "not an equation"),
    (f"{EQUATION}.text", "nan*x0", "constants are finite"),
    (f"{EQUATION}.text", "1e999*x0", "too large"),
    (f"{EQUATION}.text", "y0", "name 'y0'"),
    (f"{EQUATION}.text", None, r"text is None; expected text"),
    (f"{EQUATION}.complexity", 3.5, "complexity is 3.5"),
    (f"{EQUATION}.complexity", True, "complexity is True"),
    (f"{EQUATION}.loss", "0.1", "loss is '0.1'"),
    (f"{EQUATION}.loss", 10**400, "finite number"),
    (EQUATION, ["x0"], "expected an object"),
    ("global.fronts.0.1.equations", [], "at least one equation"),
    ("global.fronts.0.1.equations", {}, "expected a list"),
    ("global.fronts.0.1.model_selection", "worst", "one of law"),
    ("global.fronts.0.1.operators", [{"name": "__x", "arity": 1, "body": "a0"}], "name of an operator"),
    ("global.fronts.0.1.operators", [{"name": "f", "arity": 10**9, "body": "a0"}], "arity is 1000000000"),
    ("global.fronts.0.1.variables", ["x0"], "variables of its interface"),
    ("global.fronts.0.0", 7, "0 to 1"),
    ("global.fronts.0", [1], "expected a pair"),
    ("global.complexities", [[0, 999]], "an equation of"),
    ("global.complexities", [], "not every output has a chosen equation"),
    ("global.interface.n_outputs", 10**12, "n_outputs"),
    ("global.interface.variables", ["x0", "x0", "x2"], "must differ"),
    ("global.interface.variables", ["import", "x1", "x2"], "identifier"),
    ("global.interface.arguments", [], "at least one argument"),
    ("global.interface.arguments.0.dtype", {"dtype": "load"}, "a type of torch's"),
    ("global.interface.arguments.0.dtype", {"dtype": "__class__"}, "a type of torch's"),
    ("global.interface.arguments.0.device", "cpu; rm", "a device"),
    ("global.interface.arguments.0.width", -1, "width is -1"),
    ("global.interface.constants", [["a", {"module": "os"}]], "a plain value"),
    ("global.interface.result.kind", "module", "tensor, tuple, list or dict"),
    ("global.interface.transforms", {"formulas": ["x0", "x9", "x1"]}, "name 'x9'"),
    ("global.interface.transforms", {"formulas": ["x0"]}, "one formula for each"),
    ("in_place.trainable", "yes", "true or false"),
    ("in_place.trained", {"operators": [], "equations": ["v0"]}, "2 equations"),
    ("switch", {"compile": 1, "guard": "none"}, "compile is 1; expected true, false or 'auto'"),
    ("switch", {"compile": "fast", "guard": "none"}, "true, false or 'auto'"),
    ("switch", {"compile": True, "guard": "exec"}, "guard is 'exec'; expected one of none, raise, block"),
    ("switch", {"compile": True}, "guard is missing"),
    ("global.ranges", [[0, [0.0]]], "expected a pair"),
    ("global.ranges", [[7, [0.0, 1.0]]], "0 to 1"),
    ("global.ranges", [[0, [0.0, "inf"]]], "finite number"),
    ("global.domain", [[0.0, 1.0]], "the ends of 3 variables"),
    ("global.domain", [0.0, 1.0, 2.0], "expected a list"),
    ("pruning", {"schedule": [], "initial_dim": 5}, "mask is missing|target_dim is missing"),
    (
        "pruning",
        {"schedule": [[0, 2]], "initial_dim": 5, "target_dim": 1, "current_dim": 2, "mask": [True] * 5},
        "5 outputs; there are 2",
    ),
    ("global", None, "nothing was found"),
]


@pytest.mark.parametrize(("path", "value", "message"), CHANGES)
def test_a_changed_state_is_refused_by_name_and_changes_nothing(path: Path, value: Any, message: str) -> None:
    block = distilled()
    block.switch_to_symbolic(4)
    before, y = copy.deepcopy(block.state_dict()), block(X)
    hostile = as_state(fresh(), changed(path, value, block))
    with pytest.raises(StateError, match=message):
        block.load_state_dict(hostile)
    after = block.state_dict()
    assert all(torch.equal(after[key], before[key]) for key in before)
    assert torch.equal(block(X), y)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no JSON"),
        ("{", "no JSON"),
        (b"\xff\xfe", "no JSON"),
        ("[" * 100_000, "no JSON"),
        ("[" * 1_000_000, "parts"),
        ("[" + "{}," * 1_000_000 + "{}]", "parts"),
        ("[]", "expected an object"),
        ("9" * 10_000, "no JSON|expected an object"),
        ("null", "expected an object"),
        (b" " * (17 << 20), "bytes, more than"),
    ],
)
def test_what_is_no_document_is_refused(text: str, message: str) -> None:
    block = fresh()
    with pytest.raises(StateError, match=message):
        block.load_state_dict(as_state(block, text))
    assert block.fronts == {}


@pytest.mark.parametrize("state", [None, b"{}", {"a": 1}, torch.zeros(3), torch.zeros(2, 2, dtype=torch.uint8)])
def test_what_is_no_uint8_tensor_is_refused(state: Any) -> None:
    with pytest.raises(StateError, match="expected a uint8 tensor"):
        fresh().load_state_dict(fresh().state_dict() | {"_extra_state": state})


def test_truncated_at_any_byte_it_is_refused() -> None:
    block = distilled()
    data = bytes(block.state_dict()["_extra_state"].numpy())
    for end in range(0, len(data), 97):
        with pytest.raises(StateError, match="no JSON"):
            block.load_state_dict(as_state(block, data[:end]))


def test_a_class_is_looked_up_but_never_imported_or_run() -> None:
    block = distilled()
    for name in ("os:system", "subprocess:Popen", "collections:OrderedDict", "antigravity:x", "builtins:dict"):
        found = document(block)
        found["global"]["interface"]["result"] |= {"kind": "tuple", "keys": [0], "index": 0, "cls": name}
        other = fresh()
        other.load_state_dict(as_state(other, json.dumps(found)))
        assert document(other)["global"]["interface"]["result"]["cls"] is None
