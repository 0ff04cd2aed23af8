"""Functions that are built of others: values against NumPy and SciPy, derivatives, errors."""

import math

import numpy as np
import pytest

import arrmb
from arrmb import linalg
from arrmb.testing import Draw, check_grads


@pytest.fixture(params=["float64", "complex128"])
def put(request, backend):
    """Arrays of a shape, random, real and complex, on each backend."""

    def make(*shape, seed=0):
        return backend.put(Draw(seed, complex=request.param == "complex128").normal(*shape), request.param)

    make.get = backend.get
    return make


CASES = {
    "multi_dot": (lambda *a: linalg.multi_dot(a), [(2, 5), (5, 3), (3, 4), (4, 2)]),
    "multi_dot, two": (lambda *a: linalg.multi_dot(a), [(2, 5), (5, 3)]),
    "multi_dot, batch": (lambda *a: linalg.multi_dot(a), [(3, 1, 2, 5), (4, 5, 3), (3, 2)]),
    "multi_dot, vectors": (lambda *a: linalg.multi_dot(a), [(5,), (5, 3), (3,)]),
    "block_diag": (linalg.block_diag, [(2, 3), (1, 2), (3, 1)]),
    "block_diag, batch": (linalg.block_diag, [(4, 2, 3), (3, 1, 1, 2)]),
    "block_diag, empty block": (linalg.block_diag, [(2, 2), (0, 3), (1, 1)]),
    "kron": (linalg.kron, [(2, 3), (3, 2)]),
    "kron, batch": (linalg.kron, [(4, 1, 2, 2), (3, 1, 3)]),
    "vech": (linalg.vech, [(2, 3, 3)]),
    **{f"cond, {p}": (lambda a, p=p: linalg.cond(a, p), [(2, 3, 3)]) for p in (None, 2, -2, "fro", "nuc", 1, math.inf)},
    "cond, rectangular": (linalg.cond, [(4, 3)]),
}
NUMPY = {
    "multi_dot": lambda *a: np.linalg.multi_dot(a),
    "multi_dot, two": lambda *a: np.linalg.multi_dot(a),
    "multi_dot, batch": lambda a, b, c: a @ b @ c,
    "multi_dot, vectors": lambda *a: np.linalg.multi_dot(a),
    "kron": np.kron,
    "kron, batch": lambda a, b: np.stack([[np.kron(x[0], y) for y in b] for x in a]),
    "vech": lambda a: a[:, [0, 1, 2, 1, 2, 2], [0, 0, 0, 1, 1, 2]],
    **{f"cond, {p}": lambda a, p=p: np.linalg.cond(a, p) for p in (None, 2, -2, "fro", "nuc", 1, math.inf)},
    "cond, rectangular": np.linalg.cond,
}


@pytest.mark.parametrize("name", CASES)
def test_values_and_derivatives(put, name):
    f, shapes = CASES[name]
    xs = tuple(put(*shape, seed=i) for i, shape in enumerate(shapes))
    y = f(*xs)
    assert type(y) is type(xs[0])
    if name in NUMPY:
        np.testing.assert_allclose(put.get(y), NUMPY[name](*map(put.get, xs)), rtol=1e-11, atol=1e-13)
    check_grads(f, xs, tolerance=1e-5)


def test_block_diag_is_scipy_s():
    scipy_linalg = pytest.importorskip("scipy.linalg")
    blocks = [Draw(i).normal(i + 1, 3 - i) for i in range(3)]
    np.testing.assert_array_equal(linalg.block_diag(*blocks), scipy_linalg.block_diag(*blocks))
    batch = linalg.block_diag(np.ones((4, 2, 3)), np.full((3, 1, 1, 2), 2.0))
    assert batch.shape == (3, 4, 3, 5)
    np.testing.assert_array_equal(batch[1, 2], scipy_linalg.block_diag(np.ones((2, 3)), np.full((1, 2), 2.0)))


