"""Thin QR decomposition."""

import numpy as np
import pytest

import arrmb
from arrmb._xp import H
from arrmb.ops.lu import lu
from arrmb.ops.qr import qr
from arrmb.testing import Draw


@pytest.mark.parametrize("m", [3, 5])
def test_qr(check, m):
    def inputs(d):
        return (d.with_singular_values(m, 3, [3.0, 2.0, 1.0]),)

    def reference(x):
        q, r = np.linalg.qr(x)
        signs = np.sign(np.diagonal(r).real)
        return q * signs, signs[:, None] * r

    def positive_diagonal(q, r):
        xp = arrmb.namespace(r)
        signs = xp.sign(xp.real(xp.linalg.diagonal(r)) if check.dtype.startswith("complex") else xp.linalg.diagonal(r))
        return q * signs[..., None, :], signs[..., :, None] * r

    check(qr, inputs, reference=reference, invariant=positive_diagonal)


def test_one_column(check):
    check(qr, lambda d: (d.normal(4, 1),))


def test_the_variation_keeps_the_structure(check):
    """dR is upper triangular with a real diagonal; Q^H dQ is skew-Hermitian."""
    d = arrmb.testing.Draw(2, complex=check.dtype.startswith("complex"))
    x, dx = d.with_singular_values(5, 3, [3.0, 2.0, 1.0]), d.normal(5, 3)
    (q, _), (dq, dr) = arrmb.jvp(qr, *[(check.backend.put(v, check.dtype),) for v in (x, dx)])
    q, dq, dr = map(check.backend.get, (q, dq, dr))
    eps = 50 * np.finfo(check.dtype).eps
    assert np.array_equal(np.tril(dr, -1), np.zeros((3, 3)))
    assert np.max(np.abs(np.diagonal(dr).imag)) <= eps
    assert np.max(np.abs(np.conj(q.T) @ dq + np.conj(dq.T) @ q)) <= eps


@pytest.mark.parametrize("m", [3, 4, 6])
def test_complete(check, m):
    """Q2 by its projector, all else as in the thin form."""

    def invariant(q, r):
        q1, q2 = q[..., :3], q[..., 3:]
        return q1, r, q2 @ H(q2)

    check(
        qr,
        lambda d: (d.with_singular_values(m, 3, [3.0, 2.0, 1.0]),),
        params={"mode": "complete"},
        invariant=invariant,
    )


def square_column(q, r):
    """A loss of one column of the complement: it sees which basis was chosen."""
    xp = arrmb.namespace(q)
    column = q[..., -1:]
    p = column @ H(column)
    return xp.sum(arrmb._xp.real(p[..., 0, :]))


def test_gauge_of_the_complement(check):
    d = Draw(3, complex=check.dtype.startswith("complex"))
    x = check.backend.put(d.with_singular_values(6, 3, [3.0, 2.0, 1.0]), check.dtype)

    def projector(q, r):
        q2 = q[..., 3:]
        p = q2 @ H(q2)
        xp = arrmb.namespace(q)
        return xp.sum(arrmb._xp.real(p[..., 0, :])) + xp.sum(arrmb._xp.real(q[..., 1])) + xp.sum(arrmb._xp.real(r))

    def gradient(loss, gauge):
        return arrmb.grad(lambda x: loss(*qr(x, mode="complete", gauge=gauge)))(x)

    get = check.backend.get
    np.testing.assert_array_equal(get(gradient(projector, "raise")), get(gradient(projector, "drop")))
    assert np.all(np.isfinite(get(gradient(square_column, "drop"))))
    with pytest.raises(ValueError, match=r"qr: the loss depends on the choice of the last 3 columns .* Q2\^H Q2bar is"):
        gradient(square_column, "raise")


def test_dependent_columns_have_no_derivative(check):
    d = Draw(4, complex=check.dtype.startswith("complex"))
    a = d.normal(2, 5, 3)
    a[1, :, 1] = 2.0 * a[1, :, 0]
    x = check.backend.put(a, check.dtype)
    qr(x)  # the value is that of the backend
    xp = check.backend.xp
    if check.backend.name == "cupy":  # which looks at no values
        gradient = check.backend.get(arrmb.vjp(qr, x)[1](qr(x))[0])
        assert np.all(np.isfinite(gradient[0])) and not np.any(np.isfinite(gradient[1]))
        return
    for run in (lambda: arrmb.vjp(qr, x)[1](qr(x)), lambda: arrmb.jvp(qr, (x,), (xp.ones_like(x),))):
        with pytest.raises(ValueError, match="qr: column 1 of x depends linearly on those before it"):
            run()


@pytest.mark.parametrize("shape", [(0, 0), (3, 0), (2, 3, 0)])
@pytest.mark.parametrize("mode", ["reduced", "complete"])
def test_matrices_without_entries(backend, shape, mode):
    x = backend.put(np.zeros(shape), "float64")
    y, pullback = arrmb.vjp(lambda x: qr(x, mode=mode), x)
    assert pullback(y)[0].shape == shape
    assert [v.shape for v in arrmb.jvp(lambda x: qr(x, mode=mode), (x,), (x,))[1]] == [v.shape for v in y]


@pytest.mark.filterwarnings("ignore:There is a performance drop:UserWarning")  # PyTorch's vmap, of its own LU
@pytest.mark.parametrize("framework", ["torch", "jax"])
@pytest.mark.parametrize("op", [qr, lu], ids=["qr", "lu"])
def test_dependent_columns_where_values_cannot_be_looked_at(op, framework):
    module = pytest.importorskip(framework, reason=f"{framework} is not installed")
    a = Draw(4).normal(2, 5, 3)
    a[1, :, 1] = 0.0  # an inverse of R does not exist, to the last bit
    x = (module.asarray if framework == "torch" else module.numpy.asarray)(a)

    def gradient(x):
        y, pullback = arrmb.vjp(op, x)
        return pullback(y)[0]

    found = np.asarray((module.func.vmap if framework == "torch" else module.vmap)(gradient)(x))
    assert np.all(np.isfinite(found[0])) and np.all(np.isnan(found[1]))
