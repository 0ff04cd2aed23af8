"""Triangular factorizations: LU, the complete QR decomposition, wide matrices."""

import numpy as np
import pytest

import arrmb
from arrmb import linalg
from arrmb._xp import H
from arrmb.testing import Draw, check_grads


@pytest.mark.parametrize("complex", [False, True])
@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (4, 4)])
def test_complete_qr(backend, complex, shape):
    """All of Q and R, the complement by its projector, in the default gauge and with the check."""
    x = backend.put(Draw(2, complex=complex).normal(*shape), "complex128" if complex else "float64")
    k = min(shape)

    def parts(gauge):
        def f(x):
            q, r = linalg.qr(x, mode="complete", gauge=gauge)
            return q[:, :k], q[:, k:] @ H(q[:, k:]), r

        return f

    check_grads(parts("drop"), (x,))
    loss = lambda x: sum(arrmb.namespace(v).sum(arrmb._xp.real(v[0, :])) for v in parts("raise")(x) if v.shape[1])  # noqa: E731
    assert np.all(np.isfinite(backend.get(arrmb.grad(loss)(x))))


def test_complete_qr_against_a_closed_form():
    """The projector on the complement is I - X (X^T X)^-1 X^T."""
    d = Draw(3)
    x, e, g = d.normal(6, 3), d.normal(6, 3), d.normal(6, 6)

    def by_qr(x):
        q2 = linalg.qr(x, mode="complete", gauge="raise").Q[:, 3:]
        return arrmb.namespace(x).sum(g * (q2 @ H(q2)))

    def closed(x):
        return -arrmb.namespace(x).sum(g * (x @ linalg.solve(H(x) @ x, H(x))))

    np.testing.assert_allclose(arrmb.grad(by_qr)(x), arrmb.grad(closed)(x), rtol=1e-11, atol=1e-12)
    ours, truth = (arrmb.hvp(f, (x,), (e,))[0] for f in (by_qr, closed))
    np.testing.assert_allclose(ours, truth, rtol=1e-10, atol=1e-11)


def test_a_loss_of_the_arbitrary_columns_is_an_error():
    x = Draw(1).normal(5, 3)
    with pytest.raises(ValueError, match="qr: the loss depends on the choice of the last 2 columns Q2 of Q"):
        arrmb.grad(lambda x: linalg.qr(x, mode="complete", gauge="raise").Q[0, 4])(x)
    with pytest.raises(ValueError, match="qr: column 2 of x depends linearly on those before it"):
        arrmb.grad(lambda x: linalg.qr(x).R[0, 0])(np.stack([x[:, 0], x[:, 1], x[:, 0] + x[:, 1]], axis=1))


@pytest.mark.parametrize("mode", ["reduced", "complete"])
def test_qr_beside_torch(mode):
    torch = pytest.importorskip("torch")
    d = Draw(4)
    x, g, h = d.normal(4, 4), d.normal(4, 4), d.normal(4, 4)
    t = torch.tensor(x, requires_grad=True)
    q, r = torch.linalg.qr(t, mode=mode)
    ((q * torch.tensor(g)).sum() + (r * torch.tensor(h)).sum()).backward()

    def loss(x):
        q, r = linalg.qr(x, mode=mode)
        return arrmb.namespace(x).sum(q * g) + arrmb.namespace(x).sum(r * h)

    signs = np.sign(np.diagonal(np.linalg.qr(x)[1])) * np.sign(np.diagonal(r.detach().numpy()))
    assert np.all(signs == 1.0)  # both are LAPACK's
    np.testing.assert_allclose(arrmb.grad(loss)(x), t.grad.numpy(), rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "complex128"])
@pytest.mark.parametrize("shape", [(4, 4), (2, 5, 3), (3, 2, 2, 4), (0, 3, 3)])
def test_lu(backend, dtype, shape):
    x = backend.put(Draw(6, complex=dtype == "complex128", batch=shape[:-2]).normal(*shape[-2:]), dtype)
    found = linalg.lu(x)
    assert found._fields == ("P", "L", "U")
    assert all(v.dtype == x.dtype for v in found)
    np.testing.assert_allclose(backend.get(found.P @ found.L @ found.U), backend.get(x), atol=50 * np.finfo(dtype).eps)
    traced = arrmb.jvp(linalg.lu, (x,), (x,))[1]  # scaling X scales U
    np.testing.assert_allclose(backend.get(traced.U), backend.get(found.U), atol=200 * np.finfo(dtype).eps)
    np.testing.assert_allclose(backend.get(traced.L), 0.0, atol=200 * np.finfo(dtype).eps)


def test_lu_at_ties_of_other_kinds():
    """Orthogonal matrices, and multiples of the identity: nothing is special about them for LU."""
    check_grads(lambda x: tuple(linalg.lu(x))[1:], (2.0 * np.eye(3),))
    check_grads(lambda x: tuple(linalg.lu(x))[1:], (Draw(7).unitary(4),))


def test_bad_arguments_of_lu():
    with pytest.raises(TypeError, match="lu: x must be a floating-point array, got list"):
        linalg.lu([[1.0]])
    with pytest.raises(ValueError, match=r"lu: x must have shape \(\.\.\., m, n\), got \(3,\)"):
        linalg.lu(np.ones(3))
    with pytest.raises(ValueError, match="lu: column 1 of x depends linearly"):
        arrmb.grad(lambda x: linalg.lu(x).U[0, 0])(np.ones((2, 2)))
