"""Convolution and pooling, against PyTorch's."""

import numpy as np
import pytest

import arrmb
from arrmb.layers import Conv2d, max_pool2d, mean_pool2d
from arrmb.testing import check_grads

torch = pytest.importorskip("torch")
F = torch.nn.functional
RNG = np.random.default_rng


def first(x):
    """Channels last to channels first."""
    return torch.movedim(x, -1, -3)


def last(x):
    return torch.movedim(x, -3, -1)


def compare(f, reference, args, backend):
    """Values, and gradients with respect to all arguments of a random projection, against PyTorch's own."""
    theirs = [torch.tensor(a, requires_grad=True) for a in args]
    expected = reference(*theirs)
    weights = RNG(9).standard_normal(tuple(expected.shape))
    (expected * torch.tensor(weights)).sum().backward()
    ours = [backend.put(a, "float64") for a in args]
    y, pullback = arrmb.vjp(f, *ours)
    np.testing.assert_allclose(backend.get(y), expected.detach().numpy(), rtol=1e-12, atol=1e-12)
    for bar, a in zip(pullback(backend.put(weights, "float64")), theirs):
        np.testing.assert_allclose(backend.get(bar), a.grad.numpy(), rtol=1e-11, atol=1e-11)


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")  # PyTorch: it copies the input once more
@pytest.mark.parametrize(
    "kernel, stride, padding", [(3, 1, "same"), ((2, 3), (2, 1), "valid"), (1, 2, "valid"), (4, 1, "same")]
)
def test_conv_against_torch(backend, kernel, stride, padding):
    kh, kw = kernel if isinstance(kernel, tuple) else (kernel, kernel)
    rng = RNG(0)
    args = [rng.standard_normal(shape) for shape in ((2, 6, 5, 3), (kh, kw, 3, 4), (4,))]

    def ours(x, weight, bias):
        return Conv2d(weight, bias, stride, padding)(x)

    def theirs(x, weight, bias):
        return last(F.conv2d(first(x), weight.permute(3, 2, 0, 1), bias, stride, padding))

    compare(ours, theirs, args, backend)


@pytest.mark.parametrize("n, stride, zeros", [(7, 2, (1, 1)), (6, 2, (0, 1)), (5, 3, (0, 1)), (9, 4, (1, 1))])
def test_same_padding_with_a_stride(n, stride, zeros):
    """ceil(n / stride) rows, the odd row of zeros below."""
    x, weight = RNG(1).standard_normal((n, n, 2)), RNG(2).standard_normal((3, 3, 2, 1))
    padded = np.pad(x, (zeros, zeros, (0, 0)))
    y = Conv2d(weight, None, stride, "same")(x)
    assert y.shape[0] == -(-n // stride)
    np.testing.assert_allclose(y, Conv2d(weight, None, stride, "valid")(padded), rtol=1e-13)


@pytest.mark.parametrize("window, stride", [(2, None), ((3, 2), None), (3, 2), (2, 3)])
def test_pooling_against_torch(backend, window, stride):
    args = [RNG(3).standard_normal((2, 7, 6, 3))]
    compare(
        lambda x: max_pool2d(x, window, stride=stride),
        lambda x: last(F.max_pool2d(first(x), window, stride)),
        args,
        backend,
    )
    compare(
        lambda x: mean_pool2d(x, window, stride=stride),
        lambda x: last(F.avg_pool2d(first(x), window, stride)),
        args,
        backend,
    )


def test_derivatives(backend):
    layer = Conv2d.init(backend.xp, RNG(4), 2, 3, stride=2, dtype=backend.xp.float64, device=backend.device)
    x = backend.put(RNG(5).standard_normal((4, 5, 2)), "float64")
    check_grads(lambda layer, x: max_pool2d(layer(x)) * mean_pool2d(layer(x)), (layer, x))


def test_batches_and_dtype(backend):
    """Any number of leading axes, none and empty ones too; float32 stays float32 on its device."""
    xp = backend.xp
    layer = Conv2d.init(xp, RNG(6), 2, 3, device=backend.device)
    x = backend.put(RNG(7).standard_normal((2, 3, 5, 4, 2)), "float32")
    y = layer(x)
    assert y.shape == (2, 3, 5, 4, 3) and y.dtype == xp.float32 and arrmb._xp.device(y) == arrmb._xp.device(x)
    np.testing.assert_allclose(backend.get(layer(x[1, 2, ...])), backend.get(y)[1, 2], rtol=1e-5, atol=1e-6)
    assert layer(x[:0, ...]).shape == (0, 3, 5, 4, 3)
    gradient = arrmb.grad(lambda layer: arrmb.namespace(layer.weight).sum(layer(x)))(layer)
    assert gradient.weight.dtype == gradient.bias.dtype == xp.float32 and gradient.stride == layer.stride


def test_initialisation():
    layer = Conv2d.init(np, RNG(8), 16, 64, kernel=(3, 5))
    assert layer.weight.shape == (3, 5, 16, 64) and not np.any(layer.bias)
    assert abs(np.std(layer.weight) / np.sqrt(2 / (3 * 5 * 16)) - 1) < 0.02  # 15360 samples: σ of the estimate is 0.006
    assert Conv2d.init(np, RNG(8), 1, 1, bias=False).bias is None


@pytest.mark.parametrize(
    "make, error, words",
    [
        (lambda c: c(np.zeros((5, 5, 3))), ValueError, "Conv2d: x must have 2 channels"),
        (lambda c: c(np.zeros((5, 2))), ValueError, r"Conv2d: x must have shape \(..., H, W, C\)"),
        (lambda c: c(np.zeros((5, 5, 2), dtype=np.uint8)), TypeError, "Conv2d: x has dtype uint8.*astype"),
        (lambda c: c([1.0]), TypeError, "Conv2d: x must be an array"),
        (
            lambda c: Conv2d(c.weight, c.bias, 1, "full")(np.zeros((5, 5, 2))),
            ValueError,
            'Conv2d: padding must be "same"',
        ),
        (lambda c: Conv2d(c.weight, c.bias, 0)(np.zeros((5, 5, 2))), ValueError, "Conv2d: stride must be a positive"),
        (
            lambda c: Conv2d(c.weight, c.bias, 1, "valid")(np.zeros((2, 5, 2))),
            ValueError,
            "smaller than the window 3 × 3",
        ),
        (lambda c: Conv2d.init(np, RNG(0), 1, 1, kernel=0), ValueError, "Conv2d.init: kernel must be a positive"),
        (lambda c: max_pool2d(np.zeros((5, 5))), ValueError, "max_pool2d: x must have shape"),
        (lambda c: mean_pool2d(np.zeros((1, 5, 2))), ValueError, "mean_pool2d: x of shape .* smaller than the window"),
        (lambda c: mean_pool2d(np.zeros((5, 5, 2)), (2, 2, 2)), ValueError, "mean_pool2d: window must be"),
    ],
)
def test_errors(make, error, words):
    with pytest.raises(error, match=words):
        make(Conv2d.init(np, RNG(0), 2, 4))
