"""Triangular systems and the log-determinant, the public functions."""

import numpy as np
import pytest
import scipy.linalg

import arrmb
from arrmb import linalg
from arrmb.testing import Draw, check_grads


@pytest.mark.parametrize(
    "options", [{}, {"lower": True}, {"unit_diagonal": True}, {"lower": True, "unit_diagonal": True}]
)
@pytest.mark.parametrize("complex", [False, True])
def test_solve_triangular(backend, options, complex):
    d = Draw(0, complex)
    a, b = d.normal(4, 4) + 3.0 * np.eye(4), Draw(1).normal(4, 2)
    a_, b_ = backend.put(a, "complex128" if complex else "float64"), backend.put(b, "float64")
    expected = scipy.linalg.solve_triangular(a, b, **options)
    np.testing.assert_allclose(backend.get(linalg.solve_triangular(a_, b_, **options)), expected, atol=1e-14)
    np.testing.assert_allclose(
        backend.get(linalg.solve_triangular(a_, b_[:, 0], **options)), expected[:, 0], atol=1e-14
    )
    check_grads(lambda a, b: linalg.solve_triangular(a, b, **options), (a_, b_))


def test_solve_triangular_of_bad_arguments(backend):
    with pytest.raises(ValueError, match=r"solve_triangular: a must have shape \(\.\.\., n, n\), got \(3, 2\)"):
        linalg.solve_triangular(np.ones((3, 2)), np.ones(3))
    with pytest.raises(ValueError, match=r"solve_triangular: b must have shape \(3,\) or .* got \(2,\)"):
        linalg.solve_triangular(np.eye(3), np.ones(2))
    zero = backend.put(np.diag([1.0, 0.0]), "float64")
    one = backend.put(np.ones(2), "float64")
    assert np.all(np.isfinite(backend.get(linalg.solve_triangular(zero, one, unit_diagonal=True))))
    if backend.name == "cupy":
        assert not np.all(np.isfinite(backend.get(linalg.solve_triangular(zero, one))))
        return
    with pytest.raises(ValueError, match="solve_triangular: a has a zero on its diagonal"):
        linalg.solve_triangular(zero, one)


def test_logdeth(backend):
    x = Draw(0, complex=True).hermitian([0.5, 1.0, 4.0])
    x_ = backend.put(x, "complex128")
    assert abs(float(linalg.logdeth(x_)) - np.log(2.0)) <= 1e-14
    check_grads(linalg.logdeth, (x_,))
    # far beyond the range of the determinant itself
    assert abs(float(linalg.logdeth(backend.put(1e200 * np.eye(4), "float64"))) - 800 * np.log(10.0)) <= 1e-11
    if backend.name != "cupy":
        with pytest.raises(ValueError, match="logdeth: x is not positive definite: add a multiple of the identity"):
            linalg.logdeth(backend.put(np.diag([1.0, -1.0]), "float64"))
    with pytest.raises(ValueError, match=r"logdeth: x must have shape \(\.\.\., n, n\), got \(2, 3\)"):
        linalg.logdeth(np.ones((2, 3)))


def test_a_singular_matrix_has_no_derivative_of_its_log_determinant(backend):
    x = backend.put(np.stack([np.eye(2), np.ones((2, 2))]), "float64")
    if backend.name == "cupy":
        return
    total = lambda x: arrmb.namespace(x).sum(linalg.slogdet(x).logabsdet)  # noqa: E731
    with np.errstate(divide="ignore"):
        assert float(total(x)) == -np.inf
        message = r"^slogdet: x is singular: log\|det\| is -inf there and has no derivative; use det, or add a multiple"
        for run in (arrmb.grad(total), lambda x: arrmb.jvp(total, (x,), (x,)), lambda x: arrmb.hvp(total, (x,), (x,))):
            with pytest.raises(ValueError, match=message):
                run(x)
    with pytest.raises(ValueError, match=r"^logdeth: x is not positive definite: add a multiple of the identity"):
        arrmb.grad(lambda x: arrmb.namespace(x).sum(linalg.logdeth(x)))(x)


def test_remedies_for_singular_systems(backend):
    zero, one = backend.put(np.zeros((2, 2)), "float64"), backend.put(np.ones(2), "float64")
    if backend.name == "cupy":
        return
    with pytest.raises(ValueError, match=r"^solve: x1 is singular: .* x1 \+ eps \* I, or use lstsq"):
        linalg.solve(zero, one)
    with pytest.raises(ValueError, match=r"^inv: x is singular: .* x \+ eps \* I, or use pinv"):
        linalg.inv(zero)
    with pytest.raises(ValueError, match=r"^solve_triangular: a has a zero on its diagonal: .*; add a multiple of"):
        linalg.solve_triangular(zero, one)
    for name in ("sqrtm", "logm"):
        with pytest.raises(ValueError, match=f"^{name}: x has .*; add a multiple of the identity"):
            getattr(linalg, name)(zero)
    with pytest.raises(
        ValueError, match=r"^solve_lyapunov: a .* conjugate of one; add a multiple of the identity to a"
    ):
        linalg.solve_lyapunov(zero, zero)
    with pytest.raises(ValueError, match=r"^solve_sylvester: a or b .* one of b; add a multiple of the identity to a"):
        linalg.solve_sylvester(zero, zero, zero)
