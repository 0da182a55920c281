"""Where a search runs."""

from __future__ import annotations

import pytest
import torch

from symtorch.engines.native import task as part


@pytest.mark.parametrize(("free", "expected"), [(8 << 30, "cuda"), (100 << 20, "cpu")])
def test_a_search_goes_to_the_gpu_only_if_there_is_room(
    free: int, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (free, 16 << 30))
    assert part._device().type == expected


def test_a_gpu_that_cannot_be_used_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken() -> tuple[int, int]:
        raise RuntimeError("CUDA-capable device(s) is/are busy or unavailable")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "mem_get_info", broken)
    assert part._device().type == "cpu"
    assert "searching on the CPU" in caplog.text
