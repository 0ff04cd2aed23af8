"""A stand-in for CuPy in the tests of examples."""

import numpy as np
import pytest

import arrmb


@pytest.fixture
def far(monkeypatch):
    """The namespace of PyTorch, made as strict as CuPy's: an array becomes one of NumPy by its method get() only."""
    torch = pytest.importorskip("torch")

    def refuse(self, *args, **kwargs):
        raise TypeError("Implicit conversion to a NumPy array is not allowed")

    monkeypatch.setattr(torch.Tensor, "__array__", refuse)

    def get(self):
        return np.array(self.tolist(), dtype=str(self.dtype).removeprefix("torch."))

    monkeypatch.setattr(torch.Tensor, "get", get, raising=False)
    return arrmb.namespace(torch.zeros(1))
