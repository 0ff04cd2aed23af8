"""Projectors on column spaces: full and deficient rank, products with them, and the distance of two."""

import numpy as np
import pytest

import arrmb
from arrmb._lapack import times_twice_sym
from arrmb.ops.projector import distance, project, projector
from arrmb.ops.tall_qr import tall_qr, tall_qr_multiply
from arrmb.testing import Draw


def _h(x):
    return np.conj(np.swapaxes(x, -1, -2))


def _projector(a):
    return a @ np.linalg.pinv(a, rcond=1e-5 if a.dtype.name in ("float32", "complex64") else 1e-11)


def _project(a, b):
    return _projector(a) @ b


def _distance(a, b):
    return 0.5 * np.sum(np.abs(_projector(a) - b @ _h(b)) ** 2, axis=(-2, -1))


def _dead(a):
    """The same with a dead channel, and one that is the sum of two others."""
    a = a.copy()
    a[..., 1] = 0.0
    a[..., 3] = a[..., 0] + a[..., 2]
    return a


def _orthonormal(d, m, k):
    return d.unitary(m)[..., :k]


# Ties are the rule here: orthonormal columns have all singular values equal.
AT = [lambda d: _orthonormal(d, 6, 3), lambda d: d.normal(6, 1)]


def test_projector(check):
    check(projector, lambda d: (d.normal(6, 3),), reference=_projector, at=[lambda d, f=f: (f(d),) for f in AT])


@pytest.mark.parametrize("shape", [(1, 1), (7, 2), (3, 49, 16), (2, 196, 64), (300, 5), (1, 1100, 3)], ids=str)
def test_projector_is_hermitian_to_the_bit(check, shape):
    x = np.random.default_rng(0).standard_normal(shape)
    if check.dtype.startswith("complex"):
        x = x + 1j * x[..., ::-1]
    y = check.backend.get(projector(check.backend.put(x, check.dtype)))
    np.testing.assert_array_equal(y, _h(y))


def test_project(check):
    at = [lambda d, f=f: (f(d), d.normal(f(d).shape[-2], 2)) for f in AT]
    check(project, lambda d: (d.normal(6, 3), d.normal(6, 2)), reference=_project, at=at)


@pytest.mark.parametrize("m, n", [(6, 3), (20, 17), (18, 19)])  # the last two by reflectors, on NumPy
def test_distance(check, m, n):
    check(distance, lambda d: (d.normal(m, n), _orthonormal(d, m, 2)), reference=_distance)


def test_distance_is_defined_for_any_b(check):
    def reference(a, b):
        return 0.5 * (3.0 + np.sum(np.abs(b) ** 2)) - np.real(np.sum(np.conj(b) * _project(a, b)))

    check(distance, lambda d: (d.normal(6, 3), d.normal(6, 2)), reference=reference, batch=False)


@pytest.mark.parametrize("complex", [False, True])
def test_dead_and_dependent_columns(backend, complex):
    """Value, and first and second derivative along a curve of constant rank."""
    d = Draw(3, complex)
    a, m, b = _dead(d.normal(8, 5)), 0.3 * d.normal(8, 8), _orthonormal(d, 8, 2)
    dtype = "float64"

    def curve(t):  # (I + tM) A has the rank of A
        xp = arrmb.namespace(t)
        a_t = t * backend.put(m @ a, dtype) + backend.put(a, dtype)
        return xp.real(project(a_t, backend.put(b, dtype))[0, 0]), distance(a_t, backend.put(b, dtype))

    def reference(t):
        a_t = a + t * (m @ a)
        return np.asarray([np.real(_project(a_t, b)[0, 0]), _distance(a_t, b)])

    t, one = backend.put(np.asarray(0.1), dtype), backend.put(np.asarray(1.0), dtype)
    h = 1e-3
    for i in range(2):
        first = arrmb.jvp(lambda s, i=i: curve(s)[i], (t,), (one,))[1]
        second = arrmb.jvp(arrmb.grad(lambda s, i=i: curve(s)[i]), (t,), (one,))[1]
        f = [reference(0.1 + k * h)[i] for k in (-2, -1, 0, 1, 2)]
        np.testing.assert_allclose(backend.get(curve(t)[i]), f[2], rtol=1e-12)
        np.testing.assert_allclose(backend.get(first), (f[0] - 8 * f[1] + 8 * f[3] - f[4]) / (12 * h), rtol=1e-9)
        # rounding of f, 1e-16, over h² = 1e-6
        expected = (-f[0] + 16 * f[1] - 30 * f[2] + 16 * f[3] - f[4]) / (12 * h * h)
        np.testing.assert_allclose(backend.get(second), expected, rtol=1e-7, atol=1e-8)


def test_dead_columns_have_finite_rules(check):
    """The adjoint identity and finiteness off the directions of constant rank too; Π itself jumps there."""
    d = Draw(0, check.dtype.startswith("complex"))
    a, b, da = (check.backend.put(x, check.dtype) for x in (_dead(d.normal(7, 4)), d.normal(7, 2), d.normal(7, 4)))
    y, dy = arrmb.jvp(lambda a: project(a, b), (a,), (da,))
    abar = arrmb.vjp(lambda a: project(a, b), a)[1](y)[0]
    get = check.backend.get
    assert np.isfinite(get(dy)).all() and np.isfinite(get(abar)).all()
    left, right = (np.sum(np.real(np.conj(get(u)) * get(v))) for u, v in ((y, dy), (abar, da)))
    assert abs(left - right) <= (1e-12 if check.dtype in ("float64", "complex128") else 1e-4)


