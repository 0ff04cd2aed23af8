"""Elementwise functions as one kernel of CuPy."""

import inspect
import sys
import types

import array_api_compat
import numpy as np
import pytest

from arrmb import _fused, _xp, namespace
from arrmb.ops import scalar

KERNELS = {name: getattr(scalar, name) for name in ("absolute", "exp", "inverse", "invsqrt", "log", "softplus")}
KERNELS |= {name: getattr(scalar, name) for name in ("sqrt", "tanh")} | {"clamp": scalar.clamp(1.5)}
KERNELS |= {f"power {p}": scalar.power(p) for p in (0.3, -1.5, 2.0)}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", KERNELS)
def test_divided_differences(backend, name, dtype):
    """Against NumPy's, to the errors of elementary functions, and of one rounding for two in one kernel of CuPy: 2.2
    units of the last place there (measured)."""
    kernel = KERNELS[name]
    w = np.array([[0.25, 1.0, 1.0, 1.0 + 1e-6, 2.0, 30.0], [1e-3, 1.5, 1.5, 1.5, 3.0, 3.0]])
    w = np.asarray(w * (1.0 if kernel.domain in ("positive", "nonnegative") else [1, -1, 1, 1, -1, 1]), dtype)
    i, k, j = w[..., :, None], w[..., 2, None, None], w[..., None, :]
    for function, points in [(kernel.divided, (i, j))] + ([(kernel._second, (i, k, j))] if kernel._second else []):
        found = backend.get(function(*(backend.put(v, dtype) for v in points)))
        expected = function(*points)
        assert found.dtype == np.dtype(dtype) == expected.dtype
        np.testing.assert_allclose(found, expected, rtol=5.0 * np.finfo(dtype).eps)


def test_recorded_once(monkeypatch):
    """CuPy runs the function on variables, whose types no namespace knows, once for each number of dimensions."""
    recorded, launched = [], []

    class Variable:
        def __mul__(self, other):
            return ("product", self, other)

    class Number:
        pass

    def product(a, b, p):
        recorded.append((namespace(a, b, p), type(b), type(p)))
        return a * b

    def fuse(kernel_name):
        def of(function):
            known = {}

            def kernel(*arguments):
                key = tuple(np.ndim(a) for a in arguments)
                if key not in known:
                    known[key] = function(*(Variable() if isinstance(a, np.ndarray) else Number() for a in arguments))
                launched.append((kernel_name, known[key][0], arguments[2:]))
                return arguments[0]

            return kernel

        return of

    monkeypatch.setitem(sys.modules, "cupy", types.SimpleNamespace(fuse=fuse))
    monkeypatch.setattr(array_api_compat, "is_cupy_array", lambda x: isinstance(x, np.ndarray))
    monkeypatch.setattr(_fused, "NAMESPACES", _xp.NAMESPACES.copy())
    monkeypatch.setattr(_xp, "NAMESPACES", _fused.NAMESPACES)
    f, a = _fused.fused("name", product, 0.5), np.ones(3, np.float32)
    for b in (a, a, a[:, None]):
        assert f(a, b) is a
    assert launched == [("name", "product", (0.5,))] * 3
    assert all(type(number) is np.float32 for _, _, (number,) in launched)
    assert recorded == [(namespace(a), Variable, Number)] * 2


def test_new_numbers_compile_nothing_new():
    """The numbers of a power and a rectification are arguments of their kernels: what is recorded has no other number
    that depends on them, but for the values and slopes at 0 of a few ranges of exponents."""
    assert scalar.power(0.3) is scalar.power(0.3)
    assert scalar.clamp(0.1) is scalar.clamp(0.1)
    for make, numbers in ((scalar.power, (0.3, 0.7)), (scalar.clamp, (0.1, 0.2))):
        held = [inspect.getclosurevars(make(number).divided.__wrapped__).nonlocals for number in numbers]
        assert held[0] == held[1]
        a, b = np.asarray([2.0]), np.asarray([2.5])
        one, other = (float(make(number).divided(a, b)[0]) for number in numbers)
        assert make is scalar.clamp or one != other
