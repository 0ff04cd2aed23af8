"""The node in PyTorch's graph: what it keeps and for how long, updates in place, captured tensors, shared memory."""

import gc
import weakref

import numpy as np
import pytest

import arrmb

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
from torch.autograd import forward_ad  # noqa: E402
from torch.utils.checkpoint import checkpoint  # noqa: E402

import arrmb.plugins.torch as plugin  # noqa: E402
from arrmb.plugins.torch import layers, linalg  # noqa: E402

jit = pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated")  # PyTorch's own use of it, in forward mode


def spd(n=4):
    generator = torch.Generator().manual_seed(n)
    x = torch.randn(n, n, generator=generator, dtype=torch.float64)
    return (x @ x.mT + torch.eye(n, dtype=torch.float64)).requires_grad_()


def alive():
    """The tensors that Python or the graph holds, by the memory that they take."""
    return sum(1 for x in gc.get_objects() if type(x) is torch.Tensor)


# ----------------------------------------------------------------------------------------------- what is recorded


def test_nothing_is_recorded_without_need():
    x = spd()
    assert linalg.logmh(x.detach()).grad_fn is None
    for off in (torch.no_grad(), torch.inference_mode()):
        with off:
            assert not linalg.logmh(x).requires_grad
    assert linalg.logmh(x).grad_fn.name() == "ArrmbBackward"


def test_constants_get_no_gradient():
    x, y = spd(), spd(4).detach()
    assert linalg.solve(x, y).requires_grad
    (gradient,) = torch.autograd.grad(linalg.solve(y, x).sum(), x)
    np.testing.assert_allclose(gradient, (torch.linalg.inv(y).mT @ torch.ones_like(y)), rtol=1e-11)


def test_a_tensor_in_two_places():
    x, b = spd(), spd().detach()
    for y, expected in ((linalg.multi_dot([b, b, x, b]), b @ b @ x @ b), (linalg.kron(x, x), torch.kron(x, x))):
        found, reference = (torch.autograd.grad((v * v).sum(), x)[0] for v in (y, expected))
        np.testing.assert_allclose(found, reference, rtol=1e-11)


def test_integers_and_booleans_are_not_differentiable():
    x = spd()
    rank = linalg.matrix_rank(x)
    assert rank == 4 and not rank.requires_grad
    assert layers.normalized_cuts_segment(x.abs(), 2).dtype == torch.int64
    y, positive = plugin.function(lambda x: (x * x, x > 0.0))(x)
    assert y.requires_grad and not positive.requires_grad


def test_trees_in_and_out():
    @plugin.function
    def f(parts, *, scale, name):
        """About f."""
        return {"sum": parts["a"] + scale * parts["b"][0], "name": name, "pair": linalg_of_arrmb(parts["a"])}

    def linalg_of_arrmb(x):
        return arrmb.linalg.eigh(x)

    x = spd()
    found = f({"a": x, "b": [x]}, scale=2.0, name="n")
    assert found["name"] == "n" and type(found["pair"]).__name__ == "EighResult"
    assert f.__doc__ == "About f." and f.__name__ == "f"
    (gradient,) = torch.autograd.grad(found["sum"].sum() + found["pair"].eigenvalues.sum(), x)
    np.testing.assert_allclose(gradient, 3.0 * np.ones((4, 4)) + np.eye(4), atol=1e-12)


def test_a_layer_is_a_function():
    w, x = spd(), spd(4).detach()
    y = plugin.function(arrmb.layers.Linear(w))(x)
    (gradient,) = torch.autograd.grad(y.sum(), w)
    np.testing.assert_allclose(gradient, x.mT @ torch.ones_like(x), rtol=1e-12)


def test_unused_outputs_and_inputs():
    x, y = spd(), spd(3)
    w, _ = linalg.eigh(x)
    (gradient,) = torch.autograd.grad(w.sum(), x)
    np.testing.assert_allclose(gradient, np.eye(4), atol=1e-13)
    first = plugin.function(lambda x, y: x)(x, y)
    assert torch.autograd.grad(first.sum(), y, allow_unused=True) == (None,)


def test_the_same_tensor_twice():
    def f(x):
        return x, x, arrmb.namespace(x).zeros_like(x) + x

    x = spd()
    a, b, c = plugin.function(f)(x)
    (gradient,) = torch.autograd.grad((a + 2.0 * b + 3.0 * c).sum(), x)
    np.testing.assert_array_equal(gradient, 6.0 * np.ones((4, 4)))


# --------------------------------------------------------------------------------------------------- its life time


def test_a_second_backward_pass():
    x = spd()
    y = linalg.logmh(x).sum()
    y.backward(retain_graph=True)
    once = x.grad.clone()
    y.backward()
    np.testing.assert_array_equal(x.grad, 2.0 * once)
    with pytest.raises(RuntimeError, match="Trying to backward through the graph a second time"):
        y.backward()


