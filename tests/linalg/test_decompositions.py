"""The public decompositions: values and signatures as the backend's, errors, mixed arguments, higher order."""

import inspect

import numpy as np
import pytest

import arrmb
from arrmb import linalg
from arrmb.testing import Draw, check_grads

ONE_SQUARE = ["inv", "det", "slogdet", "cholesky", "eigh", "eigvalsh"]
ANY_MATRIX = ["qr", "svd", "svdvals"]


def positive(complex=False):
    return Draw(0, complex=complex).hermitian([0.5, 1.0, 2.0, 3.5])


def tall(complex=False):
    return Draw(0, complex=complex).with_singular_values(5, 3, [3.0, 2.0, 1.0])


STANDARD = """cholesky cross det diagonal eig eigh eigvals eigvalsh inv matmul matrix_norm matrix_power matrix_rank
matrix_transpose outer pinv qr slogdet solve svd svdvals tensordot trace vecdot vector_norm""".split()


@pytest.mark.parametrize("name", STANDARD)
def test_signatures_are_those_of_the_standard(name):
    """The standard's parameters, and after them only such as need not be given."""
    strict = pytest.importorskip("array_api_strict")
    if not hasattr(strict.linalg, name):
        pytest.skip(f"this array-api-strict does not have {name} yet")
    ours, standard = [
        [(p.name, p.kind, p.default) for p in inspect.signature(getattr(module, name)).parameters.values()]
        for module in (linalg, strict.linalg)
    ]
    assert ours[: len(standard)] == standard
    for _, kind, default in ours[len(standard) :]:
        assert kind is inspect.Parameter.KEYWORD_ONLY and default is not inspect.Parameter.empty
    assert name in linalg.__all__


@pytest.mark.parametrize("name", [*ONE_SQUARE, *ANY_MATRIX])
@pytest.mark.parametrize("dtype", ["float32", "complex128"])
def test_values_and_result_types_are_the_backend_s(backend, name, dtype):
    x = positive(dtype == "complex128") if name in ONE_SQUARE else tall(dtype == "complex128")
    x = backend.put(x, dtype)
    ours, theirs = getattr(linalg, name)(x), getattr(backend.xp.linalg, name)(x)
    if not isinstance(theirs, tuple):
        ours, theirs = (ours,), (theirs,)
    else:
        fields = {"eigh": ("eigenvalues", "eigenvectors"), "qr": ("Q", "R"), "slogdet": ("sign", "logabsdet")}
        assert ours._fields == fields.get(name, ("U", "S", "Vh"))
    eps = 20 * np.finfo(dtype).eps
    for a, b in zip(ours, theirs):
        assert a.dtype == b.dtype and type(a) is type(b)
        np.testing.assert_allclose(backend.get(a), backend.get(b), rtol=eps, atol=eps)


@pytest.mark.parametrize("options", [{"full_matrices": True}, {"full_matrices": False}])
def test_raw_svd_has_both_forms(backend, options):
    x = backend.put(tall(), "float64")
    u, s, vh = map(backend.get, linalg.svd(x, **options))
    assert u.shape == ((5, 5) if options["full_matrices"] else (5, 3))
    np.testing.assert_allclose((u[:, :3] * s) @ vh, tall(), atol=1e-14)


@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (4, 4)])
def test_raw_qr_has_both_forms(backend, shape):
    x = Draw(1).normal(*shape)
    for mode, k in (("reduced", min(shape)), ("complete", shape[0])):
        q, r = map(backend.get, linalg.qr(backend.put(x, "float64"), mode=mode))
        assert q.shape == (shape[0], k) and r.shape == (k, shape[1])
        np.testing.assert_allclose(q @ r, x, atol=1e-14)


# ------------------------------------------------------------------------------------------------------------ errors


