"""Autocast, torch.compile, and a GPU that must not be waited for."""

import subprocess
import sys

import numpy as np
import pytest
from cases import CASES

import arrmb

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
from torch.utils._python_dispatch import TorchDispatchMode  # noqa: E402

import arrmb.plugins.torch as plugin  # noqa: E402
from arrmb.plugins.torch import layers, linalg  # noqa: E402

# ------------------------------------------------------------------------------------------------------- autocast


def features():
    return torch.randn(2, 6, 4, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_computes_in_single_precision(dtype):
    x = features().to(dtype).requires_grad_()
    single = x.detach().float().requires_grad_()
    expected = layers.second_order_pooling(single)
    with torch.autocast("cpu", dtype=dtype):
        y = layers.second_order_pooling(x)
        y.sum().backward()  # also where the backward pass is run inside
    expected.sum().backward()
    assert y.dtype == torch.float32 and x.grad.dtype == dtype
    assert torch.equal(y.detach(), expected.detach())
    assert torch.equal(x.grad, single.grad.to(dtype))


def test_autocast_leaves_single_and_double_precision():
    with torch.autocast("cpu", dtype=torch.bfloat16):
        for dtype in (torch.float32, torch.float64):
            x = features().to(dtype).requires_grad_()
            y = linalg.matmul(x, x.mT)
            (g,) = torch.autograd.grad(y.sum(), x, create_graph=True)
            (h,) = torch.autograd.grad((g * x.detach()).sum(), x)
            assert y.dtype == g.dtype == h.dtype == dtype
        assert torch.allclose(y, x @ x.mT)  # float64 is not autocast by PyTorch either


def test_autocast_in_a_model():
    model = torch.nn.Sequential(torch.nn.Linear(4, 3), plugin.SecondOrderPooling(), torch.nn.Linear(3, 1))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = model(features())
    assert y.dtype == torch.bfloat16  # of the last layer
    y.float().sum().backward()
    assert all(p.grad.dtype == torch.float32 and p.grad.isfinite().all() for p in model.parameters())


# -------------------------------------------------------------------------------------------------- torch.compile


@pytest.fixture
def model():
    import torch._dynamo

    torch._dynamo.reset()
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Linear(4, 3),
        torch.nn.ReLU(),
        plugin.Module(arrmb.layers.Linear.init(torch, np.random.default_rng(0), 3, 3)),
        plugin.SecondOrderPooling(),
        torch.nn.Flatten(),
        torch.nn.Linear(9, 2),
    )


# PyTorch looks at the gradient of what crosses any break of a graph, and hides its own warning about it but not from
# a filter that makes errors of warnings
compiles = pytest.mark.filterwarnings(
    "ignore:The .grad attribute of a Tensor that is not a leaf Tensor", "ignore:.*is deprecated:DeprecationWarning"
)


@compiles
@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_compiled_models_give_the_same(model, backend):
    compiled = torch.compile(model, backend=backend)
    for x in (features(), 2.0 * features()):
        expected, found = model(x), compiled(x)
        torch.testing.assert_close(found, expected)
        expected = torch.autograd.grad(expected.square().sum(), list(model.parameters()))
        found = torch.autograd.grad(found.square().sum(), list(model.parameters()))
        torch.testing.assert_close(found, expected)


@compiles
def test_the_whole_graph_cannot_be_compiled(model):
    with pytest.raises(torch._dynamo.exc.Unsupported, match="arrmb runs outside of the graph"):
        torch.compile(model, backend="eager", fullgraph=True)(features())


def test_the_compiler_is_loaded_only_to_compile():
    code = (
        "import sys, torch; before = 'torch._dynamo' in sys.modules; import arrmb.plugins.torch as p; "
        "p.linalg.logmh(torch.eye(2, requires_grad=True)).sum().backward(); "
        "print(before, 'torch._dynamo' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    before, after = done.stdout.split()
    assert after == before


# ------------------------------------------------------------------------------- no waiting for a GPU: values unseen

LOOKS = {"layers.normalized_cuts_loss", "layers.normalized_cuts_loss, weights"}  # at labels and degrees, by nature
case = pytest.mark.parametrize("name", CASES)


def arguments(name, place):
    return [torch.tensor(np.asarray(a), device=place) for a in CASES[name].make(np.random.default_rng(0))]


def differentiate(name, args):
    """Forward pass, backward pass, and the backward pass of that."""
    order = 1 if name == "linalg.logm" else CASES[name].order  # where nobody can see when to stop, it takes many steps
    inputs = [x.requires_grad_() for x in args if x.is_floating_point()]
    outputs = arrmb.tree.flatten(CASES[name].call(plugin, *args))[0]
    seeds = [torch.ones_like(y) for y in outputs]
    gradients = torch.autograd.grad(outputs, inputs, seeds, create_graph=order > 1)
    gradients = [g for g in gradients if g.requires_grad]
    if gradients:
        torch.autograd.grad(gradients, inputs, [torch.ones_like(g) for g in gradients], allow_unused=True)
    return outputs


@case
def test_tensors_without_values(name):
    """Tensors of the meta device have no values: whatever looks at one raises."""
    if name in LOOKS:
        with pytest.raises(NotImplementedError, match="_unique2"):
            differentiate(name, arguments(name, "meta"))
    else:
        assert all(y.device.type == "meta" for y in differentiate(name, arguments(name, "meta")))


class Waits(TorchDispatchMode):
    """The names of the operations that would make a GPU wait, or copy between devices."""

    def __init__(self):
        super().__init__()
        self.found = set()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = function.name().removeprefix("aten::")
        if name in ("_local_scalar_dense", "nonzero", "_unique2", "is_nonzero", "equal"):
            self.found.add(name)
        if name == "_to_copy" and (kwargs or {}).get("device") is not None:
            self.found.add(name)
        return function(*args, **(kwargs or {}))


@pytest.fixture
def as_on_a_gpu(monkeypatch):
    for name, module in list(sys.modules.items()):
        if name.startswith("arrmb.") and hasattr(module, "on_host"):
            monkeypatch.setattr(module, "on_host", lambda x: False)


@case
def test_nothing_waits(name, as_on_a_gpu):
    args = arguments(name, "cpu")
    with Waits() as waits:
        differentiate(name, args)
    assert waits.found == (set() if name not in LOOKS else {"_unique2", "_local_scalar_dense"})


def test_waiting_is_noticed():
    args = arguments("linalg.logmh", "cpu")
    with Waits() as waits:
        differentiate("linalg.logmh", args)  # on the host the eigenvalues are looked at
    assert waits.found == {"_local_scalar_dense"}
