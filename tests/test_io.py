"""Saving and loading of parameters."""

import sys

import numpy as np
import pytest

import arrmb
from arrmb import io, tree
from arrmb.layers import Conv2d, GroupNorm, Linear
from arrmb.optim import adam, adam_init

pytest.importorskip("safetensors")
RNG = np.random.default_rng


def network(xp, seed, device=None):
    rng = RNG(seed)
    return {
        "trunk": [Conv2d.init(xp, rng, 1, 4, stride=2, device=device), GroupNorm.init(xp, 4, 2, device=device)],
        "head": Linear.init(xp, rng, 4, 3, bias=False, dtype=xp.float64, device=device),
    }


def arrays(backend, params):
    return [backend.get(v) for v in tree.flatten(params)[0]]


def test_network(backend, tmp_path):
    """Values, dtypes, device and structure come back, into a model of another seed."""
    saved, like = network(backend.xp, 0, backend.device), network(backend.xp, 1, backend.device)
    io.save(tmp_path / "model.safetensors", saved)
    loaded = io.load(tmp_path / "model.safetensors", like)
    assert tree.flatten(loaded)[1] == tree.flatten(saved)[1] and loaded["trunk"][0].stride == 2
    for a, b in zip(tree.flatten(loaded)[0], tree.flatten(saved)[0]):
        assert a.dtype == b.dtype and arrmb._xp.device(a) == arrmb._xp.device(b)
        assert type(a) is type(b) and np.array_equal(backend.get(a), backend.get(b))


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128", "int32", "bool", "uint8"])
@pytest.mark.parametrize("shape", [(), (0, 2), (2, 3, 2)])
def test_dtypes(backend, tmp_path, dtype, shape):
    rng = RNG(2)
    x = rng.standard_normal(shape) + 1j * rng.standard_normal(shape)
    x = np.asarray(x if "complex" in dtype else np.asarray(x.real) > 0 if dtype == "bool" else 9.0 * abs(x)).astype(
        dtype
    )
    ours = backend.xp.asarray(x, device=backend.device)
    io.save(tmp_path / "x", ours)
    loaded = io.load(tmp_path / "x", backend.xp.zeros_like(ours))
    assert loaded.dtype == ours.dtype and np.array_equal(backend.get(loaded), x)


def test_non_contiguous_arrays(backend, tmp_path):
    x = backend.put(RNG(3).standard_normal((3, 4)), "float32")
    views = {"transposed": backend.xp.matrix_transpose(x), "strided": x[:, ::2], "conj": backend.xp.conj(x * 1j)}
    io.save(tmp_path / "x", views)
    for a, b in zip(arrays(backend, io.load(tmp_path / "x", views)), arrays(backend, views)):
        assert np.array_equal(a, b)


def test_from_one_backend_to_another(backend, tmp_path):
    """A model of float64 on NumPy, loaded as float32 on any backend."""
    saved = {"w": RNG(4).standard_normal((2, 3))}
    io.save(tmp_path / "w", saved)
    loaded = io.load(tmp_path / "w", {"w": backend.put(np.zeros((2, 3)), "float32")})["w"]
    assert loaded.dtype == backend.xp.float32
    assert np.array_equal(backend.get(loaded), saved["w"].astype(np.float32))


def test_optimiser_state(tmp_path):
    """A run that is interrupted, saved and resumed takes the same steps."""
    params, grads = {"w": RNG(5).standard_normal(3)}, {"w": np.ones(3)}
    params, state = adam(params, grads, adam_init(params))
    io.save(tmp_path / "run", (params, state))
    resumed, its_state = io.load(tmp_path / "run", (params, adam_init(params)))
    assert its_state.step == 1
    assert np.array_equal(adam(resumed, grads, its_state)[0]["w"], adam(params, grads, state)[0]["w"])


def test_a_file_that_does_not_fit(tmp_path):
    io.save(tmp_path / "x", {"a": np.ones((2, 3)), "b": np.ones(2), "c": [np.ones(1)]})
    with pytest.raises(ValueError, match=r"'a' has shape \(2, 3\) in the file, \(3, 2\) is needed") as error:
        io.load(tmp_path / "x", {"a": np.ones((3, 2)), "b": np.ones(2), "d": np.ones(1)})
    assert "'c.0' is in the file only" in str(error.value) and "'d' is missing in the file" in str(error.value)
    assert "'b'" not in str(error.value)
    with pytest.raises(TypeError, match="'b' is of dtype float64 in the file, integer is needed"):
        io.load(tmp_path / "x", {"a": np.ones((2, 3)), "b": np.ones(2, dtype=int), "c": [np.ones(1)]})
    with pytest.raises(ValueError, match=r"'b' has shape \(2,\) in the file, \(2, 2\) is needed"):  # real for complex
        io.load(tmp_path / "x", {"a": np.ones((2, 3)), "b": np.ones(2, dtype=complex), "c": [np.ones(1)]})


def test_errors(tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError, match="load: no file"):
        io.load(tmp_path / "nowhere", np.ones(1))
    with pytest.raises(ValueError, match=r"two entries are named 'a.b'"):
        io.save(tmp_path / "x", {"a.b": np.ones(1), "a": {"b": np.ones(1)}})
    with pytest.raises(TypeError, match="'name' must be an array or a number, got str"):
        io.save(tmp_path / "x", {"name": "w"})
    with pytest.raises(TypeError, match="'w' is a traced array"):
        arrmb.grad(lambda p: io.save(tmp_path / "x", p))({"w": np.ones(())})
    monkeypatch.setitem(sys.modules, "safetensors", None)
    monkeypatch.setitem(sys.modules, "safetensors.numpy", None)
    with pytest.raises(ImportError, match=r"pip install 'arrmb\[io\]'"):
        io.save(tmp_path / "x", np.ones(1))
