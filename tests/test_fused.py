"""Elementwise functions as one kernel of CuPy."""

import sys
import types

import array_api_compat
import numpy as np
import pytest

from arrmb import namespace
from arrmb._fused import fused
from arrmb.ops import scalar

KERNELS = {name: getattr(scalar, name) for name in ("absolute", "exp", "inverse", "invsqrt", "log", "softplus")}
KERNELS |= {name: getattr(scalar, name) for name in ("sqrt", "tanh")} | {"clamp": scalar.clamp(1.5)}
KERNELS |= {f"power {p}": scalar.power(p) for p in (0.3, -1.5, 2.0)}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", KERNELS)
def test_divided_differences(backend, name, dtype):
    """On CuPy one kernel against one for each operation, elsewhere the same code. The compiler of the one may contract
    a product and a sum to one rounding: 2.2 units of the last place (measured)."""
    kernel = KERNELS[name]
    w = np.array([[0.25, 1.0, 1.0, 1.0 + 1e-6, 2.0, 30.0], [1e-3, 1.5, 1.5, 1.5, 3.0, 3.0]])
    w = backend.put(w * (1.0 if kernel.domain in ("positive", "nonnegative") else [1, -1, 1, 1, -1, 1]), dtype)
    i, k, j = w[..., :, None], w[..., 2, None, None], w[..., None, :]
    pairs = [(kernel.divided, (i, j))] + ([(kernel._second, (i, k, j))] if kernel._second else [])
    for function, points in pairs:
        (parameters,) = [c.cell_contents for c in function.__closure__ if isinstance(c.cell_contents, tuple)]
        found = backend.get(function(*points))
        plain = backend.get(function.__wrapped__(*points, *parameters))
        assert found.dtype == np.dtype(dtype) == plain.dtype
        np.testing.assert_allclose(found, plain, rtol=5.0 * np.finfo(dtype).eps)


def test_recorded_once(monkeypatch):
    """CuPy runs the function on variables, whose type no namespace knows, once for each number of dimensions."""
    recorded, launched = [], []

    class Variable:
        def __mul__(self, other):
            return ("product", self, other)

    def product(a, b, p):
        recorded.append((namespace(a), type(b), p))
        return a * b

    def fuse(kernel_name):
        def of(function):
            known = {}

            def kernel(*arguments):
                key = tuple(np.ndim(a) for a in arguments)
                if key not in known:
                    known[key] = function(*(Variable() if isinstance(a, np.ndarray) else a for a in arguments))
                launched.append((kernel_name, known[key][0]))
                return arguments[0]

            return kernel

        return of

    monkeypatch.setitem(sys.modules, "cupy", types.SimpleNamespace(fuse=fuse))
    monkeypatch.setattr(array_api_compat, "is_cupy_array", lambda x: isinstance(x, np.ndarray))
    f, a = fused("name", product, 0.5), np.ones(3)
    for b in (a, a, a[:, None]):
        assert f(a, b) is a
    assert launched == [("name", "product")] * 3
    assert recorded == [(namespace(a), Variable, 0.5)] * 2
    with pytest.raises(TypeError, match="expected an array"):
        namespace(0.5)  # a number still belongs to no backend


def test_new_numbers_compile_nothing_new():
    """The numbers of a power and a rectification are arguments of their kernels, which are recorded once."""
    assert scalar.power(0.3) is scalar.power(0.3)
    assert scalar.clamp(0.1) is scalar.clamp(0.1)
    codes = {scalar.power(p).divided.__wrapped__.__code__ for p in (0.3, 0.7)}
    assert len(codes) == 1
    a = np.ones(1)
    np.testing.assert_allclose(scalar.power(0.3).divided(a, a), 0.3)
    np.testing.assert_allclose(scalar.power(0.7).divided(a, a), 0.7)
