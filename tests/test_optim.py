"""Optimisers, against PyTorch's."""

import numpy as np
import pytest

import arrmb
from arrmb import tree
from arrmb.optim import adam, adam_init, sgd, sgd_init

RNG = np.random.default_rng


def descend(backend, init, step, start, targets, steps=5, dtype="float64"):
    """Steps on Σ |p - target|⁴ / 4 over a nested tree of parameters, as NumPy arrays."""
    params = {"a": backend.put(start[0], dtype), "b": [backend.put(start[1], dtype)]}
    goals = [backend.put(t, dtype) for t in targets]

    def loss(params):
        total = 0.0
        for p, t in zip((params["a"], params["b"][0]), goals):
            xp = arrmb.namespace(p)
            distance = xp.abs(p - t)
            total = total + 0.25 * xp.sum(distance * distance * distance * distance)
        return total

    state = init(params)
    for _ in range(steps):
        params, state = step(params, arrmb.grad(loss)(params), state)
    return [backend.get(p) for p in (params["a"], params["b"][0])], params, state


def descend_torch(make, start, targets, steps=5):
    torch = pytest.importorskip("torch")
    params = [torch.tensor(p, requires_grad=True) for p in start]
    optimiser = make(torch.optim, params)
    for _ in range(steps):
        optimiser.zero_grad()
        sum(0.25 * (abs(p - torch.tensor(t)) ** 4).sum() for p, t in zip(params, targets)).backward()
        optimiser.step()
    return [p.detach().numpy() for p in params]


def problem(complex=False):
    rng = RNG(0)
    arrays = [rng.standard_normal(shape) for shape in ((3, 2), (4,)) * 2]
    if complex:
        arrays = [x + 1j * rng.standard_normal(x.shape) for x in arrays]
    return arrays[:2], arrays[2:]


CASES = {
    "sgd": (sgd_init, sgd, {"lr": 0.02}, lambda o, p: o.SGD(p, lr=0.02, momentum=0.9)),
    "plain sgd": (sgd_init, sgd, {"lr": 0.05, "momentum": 0.0}, lambda o, p: o.SGD(p, lr=0.05)),
    "nesterov, decay": (
        sgd_init,
        sgd,
        {"lr": 0.02, "momentum": 0.8, "nesterov": True, "weight_decay": 0.1},
        lambda o, p: o.SGD(p, lr=0.02, momentum=0.8, nesterov=True, weight_decay=0.1),
    ),
    "adam": (
        adam_init,
        adam,
        {"lr": 0.05, "betas": (0.8, 0.95), "eps": 1e-3},
        lambda o, p: o.Adam(p, lr=0.05, betas=(0.8, 0.95), eps=1e-3),
    ),
    "adamw": (adam_init, adam, {"lr": 0.05, "weight_decay": 0.1}, lambda o, p: o.AdamW(p, lr=0.05, weight_decay=0.1)),
}


@pytest.mark.parametrize("init, step, options, theirs", CASES.values(), ids=CASES)
def test_against_torch(backend, init, step, options, theirs):
    start, targets = problem()
    ours, _, _ = descend(backend, init, lambda *args: step(*args, **options), start, targets)
    for p, q in zip(ours, descend_torch(theirs, start, targets)):
        np.testing.assert_allclose(p, q, rtol=1e-11)


@pytest.mark.parametrize("init, step", [(sgd_init, sgd), (adam_init, adam)])
def test_complex_parameters_go_downhill(backend, init, step):
    start, targets = problem(complex=True)
    moved, _, _ = descend(backend, init, lambda *args: step(*args, lr=0.01), start, targets)
    for p, q, t in zip(moved, start, targets):
        assert np.sum(np.abs(p - t) ** 4) < np.sum(np.abs(q - t) ** 4)


@pytest.mark.parametrize("init, step", [(sgd_init, sgd), (adam_init, adam)])
def test_pure_and_of_one_dtype(backend, init, step):
    """Arguments stay as they are, and everything stays float32 on its device."""
    params = {"w": backend.put(np.ones((2, 2)), "float32")}
    state = init(params)
    grads = {"w": backend.put(np.full((2, 2), 0.5), "float32")}
    moved, after = step(params, grads, state, lr=0.1, weight_decay=0.1)
    for leaf in [moved["w"], *[v for v in tree.flatten(after)[0] if hasattr(v, "dtype")]]:
        assert leaf.dtype == backend.xp.float32
        assert arrmb._xp.device(leaf) == arrmb._xp.device(params["w"])
    assert np.all(backend.get(params["w"]) == 1.0) and np.all(backend.get(moved["w"]) < 1.0)
    again, _ = step(params, grads, state, lr=0.1, weight_decay=0.1)
    assert np.all(backend.get(again["w"]) == backend.get(moved["w"]))


@pytest.mark.parametrize("init, step, name", [(sgd_init, sgd, "sgd"), (adam_init, adam, "adam")])
def test_errors(init, step, name):
    params = {"w": np.ones((3, 1)), "b": np.ones(3)}
    with pytest.raises(ValueError, match=rf"{name}: grads must have the shapes of params; 'w' has \(3,\), .*\(3, 1\)"):
        step(params, {"w": np.ones(3), "b": np.ones(3)}, init(params), lr=0.1)
    with pytest.raises(ValueError, match=f"{name}: grads must have the structure of params"):
        step(params, {"w": np.ones((3, 1))}, init(params), lr=0.1)
    with pytest.raises(ValueError, match=f"{name}: state.* must have the structure of params"):
        step(params, params, init({"w": params["w"]}), lr=0.1)
