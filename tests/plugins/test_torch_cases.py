"""Every public function through PyTorch: values, its own checks of derivatives, `torch.func` against loops."""

import numpy as np
import pytest
from cases import CASES

import arrmb

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
from torch.autograd import gradcheck, gradgradcheck  # noqa: E402

import arrmb.plugins.torch as plugin  # noqa: E402
from arrmb.plugins.torch import layers, linalg  # noqa: E402

pytestmark = [
    pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated"),  # PyTorch's own use of it, in forward mode
    pytest.mark.filterwarnings("ignore:There is a performance drop"),  # vmap of linalg_lu and of complex conjugates
]
case = pytest.mark.parametrize("name", CASES)


def arguments(name, seed=0):
    return [np.asarray(a) for a in CASES[name].make(np.random.default_rng(seed))]


def tensors(name, seed=0):
    return [torch.tensor(a, requires_grad=a.dtype.kind == "f") for a in arguments(name, seed)]


def outputs(name, module, args):
    return tuple(arrmb.tree.flatten(CASES[name].call(module, *args))[0])


def through_torch(name):
    return lambda *args: outputs(name, plugin, args)


def close(found, expected, bound=1e-11):
    found, expected = found.detach(), expected.detach()
    np.testing.assert_allclose(found, expected, rtol=0, atol=bound * max(float(expected.abs().max()), 1.0))


@case
def test_values(name):
    args = arguments(name)
    found, expected = outputs(name, plugin, tensors(name)), outputs(name, arrmb, args)
    assert len(found) == len(expected)
    for y, reference in zip(found, expected):
        assert isinstance(y, torch.Tensor) and y.requires_grad
        np.testing.assert_allclose(y.detach(), reference, rtol=1e-10, atol=1e-11)


@case
def test_first_order(name):
    f, args = through_torch(name), tensors(name)
    assert gradcheck(f, args)
    assert gradcheck(f, args, check_batched_grad=True, fast_mode=True)


@case
def test_forward_mode(name):
    options = {"check_forward_ad": True, "check_backward_ad": False, "check_undefined_grad": False}
    assert gradcheck(through_torch(name), tensors(name), **options, fast_mode=True, check_batched_forward_grad=True)


@pytest.mark.parametrize("name", [name for name in CASES if CASES[name].order > 1])
def test_second_order(name):
    f, args = through_torch(name), tensors(name)
    assert gradgradcheck(f, args, fast_mode=True)
    assert gradgradcheck(
        f, args, fast_mode=True, check_fwd_over_rev=True, check_rev_over_rev=False, check_undefined_grad=False
    )


COMPLEX = {
    "logmh": lambda x: linalg.logmh(x @ x.mH + torch.eye(3)),
    "eigh": lambda x: linalg.eigh(x @ x.mH).eigenvalues,
    "svd_function": lambda x: linalg.svd_function(x, lambda s: s * s * s),
    "expm": linalg.expm,
    "solve": lambda x: linalg.solve(x + 4.0 * torch.eye(3), x),
    "second_order_pooling": layers.second_order_pooling,
    "fft": plugin.fft.fft,
    "irfft": plugin.fft.irfft,
}


@pytest.mark.parametrize("f", COMPLEX.values(), ids=list(COMPLEX))
def test_complex(f):
    x = torch.randn(3, 3, generator=torch.Generator().manual_seed(0), dtype=torch.complex128).requires_grad_()
    assert gradcheck(f, (x,), check_forward_ad=True, check_batched_grad=True)
    assert gradgradcheck(f, (x,), fast_mode=True)


def batch(name):
    """Arguments for three calls, and the same stacked."""
    each = [[torch.tensor(a) for a in arguments(name, seed)] for seed in range(3)]
    return each, [torch.stack(parts) for parts in zip(*each)]


def loss(name):
    """A real number, quadratic in the outputs, with other weights for each entry."""

    def f(*args):
        total = 0.0
        for y in outputs(name, plugin, args):
            y = torch.view_as_real(y) if y.is_complex() else y
            weights = torch.linspace(0.5, 1.5, y.numel(), dtype=y.dtype).reshape(y.shape)
            total = total + (weights * (y + 0.5 * y * y)).sum()
        return total

    return f


@case
def test_vmap(name):
    f, (each, stacked) = through_torch(name), batch(name)
    found = torch.func.vmap(f)(*stacked)
    for i, args in enumerate(each):
        for y, expected in zip(found, f(*args)):
            close(y[i], expected)


@case
def test_vmap_of_grad(name):
    f, (each, stacked) = loss(name), batch(name)
    differentiable = tuple(i for i, x in enumerate(stacked) if x.is_floating_point())
    found = torch.func.vmap(torch.func.grad(f, differentiable))(*stacked)
    for i, args in enumerate(each):
        inputs = [args[k].requires_grad_() for k in differentiable]
        for y, expected in zip(found, torch.autograd.grad(f(*args), inputs)):
            close(y[i], expected, 1e-9)


SAMPLE = [name for i, name in enumerate(CASES) if i % 5 == 0 and CASES[name].order > 1]


@pytest.mark.parametrize("name", SAMPLE)
def test_jacobians_and_hessians(name):
    """The transformations of `torch.func`, in forward and reverse mode, against `torch.autograd`."""
    args = tensors(name)
    (x, *others), fixed = args, args[0].detach()

    def f(x):
        return loss(name)(x, *[v.detach() for v in others])

    (gradient,) = torch.autograd.grad(f(x), x, create_graph=True)
    close(torch.func.grad(f)(fixed), gradient)
    close(torch.func.jacrev(f)(fixed), gradient)
    close(torch.func.jacfwd(f)(fixed), gradient)
    direction = torch.linspace(-1.0, 1.0, x.numel(), dtype=x.dtype).reshape(x.shape)
    close(torch.func.jvp(f, (fixed,), (direction,))[1], (gradient * direction).sum())
    close(torch.func.vjp(f, fixed)[1](torch.ones((), dtype=x.dtype))[0], gradient)
    (second,) = torch.autograd.grad(gradient, x, direction)
    hessian = torch.func.hessian(f)(fixed)
    close((hessian * direction).sum(dim=tuple(range(direction.dim(), hessian.dim()))), second, 1e-9)