@pytest.mark.parametrize("order", [1, 2])
def test_the_graph_is_freed_without_the_collector(order):
    """No reference cycles: all goes with the last reference to the result."""
    x = spd()

    def run():
        inner = x * 1.0
        y = layers.second_order_pooling(inner) + linalg.expmh(inner) + linalg.inv(inner)
        total = y.sum()
        if order == 2:
            (gradient,) = torch.autograd.grad(total, x, create_graph=True)
            total = gradient.sum()
        total.backward()
        unused = linalg.expmh(inner)  # its graph is never run
        return [weakref.ref(v) for v in (inner, y, total, unused, unused.grad_fn)]

    run()
    gc.collect()
    gc.disable()
    try:
        before = alive()
        references = run()
        assert [r() for r in references] == [None] * len(references)
        assert alive() == before
    finally:
        gc.enable()


def test_backward_frees_what_was_kept():
    """As PyTorch's own functions do, also while the loss lives on."""
    gc.collect()
    x = spd()
    before = alive()
    loss = layers.second_order_pooling(x).sum()
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.shape) or t, lambda t: t):
        layers.second_order_pooling(x)
    assert len(kept) <= 5  # the input, and what the adjoints of two ops need
    loss.backward()
    x.grad = None
    gc.collect()
    assert alive() - before == 1  # the loss


def test_what_does_not_lead_to_the_result_is_not_kept():
    kept = []

    def f(x):
        xp = arrmb.namespace(x)
        for _ in range(10):
            arrmb.linalg.expmh(x)
        return xp.sum(x * 2.0)

    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.shape) or t, lambda t: t):
        plugin.function(f)(spd())
    assert len(kept) == 1


def test_saved_tensor_hooks_and_checkpoints():
    x = spd()

    def f(x):
        return (linalg.logmh(x) ** 2).sum()

    (expected,) = torch.autograd.grad(f(x), x)
    with torch.autograd.graph.save_on_cpu():
        y = f(x)
    np.testing.assert_array_equal(torch.autograd.grad(y, x)[0], expected)
    y = checkpoint(f, x, use_reentrant=False)
    np.testing.assert_array_equal(torch.autograd.grad(y, x)[0], expected)


# ------------------------------------------------------------------------------------------------ updates in place


@pytest.mark.parametrize("update", ["input", "constant", "result"])
def test_an_update_in_place_is_noticed(update):
    x, b = spd() * 1.0, spd().detach()
    y = linalg.solve(x, b)
    z = y.sum()
    with torch.no_grad():
        {"input": x, "constant": b, "result": y}[update].mul_(2.0)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        z.backward()


def test_a_result_is_no_view_of_an_input():
    x = spd()
    inner = x * 1.0
    for f in (linalg.matrix_transpose, linalg.diagonal, plugin.function(lambda x: x)):
        y = f(inner)
        y.add_(1.0)
        assert torch.equal(inner, x) and y.requires_grad
    assert torch.autograd.grad(y.sum(), x)[0].eq(1.0).all()


def test_results_share_no_memory():
    """An update of one in place would change the other, and not its gradient."""

    def both(x):
        y = 2.0 * x
        return y, arrmb.namespace(y).reshape(y, (16,)), y

    for f in (both, lambda x: both(x)[::-1]):
        x = spd()
        a, b, c = plugin.function(f)(x)
        a.mul_(3.0)
        for y, slope in ((a, 6.0), (b, 2.0), (c, 2.0)):
            assert torch.equal(y.reshape(4, 4), slope * x)
            (gradient,) = torch.autograd.grad(y.sum(), x, retain_graph=True)
            assert gradient.eq(slope).all()


def test_gradients_share_no_memory():
    x, y = (torch.ones(3, 4, dtype=torch.float64, requires_grad=True) for _ in "xy")
    f = plugin.function(lambda x, y: arrmb.namespace(x).reshape(x, (12,)) + arrmb.namespace(y).reshape(y, (12,)))
    (2.0 * f(x, y)).sum().backward()
    x.grad.zero_()
    assert y.grad.eq(2.0).all()


# ------------------------------------------------------------------------------------------------ captured tensors


def test_a_captured_tensor_that_requires_grad():
    w, x = spd(), spd().detach()
    message = "closes over a tensor that requires grad, which would get no gradient: pass it as an argument, or detach"
    for argument in (x, x.clone().requires_grad_()):
        with pytest.raises(ValueError, match=message):
            plugin.function(lambda x: x @ w)(argument)
    with torch.no_grad():
        plugin.function(lambda x: x @ w)(x)
    assert plugin.function(lambda x: x @ w.detach())(x.clone().requires_grad_()).requires_grad


