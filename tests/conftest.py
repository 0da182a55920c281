"""Seeds for every test, the quick engine, and skips for what this machine lacks."""

import signal

import hypothesis
import pytest
import torch
from linear_engine import LinearEngine

# What a shell starts in the background ignores Ctrl-C from birth, and the tests of Ctrl-C would wait for ever.
signal.signal(signal.SIGINT, signal.default_int_handler)
hypothesis.settings.register_profile("repeatable", derandomize=True)
hypothesis.settings.load_profile("repeatable")
torch.set_num_threads(1)  # everything here is small: more threads only wait for each other


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if not torch.cuda.is_available():
        for item in items:
            if item.get_closest_marker("cuda"):
                item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


@pytest.fixture
def engine() -> LinearEngine:
    return LinearEngine()
