"""What a request makes of what the engine has found."""

from typing import Any

import numpy as np
import pytest
from linear_engine import LinearEngine

from symtorch import InputError, OptionError, Projection, SymbolicModel

X = np.random.default_rng(0).uniform(1.0, 3.0, size=(400, 2))


def noisy(x: Any) -> Any:
    """A product, and what looks like noise of 0.02 and yet is the same for the same row."""
    return 1.974 * x[:, 0] * x[:, 1] + 0.02 * 2**0.5 * np.sin(12345.6 * x[:, 0] + 65432.1 * x[:, 1])


def distilled(**options: Any) -> Any:
    block = SymbolicModel(noisy, "noisy")
    params = {"random_state": 0, "maxsize": 9, "niterations": 1, **options}
    block.distill(X, sr_params=params, engine="native", held_out=0.0)
    return block


def test_the_pick_has_error_bars_from_the_rows_that_were_searched() -> None:
    block = distilled()
    picked, expected = block.equation(0), block.equation(0).with_errors(X, noisy(X))
    assert picked == expected
    (factor,) = [c for c in picked.constants if c.standard_error is not None]
    assert abs(factor.value - 1.974) < 3 * factor.standard_error
    assert factor.standard_error == pytest.approx(0.02 / np.linalg.norm(X[:, 0] * X[:, 1]), rel=0.1)


def test_errors_are_saved_and_go_when_constants_are_trained() -> None:
    block = distilled()
    other = SymbolicModel(noisy, "noisy")
    other.load_state_dict(block.state_dict())
    assert other.equation(0).constants == block.equation(0).constants
    block.switch_to_symbolic()
    assert block.equation(0).constants == other.equation(0).constants
    block.trainable_constants()[0].data.mul_(1.1)
    assert {c.standard_error for c in block.equation(0).constants} == {None}


def test_other_losses_than_the_squared_one_have_no_errors_of_least_squares() -> None:
    assert distilled(elementwise_loss="HuberLoss(0.1)").equation(0).standard_errors is None


def test_a_formula_that_is_refitted_has_errors() -> None:
    block = SymbolicModel(lambda x: 1.974 * x[:, 0] * x[:, 1], "exact")
    block.distill(X, sr_params={"random_state": 0, "maxsize": 5, "niterations": 1}, engine="native")
    (factor,) = block.set_equation(0, "1.5*x0*x1", refit_constants=True).constants
    assert abs(factor.value - 1.974) < 1e-6
    assert 0.0 < factor.standard_error < 1e-6
    assert block.set_equation(0, "1.51*x0*x1").standard_errors is None


def absolute(prediction: Any, target: Any) -> Any:
    return (prediction - target).abs()


def test_a_loss_in_python_finds_what_its_name_finds_and_is_saved_by_name() -> None:
    own, named = distilled(elementwise_loss=absolute), distilled(elementwise_loss="L1DistLoss()")
    assert own.equation(0).loss == pytest.approx(named.equation(0).loss, rel=1e-3)
    assert own.equation(0).standard_errors is None
    state = bytes(own.state_dict()["_extra_state"].tolist()).decode()
    assert "<function absolute>" in state


def test_a_loss_that_is_none_is_refused_before_any_data_is_moved() -> None:
    with pytest.raises(OptionError, match="not least where"):
        distilled(elementwise_loss=lambda prediction, target: target - prediction)
    with pytest.raises(OptionError, match="elementwise_loss"):
        distilled(elementwise_loss=3)


def test_gradients_are_refused_where_nothing_heeds_them() -> None:
    X = np.random.default_rng(0).uniform(1.0, 2.0, (60, 2))
    block = SymbolicModel(lambda x: x[:, 0] * x[:, 1], "product")
    params = {"random_state": 0, "niterations": 1}
    known = {"gradients": X[:, ::-1]}
    assert block.distill(X, sr_params=params, fit_params=known, output_dim=0).best.complexity == 3
    few: dict[str, Any] = {"gradients": X[:9]}
    with pytest.raises(InputError, match="9 gradients for 60 rows of data; give one gradient per row"):
        block.distill(X, sr_params=params, fit_params=few)
    with pytest.raises(InputError, match="other variables"):
        block.distill(X, sr_params=params, fit_params=known, variable_transforms=["x0*x1"])
    with pytest.raises(InputError, match="projection"):
        block.distill(X, sr_params=params, fit_params=known, projection=Projection(inputs=1))
    with pytest.raises(InputError, match="SLIME"):
        block.distill(X, sr_params=params, fit_params=known, SLIME=True, slime_params={"x": X[0]})
    with pytest.raises(InputError, match="doesn't take"):
        block.distill(X, sr_params=params, fit_params=known, engine=LinearEngine())
