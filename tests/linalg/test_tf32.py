"""Square roots with products on tensor cores: how exact, where, and with every setting left as it was.

`tensor_cores` stands in for a GPU: products of float32 arrays of NumPy whose entries are rounded to TF32, by the bits.
"""

import sys
import types

import numpy as np
import pytest

import arrmb
from arrmb import _tf32, linalg
from arrmb.testing import Draw

METHODS = ["newton-schulz", "sign"]
FUNCTIONS = [linalg.sqrtmh, linalg.invsqrtmh]


def rounded(a):
    """``a`` (float32 or complex64) to 10 bits after the leading one, to nearest, away from 0 between two."""
    bits = np.ascontiguousarray(a).view(np.uint32)
    return ((bits + np.uint32(1 << 12)) & np.uint32(0xFFFFE000)).view(a.dtype)


@pytest.fixture
def tensor_cores(monkeypatch):
    """The list of the shapes that went through them."""
    seen = []

    def product(a, b):
        seen.append(a.shape)
        return rounded(a) @ rounded(b)

    def tf32_product(a, b):
        return product if type(a) is type(b) is np.ndarray and a.dtype.char in "fF" else None

    monkeypatch.setattr(_tf32, "_tf32_product", tf32_product)
    monkeypatch.setattr(linalg.roots, "_must_have_converged", lambda *args: None)  # as on a GPU
    return seen


def spread(condition, is_complex=False, n=128):
    return Draw(0, is_complex).hermitian(np.geomspace(1.0, 1.0 / condition, n))


def errors(function, x, g, **options):
    """Relative errors of value, gradient and tangent in float32, against eigh in float64 at the same matrix."""
    single = np.complex64 if np.iscomplexobj(x) else np.float32
    x32, g32 = x.astype(single), g.astype(single)
    x64, g64 = x32.astype(x.dtype), g32.astype(x.dtype)

    def results(f, x, g):
        y, pullback = arrmb.vjp(f, x)
        return y, pullback(g)[0], arrmb.jvp(f, (x,), (g,))[1]

    found = results(lambda x: function(x, **options), x32, g32)
    assert all(v.dtype == single for v in found)
    return [np.linalg.norm(v - e) / np.linalg.norm(e) for v, e in zip(found, results(function, x64, g64))]


@pytest.mark.parametrize("is_complex", [False, True])
@pytest.mark.parametrize("condition", [10.0, 100.0, 1e3, 1e4])
@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("method", METHODS)
def test_three_products_are_as_exact_as_float32(tensor_cores, method, function, condition, is_complex):
    """0.85 to 1.8 times float32's own errors, where one product of TF32 has 800 to 1800 times them (measured).

    With n = 24 they would be 0.6 to 3.6 times: the errors of float32's sums grow with n, those of the parts do not.
    """
    x, g = spread(condition, is_complex), Draw(1, is_complex).hermitian(np.linspace(-1.0, 1.0, 128))
    plain = errors(function, x, g, method=method)
    assert not tensor_cores
    three = errors(function, x, g, method=method, precision="tf32x3")
    assert len(tensor_cores) % 3 == 0 and tensor_cores
    one = errors(function, x, g, method=method, precision="tf32")
    assert all(b <= 3.0 * a for a, b in zip(plain, three))
    assert all(100.0 * a < c < 10000.0 * a for a, c in zip(plain, one))


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("method", METHODS)
def test_accuracy_that_the_documentation_states(tensor_cores, method, function):
    """4 2^-11 √κ in the root; up to that times √κ in the inverse and in the gradients of both."""
    for condition in (10.0, 100.0, 1e3):
        value, gradient, tangent = errors(
            function, spread(condition), Draw(1).hermitian(np.linspace(-1.0, 1.0, 128)), method=method, precision="tf32"
        )
        bound = 4.0 * 2.0**-11 * condition**0.5
        assert value <= (bound if function is linalg.sqrtmh else bound * condition**0.5)
        assert max(gradient, tangent) <= bound * condition**0.5


def test_second_derivatives_and_batches(tensor_cores):
    """Errors as in float32, where one product has 1000 times them. Those of "newton-schulz" are products of traced
    arrays, which are the backend's own."""
    x = np.stack([spread(10.0), spread(30.0)]).astype(np.float32)
    e = np.stack([Draw(2).hermitian(np.linspace(-1.0, 1.0, 128))] * 2).astype(np.float32)

    def hvp(x, e, **options):
        return arrmb.hvp(lambda x: arrmb.namespace(x).sum(e * linalg.sqrtmh(x, **options)), (x,), (e,))[0]

    truth = hvp(x.astype(np.float64), e.astype(np.float64))
    found = {(m, p): hvp(x, e, method=m, precision=p) for m in METHODS for p in (None, *_tf32.PRECISIONS)}
    assert tensor_cores
    assert all(y.dtype == np.float32 for y in found.values())
    error = {key: np.linalg.norm(y - truth) / np.linalg.norm(truth) for key, y in found.items()}
    assert error["sign", "tf32x3"] <= 3.0 * error["sign", None]
    assert error["sign", "tf32"] > 100.0 * error["sign", None]
    for precision in _tf32.PRECISIONS:
        np.testing.assert_array_equal(found["newton-schulz", precision], found["newton-schulz", None])


