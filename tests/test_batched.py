"""LAPACK on batches of NumPy matrices: precision, threads, errors."""

import numpy as np
import pytest

from arrmb import _batched, _threads

DTYPES = ("float32", "float64", "complex64", "complex128")


def matrices(dtype, batch=(5, 3), m=6, n=6, definite=True):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((*batch, m, n))
    if np.dtype(dtype).kind == "c":
        x = x + 1j * rng.standard_normal(x.shape)
    x = x.astype(dtype)
    return x @ np.conj(x.swapaxes(-1, -2)) + 3.0 * np.eye(m, dtype=dtype) if definite else x


def rebuilt(name, result):
    """The matrices that a decomposition is one of."""
    if name == "cholesky":
        return result @ np.conj(result.swapaxes(-1, -2))
    if name == "eigh":
        w, v = result
        return (v * w[..., None, :]) @ np.conj(v.swapaxes(-1, -2))
    u, s, vh = result
    return (u * s[..., None, :]) @ vh


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["eigh", "svd", "cholesky"])
def test_precision_of_the_array(name, dtype):
    x = matrices(dtype, definite=name != "svd")
    result = getattr(_batched, name)(x)
    parts = result if isinstance(result, tuple) else (result,)
    real = np.finfo(dtype).dtype
    assert [part.dtype for part in parts] == {"eigh": [real, dtype], "svd": [dtype, real, dtype], "cholesky": [dtype]}[
        name
    ]
    assert np.max(np.abs(rebuilt(name, result) - x)) < 100 * np.finfo(dtype).eps * np.max(np.abs(x))


@pytest.mark.parametrize("shape", [(4, 7), (7, 4)])
def test_thin_svd(shape):
    x = matrices("float32", (2,), *shape, definite=False)
    u, s, vh = _batched.svd(x)
    assert (u.shape, s.shape, vh.shape) == ((2, shape[0], 4), (2, 4), (2, 4, shape[1]))
    assert np.max(np.abs(rebuilt("svd", (u, s, vh)) - x)) < 1e-5


@pytest.mark.parametrize("name", ["eigh", "svd", "cholesky"])
def test_threads_change_nothing(name, three_threads, monkeypatch):
    x = matrices("float32")
    shared = getattr(_batched, name)(x)
    monkeypatch.setattr(_threads, "SHARE", np.inf)
    alone = getattr(_batched, name)(x)
    for a, b in zip(*(result if isinstance(result, tuple) else (result,) for result in (shared, alone))):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("threads", [False, True])
def test_errors(threads, request):
    if threads:
        request.getfixturevalue("three_threads")
    x = matrices("float32")
    x[4, 2] = -np.eye(6)
    with pytest.raises(np.linalg.LinAlgError, match="not positive definite"):
        _batched.cholesky(x)


def test_without_numpys_loops(monkeypatch):
    x = matrices("float32")
    w = _batched.eigh(x)[0]
    monkeypatch.setattr(_batched, "_loops", lambda: None)
    np.testing.assert_allclose(_batched.eigh(x)[0], w, rtol=1e-5)
    np.testing.assert_allclose(_batched.svd(x)[1], w[..., ::-1], rtol=1e-5)
    assert _batched.cholesky(x).dtype == np.float32