def test_dtypes():
    single, double = np.ones((2, 2), np.float32), np.ones((2, 2))
    assert linalg.block_diag(single, single).dtype == np.float32
    assert linalg.block_diag(single, double).dtype == np.float64
    assert linalg.kron(single, single).dtype == linalg.vech(single).dtype == np.float32
    assert linalg.cond(single + np.eye(2, dtype=np.float32)).dtype == np.float32
    gradient = arrmb.grad(lambda x: arrmb.namespace(x).sum(linalg.block_diag(x, double)))(single)
    assert gradient.dtype == np.float32


def test_multi_dot_takes_the_cheapest_order(monkeypatch):
    import array_api_compat.numpy as xp

    seen, matmul = [], xp.matmul
    monkeypatch.setattr(xp, "matmul", lambda a, b: seen.append((a.shape, b.shape)) or matmul(a, b))
    linalg.multi_dot([np.ones((10, 1)), np.ones((1, 1000)), np.ones((1000, 1))])
    assert seen == [((1, 1000), (1000, 1)), ((10, 1), (1, 1))]


def test_the_derivative_of_the_condition_number_in_closed_form():
    x = np.diag([4.0, 2.0, 0.5])
    np.testing.assert_allclose(arrmb.grad(linalg.cond)(x), np.diag([2.0, 0.0, -16.0]), atol=1e-14)


def test_singular():
    x = np.diag([1.0, 2.0, 0.0])
    assert linalg.cond(x) == math.inf and linalg.cond(x, -2) == 0.0
    assert linalg.cond(np.zeros((2, 2))) == math.inf
    with pytest.raises(ValueError, match="cond: x is singular: its condition number is infinite, and has no deriv"):
        arrmb.grad(linalg.cond)(x)
    with pytest.raises(ValueError, match="cond: x is singular"):
        arrmb.grad(lambda x: linalg.cond(x, -2))(x)
    with pytest.raises(ValueError, match="cond: x is singular: its condition number is infinite"):
        linalg.cond(x, 1)


def test_errors():
    a = np.ones((2, 3))
    with pytest.raises(ValueError, match=r"cond: p must be None, 2, -2, 'fro', .* got 3"):
        linalg.cond(a, 3)
    with pytest.raises(ValueError, match=r"cond: x must have shape \(..., n, n\), got \(2, 3\)"):
        linalg.cond(a, 1)
    with pytest.raises(ValueError, match=r"cond: x must have at least one row and one column, got shape \(0, 3\)"):
        linalg.cond(a[:0])
    with pytest.raises(ValueError, match="multi_dot: needs at least two arrays, got 1"):
        linalg.multi_dot([a])
    with pytest.raises(ValueError, match=r"the columns of arrays\[0\], shape \(2, 3\), are not the rows of"):
        linalg.multi_dot([a, a])
    with pytest.raises(ValueError, match=r"multi_dot: arrays\[1\] must have shape .* got \(3,\)"):
        linalg.multi_dot([a, np.ones(3), np.ones((3, 2))])
    with pytest.raises(TypeError, match=r"multi_dot: arrays\[1\] must be a floating-point array, got list"):
        linalg.multi_dot([a, [[1.0], [2.0], [3.0]]])
    with pytest.raises(ValueError, match="block_diag: needs at least one block"):
        linalg.block_diag()
    with pytest.raises(ValueError, match=r"block_diag: arrays\[0\] must have shape"):
        linalg.block_diag(np.ones(3))
    with pytest.raises(ValueError, match=r"block_diag: the leading axes of \(2, 1, 1\), \(3, 1, 1\) do not broadcast"):
        linalg.block_diag(np.ones((2, 1, 1)), np.ones((3, 1, 1)))
    with pytest.raises(TypeError, match="kron: x2 must be a floating-point array, got int"):
        linalg.kron(a, 2)
    with pytest.raises(ValueError, match=r"vech: x must have shape \(..., n, n\), got \(2, 3\)"):
        linalg.vech(a)
    strict = pytest.importorskip("array_api_strict")
    for f in (linalg.block_diag, linalg.kron, lambda *a: linalg.multi_dot(a)):
        with pytest.raises(TypeError, match="are arrays of different backends"):
            f(np.ones((2, 2)), strict.ones((2, 2), dtype=strict.float64))
