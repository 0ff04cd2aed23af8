"""The public Fourier transforms: values and shapes as the backend's, derivatives, lengths, errors."""

import inspect

import numpy as np
import pytest

import arrmb
from arrmb.testing import check_grads

COMPLEX = {
    "fft": [{}, {"n": 3}, {"n": 7, "axis": 0}, {"norm": "ortho"}],
    "ifft": [{}, {"n": 6}, {"norm": "forward"}],
    "fftn": [{}, {"s": (2, 6), "axes": (0, 1)}, {"axes": (0,)}, {"s": (3, 3), "axes": (1, 0), "norm": "ortho"}],
    "ifftn": [{}, {"s": (4, 2), "axes": (0, 1)}],
    "irfft": [{}, {"n": 5}, {"n": 8, "axis": 0, "norm": "ortho"}],
    "irfftn": [{}, {"s": (3, 5), "axes": (0, 1)}, {"axes": (1,)}],
    "hfft": [{}, {"n": 5, "norm": "forward"}],
}
REAL = {
    "rfft": [{}, {"n": 3}, {"n": 8, "axis": 0, "norm": "ortho"}],
    "rfftn": [{}, {"s": (2, 5), "axes": (0, 1)}, {"axes": (0, 1), "norm": "forward"}],
    "ihfft": [{}, {"n": 6, "norm": "ortho"}],
}
SHIFTS = {"fftshift": [{}, {"axes": 1}, {"axes": (0,)}], "ifftshift": [{}, {"axes": (0, 1)}]}
CALLS = [
    (name, options, kind)
    for kind, table in (("complex128", COMPLEX), ("float64", REAL), ("float64", SHIFTS))
    for name, calls in table.items()
    for options in calls
]


def array(backend, kind, rng, shape=(3, 4)):
    x = rng.standard_normal(shape)
    return backend.put(x + 1j * rng.standard_normal(shape) if kind == "complex128" else x, kind)


@pytest.mark.parametrize("name, options, kind", CALLS)
def test_values_and_derivatives(backend, name, options, kind, rng):
    x = array(backend, kind, rng)
    expected = getattr(backend.xp.fft, name)(x, **options)
    for f in (getattr(arrmb.fft, name), lambda x, **o: getattr(arrmb.namespace(x).fft, name)(x, **o)):
        y, _ = arrmb.vjp(lambda x, f=f: f(x, **options), x)
        assert y.dtype == expected.dtype and tuple(y.shape) == tuple(expected.shape)
        np.testing.assert_allclose(backend.get(y), backend.get(expected), atol=1e-14)
    check_grads(lambda x: getattr(arrmb.fft, name)(x, **options), (x,))


def test_every_function_is_tested():
    assert {name for name, _, _ in CALLS} == set(arrmb.fft.__all__)
    strict = pytest.importorskip("array_api_strict")
    for name in arrmb.fft.__all__:
        ours, standard = [
            [(p.name, p.kind, p.default) for p in inspect.signature(getattr(module, name)).parameters.values()]
            for module in (arrmb.fft, strict.fft)
        ]
        assert ours == standard, name
        assert getattr(arrmb.fft, name).__doc__


def test_real_input_of_complex_transforms(backend, rng):
    """A real array is taken as complex, and its gradient is real."""
    x = array(backend, "float64", rng)
    weights = array(backend, "float64", rng)

    def power(x):
        xp = arrmb.namespace(x)
        return xp.sum(xp.multiply(weights, xp.abs(arrmb.fft.fft(x)) ** 2))

    check_grads(power, (x,))
    assert arrmb.grad(power)(x).dtype == x.dtype


def test_single_precision_is_kept(backend, rng):
    x = backend.put(rng.standard_normal((3, 4)), "float32")
    assert backend.get(arrmb.vjp(arrmb.fft.rfft, x)[0]).dtype == np.complex64
    assert backend.get(arrmb.vjp(arrmb.fft.fft, x)[0]).dtype == np.complex64


def test_frequencies(backend):
    x = backend.put(np.ones(3), "float64")

    def f(x):
        xp = arrmb.namespace(x)
        made = xp.fft.fftfreq(5, d=0.5, device=x.device), xp.fft.rfftfreq(4, device=x.device)
        assert all(arrmb._xp.is_traced(v) for v in made)
        return made

    full, half = (backend.get(v) for v in arrmb.vjp(f, x)[0])
    np.testing.assert_allclose(full, np.fft.fftfreq(5, d=0.5))
    np.testing.assert_allclose(half, np.fft.rfftfreq(4))


def test_errors():
    x = np.ones((3, 4))
    with pytest.raises(ValueError, match='fft: norm must be "backward", "ortho" or "forward", got \'unit\''):
        arrmb.fft.fft(x, norm="unit")
    with pytest.raises(TypeError, match="rfft: x must be real, got dtype complex128; use fft"):
        arrmb.fft.rfft(x + 0j)
    with pytest.raises(ValueError, match="fftn: s has 1 lengths for 2 axes"):
        arrmb.fft.fftn(x, s=(3,), axes=(0, 1))
    with pytest.raises(TypeError, match="ifft: x must be a floating-point array, got list"):
        arrmb.fft.ifft([1.0, 2.0])