@pytest.mark.parametrize("name", [*ONE_SQUARE, *ANY_MATRIX, "matrix_norm", "matrix_rank"])
def test_bad_arguments(name):
    f = getattr(linalg, name)
    with pytest.raises(TypeError, match=rf"{name}: x must be a floating-point array, got list"):
        f([[1.0, 0.0], [0.0, 1.0]])
    with pytest.raises(TypeError, match=rf"{name}: x has dtype int64, and must be float32, float64, complex64 "):
        f(np.eye(3, dtype=np.int64))
    with pytest.raises(ValueError, match=rf"{name}: x must have shape \(\.\.\., m, n\), got \(3,\)"):
        f(np.zeros(3))
    if name in ONE_SQUARE:
        with pytest.raises(ValueError, match=rf"{name}: x must have shape \(\.\.\., n, n\), got \(2, 3\)"):
            f(np.zeros((2, 3)))


def test_bad_arguments_of_solve():
    a = positive()
    with pytest.raises(ValueError, match=r"solve: x1 must have shape \(\.\.\., n, n\), got \(4, 3\)"):
        linalg.solve(a[:, :3], a)
    with pytest.raises(ValueError, match=r"solve: x2 must have shape \(4,\) or \(\.\.\., 4, k\).*got \(3, 2\)"):
        linalg.solve(a, np.zeros((3, 2)))
    with pytest.raises(ValueError, match=r"solve: x2 must have shape .*got \(\)"):
        linalg.solve(a, np.zeros(()))
    with pytest.raises(TypeError, match="solve: x2 has dtype int64"):
        linalg.solve(a, np.arange(4))
    with pytest.raises(TypeError, match="solve: x2 must be a floating-point array, got float"):
        linalg.solve(a, 1.0)


def test_mixed_backends():
    strict = pytest.importorskip("array_api_strict")
    with pytest.raises(TypeError, match=r"solve: x1, x2 are arrays of different backends: .*numpy and .*strict"):
        linalg.solve(positive(), strict.ones(4, dtype=strict.float64))
    with pytest.raises(TypeError, match="arrays of different backends"):
        arrmb.grad(lambda x: linalg.det(linalg.solve(x, strict.eye(4, dtype=strict.float64))))(positive())


def indefinite(backend):
    return backend.put(np.diag([1.0, -1.0, 2.0]), "float64")


def raises_or_nan(backend, match, f, *args):
    """CuPy does not look at values: it returns NaN or inf where the others raise."""
    if backend.name == "cupy":
        assert not np.all(np.isfinite(backend.get(f(*args))))
        return
    with pytest.raises(ValueError, match=match):
        f(*args)


@pytest.mark.parametrize("name", ["svd", "qr"])
def test_unknown_options(name):
    with pytest.raises(ValueError, match=rf"{name}: gauge must be 'drop' or 'raise', got 'fix'"):
        getattr(linalg, name)(tall(), gauge="fix")
    with pytest.raises(ValueError, match='qr: mode must be "reduced" or "complete"'):
        linalg.qr(tall(), mode="raw")


def test_values_that_cannot_be_factorised(backend):
    xp = backend.xp
    singular = backend.put(np.diag([1.0, 0.0, 2.0]), "float64")
    raises_or_nan(backend, "cholesky: x is not positive definite: add a multiple", linalg.cholesky, indefinite(backend))
    raises_or_nan(backend, "inv: x is singular: regularise", linalg.inv, singular)
    raises_or_nan(backend, "solve: x1 is singular: regularise", linalg.solve, singular, singular[0, :])
    raises_or_nan(
        backend,
        "cholesky: x is not positive definite",
        arrmb.grad(lambda x: arrmb.namespace(x).sum(linalg.cholesky(x))),
        indefinite(backend),
    )
    assert backend.get(linalg.slogdet(singular)[1]) == -np.inf
    if backend.name in ("numpy", "strict"):
        nan = xp.full((3, 3), xp.nan, dtype=xp.float64, device=backend.device)
        for f in (linalg.svd, linalg.svdvals):
            with pytest.raises(ValueError, match=rf"{f.__name__}: x has NaN or inf"):
                f(nan)


def test_debug_sees_both_forms():
    x = tall()
    assert arrmb.debug(linalg.svd)(x)[0].shape == (5, 5)
    assert arrmb.debug(lambda x: linalg.qr(x, mode="complete"))(x)[0].shape == (5, 5)


# ------------------------------------------------------------------------------------------------------- derivatives


