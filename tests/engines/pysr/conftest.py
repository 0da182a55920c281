import sys
from pathlib import Path

import pytest


@pytest.fixture
def fake_pysr(monkeypatch: pytest.MonkeyPatch) -> None:
    """The package pysr is a stand-in that misbehaves on request."""
    assert "pysr" not in sys.modules, "pysr must never be imported where torch is"
    monkeypatch.syspath_prepend(Path(__file__).with_name("fake_pysr"))
