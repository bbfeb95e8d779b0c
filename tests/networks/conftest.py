"""Compiled code, by each set of instructions that the processor has."""

import pytest

from tfmusic.networks import fused


@pytest.fixture
def compiled(monkeypatch):
    """Skips where there is none."""
    monkeypatch.delenv(fused.VARIABLE, raising=False)
    if not fused.is_used():
        pytest.skip(f"{fused.description()}; python setup.py build_ext --inplace")


def levels():
    """Those that the processor has."""
    return fused.LEVELS[: max(fused._load()[1], 0) + 1]


@pytest.fixture(params=fused.LEVELS)
def level(request, monkeypatch):
    """Each in turn, chosen."""
    if request.param not in levels():
        pytest.skip(f"this processor has no {request.param}")
    monkeypatch.setenv(fused.VARIABLE, request.param)
    return request.param
