"""Traced arrays have the whole Array API standard: names, signatures, results of creation, attributes, conversions.

The public suite, data-apis/array-api-tests, covers far more; how to run it: `arrmb/testing/conformance.py`.
"""

import inspect

import numpy as np
import pytest

import arrmb
from arrmb.testing import traced_namespace

strict = pytest.importorskip("array_api_strict")
FUNCTIONS = sorted(
    n
    for n in strict.__all__
    if inspect.isfunction(getattr(strict, n)) and not n.startswith(("_", "set_array_api", "get_array_api", "reset_"))
)
LATER = {"isin", "broadcast_shapes"}  # of a version after 2024.12; not every backend has them yet
IN_EXTENSIONS = [(e, n) for e in ("linalg", "fft") for n in sorted(getattr(strict, e).__all__)]


def parameters(f):
    """Names and kinds, or None: NumPy 1's own functions tell none."""
    try:
        return [(p.name, p.kind) for p in inspect.signature(f).parameters.values()]
    except ValueError:
        return None


def compatible(ours, standard):
    """Positional parameters in their places (by any name where they are positional only), the others by name."""
    if ours is None:
        return True
    named = {name for name, kind in ours}
    if any(kind is inspect.Parameter.VAR_POSITIONAL for _, kind in ours):
        return True
    for i, (name, kind) in enumerate(standard):
        if kind is inspect.Parameter.POSITIONAL_ONLY:
            if i >= len(ours) or ours[i][1] is inspect.Parameter.KEYWORD_ONLY:
                return False
        elif kind is not inspect.Parameter.VAR_POSITIONAL and name not in named:
            return False
    return True


@pytest.mark.parametrize("name", FUNCTIONS)
def test_function_is_there_with_the_signature_of_the_standard(name):
    xp = traced_namespace(pytest.importorskip("array_api_compat.numpy"))
    if name in LATER and not hasattr(xp, name):
        pytest.skip("this NumPy does not have it yet")
    ours, standard = parameters(getattr(xp, name)), parameters(getattr(strict, name))
    assert compatible(ours, standard), f"{name}{ours} for {standard}"


@pytest.mark.parametrize("extension, name", IN_EXTENSIONS)
def test_extension(extension, name):
    xp = traced_namespace(pytest.importorskip("array_api_compat.numpy"))
    ours, standard = (parameters(getattr(getattr(module, extension), name)) for module in (xp, strict))
    assert compatible(ours, standard), f"{name}{ours} for {standard}"


@pytest.fixture
def xp(backend):
    return traced_namespace(backend.xp)


def test_arrays_are_traced_and_readable(xp, backend):
    for x in (
        xp.asarray([1.5, 2.0]),
        xp.ones(2),
        xp.linspace(0.0, 1.0, 2),
        xp.eye(2)[0, :],
        xp.full(2, 3.0),
        xp.arange(2.0),
    ):
        assert arrmb._xp.is_traced(x) and tuple(x.shape) == (2,)
        y = xp.sum(xp.exp(x) @ x)
        assert type(float(y)) is float and bool(y > 0.0)
        assert x.__array_namespace__().__name__ == backend.xp.__name__
    assert int(xp.sum(xp.asarray([1, 2]))) == 3
    assert complex(xp.asarray(1.0 + 2.0j)) == 1.0 + 2.0j
    info = xp.__array_namespace_info__()
    assert "float64" in info.dtypes()


def test_updates_and_dlpack(xp):
    x = xp.zeros((2, 2))
    x[0, :] = xp.asarray([1.0, 2.0])
    x[x > 1.5] = -1.0
    np.testing.assert_array_equal([[float(x[i, j]) for j in range(2)] for i in range(2)], [[1.0, -1.0], [0.0, 0.0]])
    inside = arrmb.namespace(np.ones(1))
    with pytest.raises(TypeError, match="a traced array cannot become a DLPack capsule, which would cut"):
        arrmb.grad(lambda x: inside.from_dlpack(x)[0])(np.ones(2))


def test_integers_follow_the_backend(xp, backend):
    x = xp.asarray([3, 1, 2], dtype=xp.uint8)
    for name in ("sum", "prod", "max", "cumulative_sum", "cumulative_prod"):
        found, expected = getattr(xp, name)(x), getattr(backend.xp, name)(backend.xp.asarray([3, 1, 2], dtype=xp.uint8))
        assert found.dtype == expected.dtype, name
    assert xp.vecdot(x, x).dtype == backend.xp.vecdot(*[backend.xp.asarray([3, 1, 2], dtype=xp.uint8)] * 2).dtype
