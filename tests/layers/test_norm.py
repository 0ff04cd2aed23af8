"""Group normalisation, against PyTorch's."""

import numpy as np
import pytest

import arrmb
from arrmb.layers import GroupNorm, group_norm
from arrmb.testing import check_grads

RNG = np.random.default_rng


@pytest.mark.parametrize("groups", [1, 2, 6])
def test_against_torch(backend, groups):
    torch = pytest.importorskip("torch")
    rng = RNG(0)
    args = [rng.standard_normal(shape) for shape in ((2, 4, 3, 6), (6,), (6,), (2, 4, 3, 6))]
    x, scale, shift, weights = [torch.tensor(a, requires_grad=True) for a in args]
    expected = torch.movedim(torch.nn.functional.group_norm(torch.movedim(x, -1, 1), groups, scale, shift, 1e-4), 1, -1)
    (expected * weights).sum().backward()
    ours = [backend.put(a, "float64") for a in args]
    y, pullback = arrmb.vjp(lambda x, a, b: GroupNorm(a, b, groups, 1e-4)(x), *ours[:3])
    np.testing.assert_allclose(backend.get(y), expected.detach().numpy(), rtol=1e-11, atol=1e-12)
    for bar, a in zip(pullback(ours[3]), (x, scale, shift)):
        np.testing.assert_allclose(backend.get(bar), a.grad.numpy(), rtol=1e-10, atol=1e-11)


def test_derivatives(backend):
    layer = GroupNorm.init(backend.xp, 4, 2, dtype=backend.xp.float64, device=backend.device)
    x = backend.put(RNG(1).standard_normal((3, 2, 4)), "float64")
    check_grads(lambda layer, x: layer(x), (layer, x))


@pytest.mark.parametrize("moved", ["scale", "shift"])
def test_derivative_in_one_parameter(backend, moved):
    """The others are raw arrays then, and meet the traced one on every backend."""
    rng = RNG(2)
    parts = {name: backend.put(rng.standard_normal(4), "float64") for name in ("scale", "shift")}
    x = backend.put(RNG(3).standard_normal((3, 2, 4)), "float64")
    check_grads(lambda v: GroupNorm(**{**parts, moved: v}, groups=2)(x), (parts[moved],), order=1)


@pytest.mark.parametrize(
    "make, error, words",
    [
        (
            lambda: group_norm(np.zeros((3, 3, 4)), 3),
            ValueError,
            "group_norm: groups must be .* divides the 4 channels, got 3",
        ),
        (lambda: group_norm(np.zeros((3, 3, 4)), 2, eps=0.0), ValueError, "group_norm: eps must be positive"),
        (lambda: group_norm(np.zeros((3, 4)), 2), ValueError, "group_norm: x must have shape"),
        (lambda: group_norm(np.zeros((3, 3, 4), dtype=int), 2), TypeError, "group_norm: x has dtype int"),
        (lambda: GroupNorm.init(np, 4, 2)(np.zeros((3, 3, 6))), ValueError, "GroupNorm: x must have 4 channels"),
    ],
)
def test_errors(make, error, words):
    with pytest.raises(error, match=words):
        make()
