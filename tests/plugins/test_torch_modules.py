"""Modules: parameters by their path, state, devices, copies, training on one process and on two."""

import copy
import io
import os
import pathlib
import pickle
import re
import socket
import subprocess
import sys

import numpy as np
import pytest

import arrmb

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

import arrmb.plugins.torch as plugin  # noqa: E402


def network():
    rng = np.random.default_rng(0)
    layer = arrmb.layers
    return {
        "trunk": [layer.Linear.init(torch, rng, 3, 4), layer.Linear.init(torch, rng, 4, 2, bias=False)],
        "norm": layer.GroupNorm(torch.ones(4), torch.zeros(4), groups=2),
        "shift": torch.tensor(1),
    }


def forward(net, x):
    first, second = net["trunk"]
    return second(arrmb.layers.relu(net["norm"](first(x)))) + net["shift"]


NAMES = {"trunk.0.weight", "trunk.0.bias", "trunk.1.weight", "norm.scale", "norm.shift"}


def test_parameters_and_state():
    module = plugin.Module(network(), forward)
    assert dict(module.named_parameters()).keys() == NAMES
    assert dict(module.named_buffers()).keys() == {"shift"}
    x = torch.linspace(-1.0, 1.0, 24).reshape(2, 2, 2, 3)
    expected = forward(network(), x)
    assert torch.equal(module(x).detach(), expected)
    module(x).square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in module.parameters())

    other = plugin.Module(arrmb.tree.map(torch.zeros_like, network()), forward)
    other.load_state_dict(module.state_dict())
    assert torch.equal(other(x), module(x))
    file = io.BytesIO()
    torch.save(module.state_dict(), file)
    file.seek(0)
    other.load_state_dict(torch.load(file, weights_only=True), strict=True)


def test_names():
    x = torch.eye(2)
    module = plugin.Module(2.0 * x, lambda p, x: p @ x)
    assert [name for name, _ in module.named_parameters()] == ["value"] and torch.equal(module(x), 2.0 * x)
    for parameters in (
        {"a.b": x, "a": {"b": x.clone()}},
        {"training": x},
        {"a": [{"forward": x}]},
        {"_layer": x},
        {"": x},
    ):
        with pytest.raises(ValueError, match=r"Module: an array cannot be named '.*' is taken; give the array another"):
            plugin.Module({"first": x.clone(), "tree": parameters} if "" in parameters else parameters, forward)