def test_a_captured_tensor_under_transformations():
    x = spd().detach()
    message = "closes over a tensor that torch.func differentiates"
    with pytest.raises(ValueError, match=message):
        torch.func.grad(lambda w: plugin.function(lambda x: x @ w)(x).sum())(x)
    with pytest.raises(ValueError, match=message):
        torch.func.grad(lambda w: linalg.spectral(x, lambda v: v * w).sum())(x[0, 0])
    for name in ("stack", "concat"):
        join = getattr(arrmb.namespace(x), name)
        with pytest.raises(ValueError, match=message):
            torch.func.grad(lambda w, join=join: plugin.function(lambda x: join([x, w]))(x).sum())(x)
    outside = x.clone().requires_grad_()
    with pytest.raises(ValueError, match="closes over a tensor that requires grad"):
        torch.func.grad(lambda x: plugin.function(lambda x: x @ outside)(x).sum())(x)
    found = torch.func.vmap(lambda w: plugin.function(lambda x: x @ w)(x))(torch.stack([x, 2.0 * x]))
    np.testing.assert_allclose(found[1], 2.0 * x @ x)


@jit
def test_a_captured_dual_tensor():
    x = spd().detach()
    with forward_ad.dual_level():
        w = forward_ad.make_dual(x, x)
        for argument in (x, w):
            with pytest.raises(ValueError, match="closes over a tensor that requires grad"):
                plugin.function(lambda x: x @ w)(argument)


# ---------------------------------------------------------------------------------------- modes, one inside another


@jit
def test_forward_mode_and_its_gradient():
    x, direction = spd(), spd(4).detach()
    with forward_ad.dual_level():
        y = linalg.logmh(forward_ad.make_dual(x, direction))
        value, change = forward_ad.unpack_dual(y)
    expected = arrmb.jvp(arrmb.linalg.logmh, (x.detach(),), (direction,))[1]
    np.testing.assert_allclose(change.detach(), expected, rtol=1e-12)
    (second,) = torch.autograd.grad(change.sum(), x)

    def total(x):
        return arrmb.namespace(x).sum(arrmb.jvp(arrmb.linalg.logmh, (x,), (direction,))[1])

    np.testing.assert_allclose(second, arrmb.grad(total)(x.detach()), rtol=1e-10)
    assert value.requires_grad


@jit
def test_autograd_around_transformations():
    x = spd()

    def f(x):
        return (linalg.logmh(x) ** 2).sum()

    outer = torch.autograd.grad(torch.func.grad(f)(x).sum(), x)[0].detach()
    (inner,) = torch.autograd.grad(f(x), x, create_graph=True)
    np.testing.assert_allclose(outer, torch.autograd.grad(inner.sum(), x)[0].detach(), rtol=1e-10)
    for options in ({}, {"vectorize": True}, {"vectorize": True, "outer_jacobian_strategy": "forward-mode"}):
        hessian = torch.autograd.functional.hessian(f, x.detach(), **options).detach()
        np.testing.assert_allclose(hessian, torch.func.hessian(f)(x.detach()), rtol=1e-10, atol=1e-13)


def test_nested_vmap():
    x = spd().detach()
    stacked = x * torch.arange(1.0, 7.0, dtype=x.dtype).reshape(2, 3, 1, 1)
    found = torch.func.vmap(torch.func.vmap(linalg.sqrtm))(stacked)
    np.testing.assert_allclose(found, linalg.sqrtm(stacked), rtol=1e-12)


def test_outside_of_the_domain_under_vmap():
    """One matrix of a batch that stands for another cannot be looked at: NaN where there would be an error."""
    x = torch.stack([torch.eye(3), -torch.eye(3)])
    with pytest.raises(ValueError, match="positive definite"):
        linalg.logmh(x)
    found = torch.func.vmap(linalg.logmh)(x)
    assert found[0].eq(0.0).all() and found[1].isnan().any()


def test_third_derivatives_say_so():
    x = spd()
    (g,) = torch.autograd.grad(linalg.logmh(x).sum(), x, create_graph=True)
    (h,) = torch.autograd.grad(g.sum(), x, create_graph=True)
    with pytest.raises(NotImplementedError, match="third derivatives are not implemented"):
        torch.autograd.grad(h.sum(), x)


def test_third_derivatives_where_there_are():
    x = spd()
    y = linalg.inv(x).sum()
    for _ in range(3):
        (g,) = torch.autograd.grad(y, x, create_graph=True)
        y = (g * x.detach()).sum()
    np.testing.assert_allclose(y.detach(), -6.0 * torch.linalg.inv(x.detach()).sum(), rtol=1e-10)
