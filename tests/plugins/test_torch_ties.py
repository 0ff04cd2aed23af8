"""The NaN that brings people here: functions of a matrix with equal eigenvalues, first and second order."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

from arrmb.plugins.torch import SecondOrderPooling, linalg  # noqa: E402

G = torch.tensor([[2.0, 1.0, 0.0], [1.0, 3.0, -1.0], [0.0, -1.0, 1.0]], dtype=torch.float64)
E = torch.tensor([[1.0, 0.5, 0.0], [0.5, -1.0, 2.0], [0.0, 2.0, 0.0]], dtype=torch.float64)


def through_eigh(f):
    def of_matrix(x):
        w, v = torch.linalg.eigh(x)
        return (v * f(w)[..., None, :]) @ v.mT

    return of_matrix


def derivatives(f, x):
    """The gradient of <G, f(x)>, and its change in the direction E."""
    x = x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad((G * f(x)).sum(), x, create_graph=True)
    (change,) = torch.autograd.grad((E * gradient).sum(), x)
    return gradient.detach(), change


def test_pytorch_gives_nan_where_we_are_exact():
    """At the identity: log(1 + A) = A - A²/2 + O(A³), and the square root has the terms A/2 - A²/8."""
    x = torch.eye(3, dtype=torch.float64)
    product = E @ G + G @ E
    for theirs, ours, slope, curvature in (
        (torch.log, linalg.logmh, 1.0, -0.5),
        (torch.sqrt, linalg.sqrtmh, 0.5, -0.125),
        (lambda w: 1.0 / w, linalg.invh, -1.0, 1.0),
    ):
        assert derivatives(through_eigh(theirs), x)[0].isnan().any()
        gradient, change = derivatives(ours, x)
        np.testing.assert_allclose(gradient, slope * G, rtol=0, atol=1e-12)
        np.testing.assert_allclose(change, curvature * product, rtol=0, atol=1e-12)


def test_a_double_eigenvalue_in_another_basis():
    """Powers of x have closed forms at any spectrum: exp(log x) = x, so that the derivatives are those of x itself."""
    generator = torch.Generator().manual_seed(0)
    q = torch.linalg.qr(torch.randn(3, 3, generator=generator, dtype=torch.float64))[0]
    x = (q * torch.tensor([1.0, 1.0, 3.0], dtype=torch.float64)) @ q.mT
    gradient, change = derivatives(lambda x: linalg.expmh(linalg.logmh(x)), x)
    np.testing.assert_allclose(gradient, G, rtol=0, atol=1e-12)
    np.testing.assert_allclose(change, torch.zeros_like(x), rtol=0, atol=1e-12)
    gradient, change = derivatives(lambda x: linalg.powmh(x, 2.0), x)
    np.testing.assert_allclose(gradient, x @ G + G @ x, rtol=0, atol=1e-11)
    np.testing.assert_allclose(change, E @ G + G @ E, rtol=0, atol=1e-11)


@pytest.mark.parametrize("transform", [torch.func.hessian, lambda f: torch.func.jacrev(torch.func.jacrev(f))])
@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated")
def test_under_transformations(transform):
    x = torch.eye(3, dtype=torch.float64)
    hessian = transform(lambda x: (G * linalg.logmh(x)).sum())(x)
    np.testing.assert_allclose(torch.einsum("abcd,cd->ab", hessian, E), -0.5 * (E @ G + G @ E), rtol=0, atol=1e-12)


def test_few_locations():
    """Second-order pooling of fewer locations than channels: eps is an eigenvalue many times over."""
    features = torch.ones(2, 3, 8, requires_grad=True)

    def native(f, eps=1e-3):
        return through_eigh(torch.log)(f.mT @ f + eps * torch.eye(8))

    weights = torch.linspace(-1.0, 1.0, 64).reshape(8, 8)
    (theirs,) = torch.autograd.grad((weights * native(features)).sum(), features)
    (ours,) = torch.autograd.grad((weights * SecondOrderPooling()(features)).sum(), features, create_graph=True)
    assert not theirs.isfinite().all() and ours.isfinite().all()
    assert torch.autograd.grad(ours.square().sum(), features)[0].isfinite().all()