@pytest.mark.parametrize("complex", [False, True])
def test_compositions(backend, complex):
    """What the public functions add to their ops: wide qr, the upper factor, promotion, raw and traced arguments."""
    dtype = "complex128" if complex else "float64"
    wide = backend.put(Draw(2, complex=complex).with_singular_values(3, 5, [3.0, 2.0, 1.0]), dtype)
    spd, real = backend.put(positive(complex), dtype), backend.put(Draw(3).normal(4, 2), "float64")
    check_grads(lambda x: tuple(linalg.qr(x)), (wide,))
    check_grads(lambda x: tuple(linalg.qr(x, mode="complete")), (wide,))
    check_grads(lambda x: linalg.cholesky(x, upper=True), (spd,))
    check_grads(lambda x: linalg.solve(x, real), (spd,))
    check_grads(lambda b: linalg.solve(spd, b), (real,))
    check_grads(linalg.solve, (spd, real))
    r = backend.get(linalg.cholesky(spd, upper=True))
    np.testing.assert_allclose(np.conj(r.T) @ r, positive(complex), atol=1e-14)


LOGDETS = {
    "slogdet": lambda x: linalg.slogdet(x)[1],
    "det": lambda x: arrmb.namespace(x).log(linalg.det(x)),
    "cholesky": lambda x: 2.0 * log_sum(linalg.diagonal(linalg.cholesky(x))),
    "qr": lambda x: log_sum(arrmb.namespace(x).abs(linalg.diagonal(linalg.qr(x).R))),
    "eigh": lambda x: log_sum(linalg.eigh(x).eigenvalues),
    "eigvalsh": lambda x: log_sum(linalg.eigvalsh(x)),
    "svd": lambda x: log_sum(linalg.svd(x).S),
    "svdvals": lambda x: log_sum(linalg.svdvals(x)),
}


def log_sum(v):
    xp = arrmb.namespace(v)
    return xp.sum(xp.log(v))


@pytest.mark.parametrize("name", LOGDETS)
def test_third_order(name, backend):
    """log det X, by each of them: D³[E, E, E] = 2 tr((X^-1 E)³)."""
    x, e = positive(), Draw(4).hermitian([-1.0, 0.5, 1.0, 2.0])
    p = np.linalg.inv(x) @ e
    f, xs, es = LOGDETS[name], backend.put(x, "float64"), backend.put(e, "float64")

    def slope(f):
        return lambda x: arrmb.jvp(f, (x,), (es,))[1]

    def along(x):
        return arrmb.namespace(x).sum(arrmb.grad(slope(f))(x) * es)

    expected = 2.0 * np.trace(p @ p @ p)
    for third in (slope(slope(slope(f))), slope(along)):
        assert abs(float(third(xs)) - expected) <= 1e-10 * abs(expected)


@pytest.mark.parametrize("name", ["inv", "solve"])
def test_third_order_of_the_inverse(name):
    x, e = positive(), Draw(4).normal(4, 4)
    f = linalg.inv if name == "inv" else lambda x: linalg.solve(x, np.eye(4))

    def slope(f):
        return lambda x: arrmb.jvp(f, (x,), (e,))[1]

    y = np.linalg.inv(x)
    expected = -6.0 * y @ e @ y @ e @ y @ e @ y
    assert np.linalg.norm(slope(slope(slope(f)))(x) - expected) <= 1e-13 * np.linalg.norm(expected)


@pytest.mark.parametrize("name", [*ONE_SQUARE, *ANY_MATRIX])
def test_batches_of_one_and_of_several_axes(name):
    x = np.stack([positive(), 2.0 * positive(), 3.0 * positive()])

    def loss(x):
        found = getattr(linalg, name)(x)
        y = found if not isinstance(found, tuple) else found[0 if name == "eigh" else 1]
        return arrmb.namespace(y).sum(y * y)

    one_by_one = np.stack([arrmb.grad(loss)(v) for v in x])
    several = arrmb.grad(loss)(x.reshape(3, 1, 4, 4)).reshape(3, 4, 4)
    np.testing.assert_allclose(several, one_by_one, rtol=1e-12, atol=1e-12)