def test_copies_and_devices():
    module = plugin.Module(network(), forward)
    x = torch.linspace(-1.0, 1.0, 24).reshape(2, 2, 2, 3)
    for other in (copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
        assert torch.equal(other(x), module(x))
        with torch.no_grad():
            next(other.parameters()).add_(1.0)
        assert not torch.equal(other(x), module(x))
    assert module.double()(x.double()).dtype == torch.float64
    assert module.to("meta")(x.double().to("meta")).device.type == "meta"


def test_frozen_parameters():
    module = plugin.Module(arrmb.layers.Linear.init(torch, np.random.default_rng(0), 3, 2)).requires_grad_(False)
    assert not module(torch.ones(1, 3)).requires_grad
    module.bias.requires_grad_()
    module(torch.ones(1, 3)).sum().backward()
    assert module.weight.grad is None and module.bias.grad.eq(1.0).all()


def test_layers_functions_and_numpy_arrays():
    layer = arrmb.layers.Linear(np.eye(3), np.ones(3))
    module = plugin.Module(layer)
    assert repr(module) == "Module(Linear)" and isinstance(module.weight, torch.nn.Parameter)
    with torch.no_grad():
        module.weight.zero_()
    assert layer.weight[0, 0] == 1.0  # copied
    assert type(module.as_layer()) is arrmb.layers.Linear
    logarithm = plugin.Module(arrmb.linalg.logmh)
    assert list(logarithm.parameters()) == [] and repr(logarithm) == "Module(logmh)"
    assert logarithm(torch.eye(2)).eq(0.0).all()
    model = torch.nn.Sequential(torch.nn.Linear(4, 3), plugin.Module(arrmb.layers.relu), module.float())
    assert set(model.state_dict()) == {"0.weight", "0.bias", "2.weight", "2.bias"}


def test_shared_parameters():
    w = torch.eye(3)
    module = plugin.Module({"encode": w, "decode": w}, lambda p, x: x @ p["encode"] @ p["decode"].mT)
    assert module.encode is module.decode and len(list(module.parameters())) == 1
    module(torch.ones(1, 3)).sum().backward()
    assert module.encode.grad.eq(2.0).all()


def test_second_order_pooling():
    maps = torch.randn(2, 4, 3, 3, generator=torch.Generator().manual_seed(0)).requires_grad_()
    pool = plugin.SecondOrderPooling(eps=1e-2, transform="power", average=True)
    assert repr(pool) == "SecondOrderPooling(eps=0.01, transform='power', average=True)"
    features = maps.flatten(2).mT
    found = pool(features)
    expected = arrmb.layers.second_order_pooling(features.detach(), eps=1e-2, transform="power", average=True)
    assert torch.equal(found.detach(), expected)
    masks = torch.ones(2, 1, 9)
    torch.testing.assert_close(pool(features, masks)[:, 0], found)  # scaled before and after the product: rounding
    found.sum().backward()
    assert maps.grad.isfinite().all()


def test_normalized_cuts_loss():
    features = torch.rand(2, 6, 3, generator=torch.Generator().manual_seed(0)) + 0.5
    labels = torch.tensor([[0, 0, 1, 1, 2, 2], [0, 0, 0, 1, 1, 1]])
    each = arrmb.layers.normalized_cuts_loss(features, labels)
    assert torch.equal(plugin.NormalizedCutsLoss("none")(features, labels), each)
    assert plugin.NormalizedCutsLoss()(features, labels) == each.mean()
    assert plugin.NormalizedCutsLoss("sum")(features.requires_grad_(), labels).requires_grad


def test_training():
    """A few steps of an optimiser of PyTorch's, through modules of both kinds."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Linear(3, 6), torch.nn.ReLU(), plugin.SecondOrderPooling(), torch.nn.Flatten(), torch.nn.Linear(36, 2)
    )
    x, labels = torch.randn(16, 5, 3), torch.arange(16) % 2
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-2)
    losses = []
    for _ in range(30):
        optimiser.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(x), labels)
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.1 * losses[0]


def test_functional_call():
    module = plugin.Module(network(), forward)
    parameters = {name: p.detach() for name, p in module.named_parameters()}
    x = torch.linspace(-1.0, 1.0, 24).reshape(2, 2, 2, 3)

    def loss(parameters, x):
        return torch.func.functional_call(module, parameters, (x[None],)).square().sum()

    each = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0))(parameters, x)
    for i in range(2):
        module.zero_grad()
        module(x[i : i + 1]).square().sum().backward()
        for name, p in module.named_parameters():
            np.testing.assert_allclose(each[name][i], p.grad, rtol=1e-4, atol=1e-5)


WORKER = """
import os, sys, torch, numpy as np
import torch.distributed as dist
import arrmb, arrmb.plugins.torch as plugin
torch.set_num_threads(1)
rank = int(sys.argv[1])
dist.init_process_group("gloo", rank=rank, world_size=2)
torch.manual_seed(0)
model = torch.nn.Sequential(
    plugin.Module(arrmb.layers.Linear.init(torch, np.random.default_rng(0), 3, 6, dtype=torch.float64)),
    plugin.SecondOrderPooling(),
)
x = torch.randn(4, 5, 3, dtype=torch.float64)
parallel = torch.nn.parallel.DistributedDataParallel(model)
parallel(x[2 * rank : 2 * rank + 2]).square().mean().backward()
found = [p.grad.clone() for p in model.parameters()]
model.zero_grad()
model(x).square().mean().backward()
for g, p in zip(found, model.parameters(), strict=True):
    assert torch.allclose(g, p.grad, rtol=1e-11), (g, p.grad)
    assert g.abs().max() > 0
dist.destroy_process_group()
print("equal")
"""


def test_two_processes():
    """DistributedDataParallel: the mean of the gradients on two halves of a batch is that on the whole."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    environment = {
        **os.environ,
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "GLOO_SOCKET_IFNAME": "lo",
        "PYTHONPATH": os.pathsep.join([os.getcwd(), os.environ.get("PYTHONPATH", "")]),
    }
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, str(rank)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        results = [worker.communicate(timeout=100) for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
    assert [worker.returncode for worker in workers] == [0, 0], results
    assert all("equal" in out for out, _ in results)


def test_the_documentation(capsys):
    """The code of the page runs, and prints what it says."""
    page = pathlib.Path(arrmb.__file__).parents[1] / "docs" / "plugins" / "torch.md"
    scope = {"__name__": "page"}
    first, *others = re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)
    exec(first, scope)
    assert capsys.readouterr().out.count("nan") == 9
    assert torch.equal(scope["gradient"], scope["g"]) and torch.allclose(scope["second"], -scope["g"] @ scope["g"])
    for block in others:
        exec(block, scope)
    assert scope["linear"].weight.grad.isfinite().all()
