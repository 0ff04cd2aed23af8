"""Thin QR decomposition."""

import numpy as np
import pytest

import arrmb
from arrmb.ops.qr import qr


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