@pytest.fixture
def setting():
    """PyTorch's setting for products of float32 matrices on a GPU."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    if not hasattr(torch.backends.cuda.matmul, "fp32_precision"):
        pytest.skip("before PyTorch 2.9 arrmb never touches the setting: there is nothing to be set, or set back")
    return torch.backends.cuda.matmul


class OnGPU:
    """What `_tf32_product` asks of an array on an H100, of PyTorch or CuPy."""

    is_cuda = True
    device = types.SimpleNamespace(compute_capability="90")
    seen = None

    def __init__(self, dtype, mode=lambda: None):
        self.dtype, self._mode = np.dtype(dtype), mode

    def __matmul__(self, other):
        OnGPU.seen = self._mode()
        return self


@pytest.fixture
def on_gpu(monkeypatch):
    """Makes such arrays of a backend."""

    def make(backend):
        monkeypatch.setattr(_tf32, "namespace", lambda *arrays: types.SimpleNamespace(__name__=backend))
        monkeypatch.setattr(_tf32, "eps", lambda a: np.finfo(a.dtype).eps)
        return OnGPU

    return make


@pytest.mark.parametrize("dtype", ["float32", "complex64", "float64", "complex128"])
def test_where_there_are_tensor_cores_in_pytorch(setting, on_gpu, monkeypatch, dtype):
    import torch

    capability = [9, 0]
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: tuple(capability))
    a = on_gpu("torch")(dtype, lambda: setting.fp32_precision)
    product = _tf32._tf32_product(a, a)
    assert (product is not None) == (dtype in ("float32", "complex64"))
    if product:
        product(a, a)
        assert OnGPU.seen == "tf32" != setting.fp32_precision
        assert _tf32._tf32_product(a, OnGPU("float64")) is None
        capability[0] = 7  # V100, T4
        assert _tf32._tf32_product(a, a) is None


@pytest.mark.parametrize("dtype", ["float32", "complex64", "float64", "complex128"])
def test_where_there_are_tensor_cores_in_cupy(on_gpu, cublas, monkeypatch, dtype):
    a = on_gpu("cupy")(dtype, lambda: next(iter(cublas.values())))
    product = _tf32._tf32_product(a, a)
    assert (product is not None) == (dtype in ("float32", "complex64"))
    if product:
        product(a, a)
        assert OnGPU.seen == 3 and list(cublas.values()) == [1]
        monkeypatch.setattr(OnGPU, "device", types.SimpleNamespace(compute_capability="75"))
        assert _tf32._tf32_product(a, a) is None


@pytest.mark.parametrize("is_complex", [False, True])
def test_the_two_parts_of_a_matrix(is_complex):
    """The first is the nearest that TF32 has, the second what is missing, which TF32 holds to 2^-22 of the whole."""
    draw = Draw(3, is_complex)
    a = (draw.normal(50, 50) * 10.0 ** np.linspace(-20, 20, 50)).astype(np.complex64 if is_complex else np.float32)
    first = _tf32._leading(a)
    parts = np.stack([v.view(np.float32) for v in (a, first, rounded(a))])
    assert np.all(np.abs(parts[1] - parts[0]) <= np.abs(parts[2] - parts[0]))  # ties may go either way
    np.testing.assert_array_equal(first, rounded(first))
    rest = a - first
    np.testing.assert_array_equal(first + rest, a)
    wide = np.complex128 if is_complex else np.float64
    held = (first.astype(wide) + rounded(rest)).view(np.float64)
    whole = a.astype(wide).view(np.float64)
    assert np.all(np.abs(held - whole) <= 2.0**-22 * np.abs(whole))


@pytest.mark.parametrize("precision", _tf32.PRECISIONS)
@pytest.mark.parametrize("method", METHODS)
def test_a_permission(backend, method, precision):
    """Without tensor cores nothing changes; on a GPU the digits are those of the name."""
    x = backend.put(spread(10.0), "float32")
    plain, found = linalg.square_roots(x, method=method), linalg.square_roots(x, method=method, precision=precision)
    for a, b in zip(plain, found):
        assert b.dtype == x.dtype and type(b) is type(x)
        a, b = backend.get(a), backend.get(b)
        if backend.name == "cupy":
            assert np.linalg.norm(a - b) <= (2e-2 if precision == "tf32" else 5e-6) * np.linalg.norm(a)
            assert precision == "tf32x3" or np.linalg.norm(a - b) > 1e-5 * np.linalg.norm(a)
        else:
            np.testing.assert_array_equal(a, b)


def test_settings_of_pytorch_are_left_as_they_were(setting):
    import torch

    def state():
        return setting.fp32_precision, setting.allow_tf32, torch.get_float32_matmul_precision()

    first = state()
    try:
        for change in (
            lambda: None,
            lambda: torch.set_float32_matmul_precision("high"),
            lambda: torch.set_float32_matmul_precision("medium"),
            lambda: torch.set_float32_matmul_precision("highest"),
            lambda: setattr(setting, "fp32_precision", "ieee"),
        ):
            change()
            before = state()
            with pytest.raises(ZeroDivisionError), _tf32._torch_mode():
                assert state()[:2] == ("tf32", True)
                raise ZeroDivisionError
            assert state() == before
        # a setting that follows the one of all of PyTorch goes on to follow it
        setting.fp32_precision = "none"
        for everywhere in ("ieee", "tf32", "ieee"):
            torch.backends.fp32_precision = everywhere
            assert setting.fp32_precision == everywhere
            with _tf32._torch_mode():
                assert setting.fp32_precision == "tf32"
    finally:
        torch.backends.fp32_precision = "none"
        torch.set_float32_matmul_precision(first[2])
        setting.fp32_precision = first[0]


def test_products_of_two_threads_overlap_in_pytorch(setting):
    before = setting.fp32_precision
    one, other = _tf32._torch_mode(), _tf32._torch_mode()
    one.__enter__()
    other.__enter__()
    one.__exit__(None, None, None)
    assert setting.fp32_precision == "tf32"
    other.__exit__(None, None, None)
    assert setting.fp32_precision == before != "tf32"


@pytest.fixture
def cublas(monkeypatch):
    """The modes of the handles, of a CuPy that has nothing else."""
    modes = {"handle of the current device": 1}
    library = types.SimpleNamespace(getMathMode=modes.__getitem__, setMathMode=modes.__setitem__)
    cuda = types.SimpleNamespace(cublas=library, get_cublas_handle=lambda: "handle of the current device")
    cuda.runtime = types.SimpleNamespace(is_hip=False)
    monkeypatch.setitem(sys.modules, "cupy", types.SimpleNamespace(cuda=cuda))
    return modes


def test_the_mode_of_cublas_is_left_as_it_was(cublas):
    with pytest.raises(ZeroDivisionError), _tf32._cupy_mode():
        assert list(cublas.values()) == [3]
        raise ZeroDivisionError
    assert list(cublas.values()) == [1]


def test_under_jit_of_jax(monkeypatch):
    """On a processor JAX takes the request for TF32 and computes in float32. Its compiler may not see through the two
    parts of a matrix: the first is an operation of its own, whose result it has to round."""
    jax = pytest.importorskip("jax", reason="JAX is not installed")
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    for dtype in (np.float32, np.complex64):
        a = Draw(4, dtype is np.complex64).normal(8, 8).astype(dtype)
        first = jax.jit(_tf32._leading)(jax.numpy.asarray(a))
        np.testing.assert_array_equal(np.asarray(first), _tf32._leading(a))
        assert "reduce_precision" in str(jax.make_jaxpr(_tf32._leading)(jax.numpy.asarray(a)))
    x = spread(10.0).astype(np.float32)
    expected, asked, matmul = linalg.sqrtmh(x, method="sign"), [], jax.numpy.matmul

    def counted(a, b, **options):
        asked.append(options)
        return matmul(a, b, **options)

    monkeypatch.setattr(jax.numpy, "matmul", counted)
    for precision, times in (("tf32", 1), ("tf32x3", 3)):
        asked.clear()
        found = jax.jit(lambda x, p=precision: linalg.sqrtmh(x, method="sign", precision=p))(x)
        np.testing.assert_allclose(np.asarray(found), expected, atol=3e-6)
        products = 1 + 3 * 17  # the first step of 18 has one, as Z is I, and the others three
        assert asked and all(options == {"precision": "tensorfloat32"} for options in asked)
        assert len(asked) % (times * products) == 0  # JAX may trace a function more than once


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda x: linalg.sqrtmh(x, precision="tf32"), "sqrtmh: precision is an option of the other methods than"),
        (
            lambda x: linalg.invsqrtmh(x, method="sign", precision="bf16"),
            "invsqrtmh: precision must be None, or .*, got 'bf16' with 'sign'",
        ),
        (
            lambda x: linalg.square_roots(x, method="pade", precision="tf32"),
            "precision must be None, or .* with method .*, got 'tf32' with 'pade'",
        ),
    ],
)
def test_wrong_input(call, message):
    with pytest.raises(ValueError, match=message):
        call(np.eye(2, dtype=np.float32))
