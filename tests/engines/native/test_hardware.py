"""Where a search runs."""

from __future__ import annotations

import gc
import threading

import pytest
import torch

from symtorch.engines.native.hardware import device, few_collections, one_thread


@pytest.mark.parametrize(("free", "expected"), [(8 << 30, "cuda"), (100 << 20, "cpu")])
def test_a_search_goes_to_the_gpu_only_if_there_is_room(
    free: int, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (free, 16 << 30))
    assert device().type == expected


def test_a_gpu_that_cannot_be_used_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken() -> tuple[int, int]:
        raise RuntimeError("CUDA-capable device(s) is/are busy or unavailable")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "mem_get_info", broken)
    assert device().type == "cpu"
    assert "searching on the CPU" in caplog.text


def test_one_thread_puts_back_what_was_there_before_the_first() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        inside, leave = threading.Event(), threading.Event()

        def other() -> None:
            with one_thread():
                inside.set()
                leave.wait(10)

        with one_thread():
            thread = threading.Thread(target=other)
            thread.start()
            inside.wait(10)
            assert torch.get_num_threads() == 1
        leave.set()
        thread.join()
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_collections_are_few_while_any_search_runs_and_then_as_before() -> None:
    before = gc.get_threshold()
    gc.set_threshold(900, 30, 5)
    try:
        with few_collections():
            with few_collections():
                assert gc.get_threshold() == (10_000, 30, 10)
                assert gc.get_freeze_count() > 0
            assert gc.get_threshold() == (10_000, 30, 10)
        assert gc.get_threshold() == (900, 30, 5)
        assert gc.get_freeze_count() == 0
    finally:
        gc.set_threshold(*before)


def test_what_the_user_has_set_of_collections_stays() -> None:
    before = gc.get_threshold()
    gc.set_threshold(0)
    gc.freeze()
    try:
        with few_collections():
            assert gc.get_threshold()[0] == 0
        assert gc.get_freeze_count() > 0
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