@pytest.mark.parametrize("shape", [(3, 3), (3, 5)])
def test_full_row_rank(backend, shape):
    """Π = I, and does not change."""
    a, da = (backend.put(Draw(i).normal(*shape), "float64") for i in (1, 2))
    y, dy = arrmb.jvp(projector, (a,), (da,))
    np.testing.assert_allclose(backend.get(y), np.eye(3), atol=1e-14)
    np.testing.assert_allclose(backend.get(dy), 0.0, atol=1e-13)


def test_zero_matrix(backend):
    a, b = backend.put(np.zeros((4, 2)), "float64"), backend.put(np.ones((4, 3)), "float64")
    assert not np.any(backend.get(project(a, b)))
    assert not np.any(backend.get(arrmb.vjp(lambda a: project(a, b), a)[1](b)[0]))


def test_units_of_the_columns_do_not_matter(backend):
    a = Draw(1).normal(9, 4)
    scaled = backend.put(a * np.asarray([1e-30, 1.0, 1e30, 1e-8]), "float64")
    np.testing.assert_allclose(backend.get(projector(scaled)), _projector(a), atol=1e-13)


@pytest.mark.parametrize("m, n", [(47, 3), (48, 3), (200, 3), (16, 3), (5, 7), (60, 1)])  # 200: in three levels
def test_tall_qr(backend, m, n):
    a = Draw(2, batch=(2,)).normal(m, n)
    q, r = (backend.get(v) for v in tall_qr(backend.put(a, "float64"), entries=36))
    k = min(m, n)
    assert q.shape == (2, m, k) and r.shape == (2, k, n)
    np.testing.assert_allclose(q @ r, a, atol=1e-13)
    np.testing.assert_allclose(_h(q) @ q, np.broadcast_to(np.eye(k), (2, k, k)), atol=1e-13)
    np.testing.assert_allclose(r, np.triu(r), atol=0)


@pytest.mark.parametrize("columns", [1, 2, 5])  # with 1 and 2 by reflectors, on NumPy
@pytest.mark.parametrize("m, n", [(30, 17), (17, 17), (5, 20), (900, 17)])  # 900: in two levels
def test_tall_qr_multiply(check, m, n, columns):
    """One unitary Q: A = QR, and both products are those with it."""
    d = Draw(2, check.dtype.startswith("complex"), batch=(2,))
    a, b = d.normal(m, n), d.normal(m, columns)
    r, p, times = tall_qr_multiply(*(check.backend.put(v, check.dtype) for v in (a, b)), entries=360)
    k = min(m, n)
    identity = np.broadcast_to(np.eye(k, k + columns, dtype=a.dtype), (2, k, k + columns))  # zeros fill the last part
    parts = [identity[..., i : i + columns] for i in range(0, k, columns)]
    q = np.concatenate([check.backend.get(times(check.backend.put(c, check.dtype))) for c in parts], axis=-1)[..., :k]
    r, p = check.backend.get(r), check.backend.get(p)
    np.testing.assert_array_equal(r, np.triu(r))
    for found, expected in ((q @ r, a), (_h(q) @ q, identity[..., :k]), (p, _h(q) @ b)):
        assert found.shape == expected.shape
        error = np.max(np.linalg.norm(found - expected, axis=(-2, -1)) / np.linalg.norm(expected, axis=(-2, -1)))
        assert error < 10 * np.finfo(check.dtype).eps, error  # measured: 5.3


@pytest.mark.parametrize("shape", [(3, 3), (1023, 1023), (1024, 1024), (2, 1100, 1100)], ids=str)
def test_times_twice_sym(check, shape):
    """Of whole numbers, which are added without rounding in any order."""
    d = Draw(3, check.dtype.startswith("complex"))
    x, b = (np.round(4.0 * d.normal(*s)).astype(check.dtype) for s in (shape, (*shape[:-1], 3)))
    found = times_twice_sym(check.backend.put(x, check.dtype), check.backend.put(b, check.dtype))
    np.testing.assert_array_equal(check.backend.get(found), (x + _h(x)) @ b)


def test_pullback_of_a_large_projector_is_differentiated(backend):
    """It is linear: its derivative along the cotangent is itself."""
    d = Draw(4)
    a, bar = (backend.put(x, "float64") for x in (d.normal(1030, 2), d.normal(1030, 1030)))
    pullback = arrmb.vjp(projector, a)[1]
    value, slope = arrmb.jvp(lambda bar: pullback(bar)[0], (bar,), (bar,))
    np.testing.assert_array_equal(backend.get(slope), backend.get(value))


def test_float32_rank_of_a_tall_matrix(backend):
    """Dependent columns stay below the threshold when rounding errors of many rows come together."""
    a = np.random.default_rng(0).random((20000, 16))
    a[:, 3], a[:, 5], a[:, 7] = 0.0, a[:, 6], a[:, 8] + a[:, 9]
    b = np.zeros((20000, 1))
    twice_rank = 2.0 * backend.get(distance(backend.put(a, "float32"), backend.put(b, "float32")))
    assert abs(twice_rank - 13.0) < 1e-4
