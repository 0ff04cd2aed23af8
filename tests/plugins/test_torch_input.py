"""Wrong input: one line that names the function, what it got, and the remedy."""

import subprocess
import sys

import numpy as np
import pytest

import arrmb

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

import arrmb.plugins.torch as plugin  # noqa: E402
from arrmb.plugins.torch import layers, linalg  # noqa: E402

X = torch.eye(3)


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda: linalg.logmh(np.eye(3)), TypeError, "logmh: expected PyTorch tensors, got numpy.ndarray"),
        (
            lambda: layers.second_order_pooling(X, masks=np.ones((2, 3))),
            TypeError,
            "second_order_pooling: expected PyTorch tensors, got numpy.ndarray",
        ),
        (
            lambda: arrmb.grad(lambda x: linalg.trace(linalg.logmh(x)))(X),
            TypeError,
            "logmh: this function of a plug-in was called inside of `function`, arrmb.grad or the like: there, use",
        ),
        (
            lambda: layers.second_order_pooling(X, masks=torch.ones(2, 3, device="meta")),
            ValueError,
            r"second_order_pooling: tensors on different devices \(features on cpu, masks on meta\): move them to one",
        ),
        (
            lambda: layers.normalized_cuts_loss(X.to("meta"), torch.zeros(3, dtype=torch.int64)),
            ValueError,
            r"normalized_cuts_loss: tensors on different devices \(features on meta, labels on cpu\)",
        ),
        (
            lambda: linalg.multi_dot([X, X.to("meta")]),
            ValueError,
            r"multi_dot: tensors on different devices \(arrays.0 on cpu, arrays.1 on meta\)",
        ),
        (
            lambda: linalg.logmh(X.half()),
            TypeError,
            r"logmh: got a tensor of dtype torch.float16, and needs .* precision: cast it with x.float\(\)",
        ),
        (lambda: linalg.logmh(X.half().to("meta")), TypeError, "logmh: got a tensor of dtype torch.float16"),
        (lambda: linalg.matmul(X.bfloat16(), X), TypeError, "matmul: got a tensor of dtype torch.bfloat16"),
        (lambda: linalg.logmh(torch.eye(3, dtype=torch.int64)), TypeError, "logmh: x has dtype torch.int64, and must"),
        (lambda: linalg.logmh([1.0]), TypeError, "logmh: x must be a floating-point array, got list"),
        (lambda: linalg.logmh(torch.ones(3, 2)), ValueError, r"logmh: x must have shape \(..., n, n\), got \(3, 2\)"),
        (lambda: linalg.logmh(-X), ValueError, "logmh: argument x must be positive definite"),
        (lambda: layers.second_order_pooling(X, eps=-1.0), ValueError, "second_order_pooling: eps must be a positive"),
        (lambda: plugin.function(3), TypeError, "function: f must be a function, got int"),
        (lambda: plugin.Module({"w": X}), TypeError, "Module: a dict cannot be called: pass f too"),
        (lambda: plugin.Module({"w": X}, 3), TypeError, "Module: f must be a function, got int"),
        (
            lambda: plugin.NormalizedCutsLoss("average"),
            ValueError,
            "NormalizedCutsLoss: reduction must be .* got 'average'",
        ),
    ],
)
def test_messages(call, error, message):
    with pytest.raises(error, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_numbers_of_numpy_are_numbers():
    found = linalg.powmh(4.0 * X, np.float64(0.5))
    assert found.dtype == torch.float32
    np.testing.assert_allclose(found, 2.0 * np.eye(3), rtol=1e-6)


def test_a_number_on_the_cpu_meets_tensors_anywhere():
    y = plugin.function(lambda x, s: x * s)(X.to("meta"), torch.tensor(2.0))
    assert y.device.type == "meta"


def run(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    return done.returncode, done.stderr.strip().splitlines()[-1]


def test_without_pytorch():
    code, line = run("import sys; sys.modules['torch'] = None; import arrmb.plugins.torch")
    assert code == 1
    assert line == "ImportError: arrmb.plugins.torch: needs PyTorch: pip install 'arrmb[torch]'"


def test_a_version_that_is_too_old():
    fake = "import sys, types; sys.modules['torch'] = types.SimpleNamespace(__version__='2.3.1+cu121')"
    code, line = run(f"{fake}; import arrmb.plugins.torch")
    assert code == 1
    assert line.startswith("ImportError: arrmb.plugins.torch: needs PyTorch 2.4 or newer, found 2.3.1+cu121: pip inst")


def test_the_signatures_are_arrmbs():
    import inspect

    for name in arrmb.linalg.__all__:
        ours, theirs = getattr(arrmb.linalg, name), getattr(linalg, name)
        assert inspect.signature(ours) == inspect.signature(theirs) and ours.__doc__ == theirs.__doc__
    assert set(linalg.__all__) == set(arrmb.linalg.__all__)
