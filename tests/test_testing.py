"""The checker is checked: rules with a planted mistake each, and the property that must notice it."""

import numpy as np
import pytest

import arrmb
from arrmb import Op
from arrmb._xp import H, conj, device, namespace, raw
from arrmb.testing import Backend, Draw, backends, check_grads, check_op

BACKENDS = {backend.name: backend for backend in backends()}


def matrix(d):
    return (d.normal(3, 3) + 3 * np.eye(3),)


def pair(d):
    return d.normal(2, 3), d.normal(3, 2)


# Y = X X, the right rules: dY = dX X + X dX, Xbar = Ybar X^H + X^H Ybar


def square(x):
    return x @ x, (x,)


def square_variation(saved, dx):
    (x,) = saved
    return dx @ x + x @ dx


def square_adjoint(saved, ybar):
    (x,) = saved
    return ybar @ H(x) + H(x) @ ybar


def op(forward=square, variation=square_variation, adjoint=square_adjoint):
    return Op("planted", forward, variation, adjoint)


def must_fail(message, planted, inputs=matrix, *, backend="numpy", dtype="float64", **options):
    if backend not in BACKENDS:
        pytest.skip(f"{backend} is not installed")
    with pytest.raises(AssertionError, match=f"op 'planted' on {backend}, {dtype}: {message}"):
        check_op(planted, inputs, backend=BACKENDS[backend], dtype=dtype, **options)


@pytest.mark.parametrize("dtype", ["float64", "complex128", "float32", "complex64"])
@pytest.mark.parametrize("name", BACKENDS)
def test_the_right_rules_pass(name, dtype):
    worst = check_op(
        op(), matrix, backend=BACKENDS[name], dtype=dtype, reference=lambda x: x @ x, at=[lambda d: (np.eye(3),)]
    )
    assert worst < (1e-14 if dtype in ("float64", "complex128") else 1e-5)


@pytest.mark.parametrize("dtype", ["float64", "complex128", "float32", "complex64"])
def test_wrong_sign(dtype):
    must_fail("adjoint identity", op(adjoint=lambda s, ybar: ybar @ H(s[0]) - H(s[0]) @ ybar), dtype=dtype)


def test_missing_conjugate():
    def adjoint(saved, ybar):
        xt = namespace(ybar).matrix_transpose(saved[0])
        return ybar @ xt + xt @ ybar

    check_op(op(adjoint=adjoint), matrix)  # right for real matrices
    must_fail("adjoint identity", op(adjoint=adjoint), dtype="complex128")
    must_fail("adjoint identity", op(adjoint=adjoint), dtype="complex64")


def test_missing_transpose():
    must_fail("adjoint identity", op(adjoint=lambda s, ybar: ybar @ conj(s[0]) + conj(s[0]) @ ybar))


def test_forgotten_factor():
    must_fail("adjoint identity", op(adjoint=lambda s, ybar: ybar @ H(s[0])))
    must_fail("adjoint identity", op(adjoint=lambda s, ybar: 2.0 * square_adjoint(s, ybar)))
    must_fail("adjoint identity", op(adjoint=lambda s, ybar: (1 + 1e-10) * square_adjoint(s, ybar)))


def test_variation_and_adjoint_wrong_in_the_same_way():
    """The identity holds: only finite differences of the forward function can tell."""
    planted = op(variation=lambda s, dx: dx @ s[0], adjoint=lambda s, ybar: ybar @ H(s[0]))
    must_fail("variation against finite differences", planted)
    planted = op(
        variation=lambda s, dx: 1.00001 * square_variation(s, dx), adjoint=lambda s, y: 1.00001 * square_adjoint(s, y)
    )
    must_fail("variation against finite differences", planted)


def test_detached_saved_value():
    """First order is perfect; the rules differentiate a constant at second order."""
    must_fail("second order", op(forward=lambda x: (x @ x, (raw(x),))))
    check_op(op(forward=lambda x: (x @ x, (raw(x),))), matrix, order=1)


def test_rule_right_in_value_and_wrong_in_its_own_derivative():
    def adjoint(saved, ybar):
        (x,) = saved
        held = namespace(ybar).asarray(raw(x))
        return ybar @ H(x) + H(held) @ ybar

    must_fail("second order", op(adjoint=adjoint))


def test_forward_that_modifies_its_input():
    def forward(x):
        y = x @ x
        if not arrmb._xp.is_traced(x):
            x *= 1.0 + 1e-12
        return y, (x,)

    must_fail("the forward function modified its inputs", op(forward=forward))


def test_rules_that_modify_what_they_are_given():
    def variation(saved, dx):
        dy = square_variation(saved, dx)
        dx += 1.0
        return dy

    def adjoint(saved, ybar):
        xbar = square_adjoint(saved, ybar)
        saved[0][...] = 0.0
        return xbar

    must_fail("a rule modified its inputs", op(variation=variation))
    must_fail("a rule modified its inputs", op(adjoint=adjoint))


@pytest.mark.parametrize("name", [n for n in BACKENDS if n != "cupy"])
def test_precision_that_is_raised(name):
    def widen(x):
        xp = namespace(x)
        return xp.astype(x, xp.complex128 if xp.isdtype(x.dtype, "complex floating") else xp.float64)

    for dtype in ("float32", "complex64"):
        options = {"backend": name, "dtype": dtype}
        must_fail("the result has dtype .*64", op(forward=lambda x: (widen(x @ x), (x,))), **options)
        must_fail("the variation has dtype .*64", op(variation=lambda s, dx: widen(square_variation(s, dx))), **options)
        must_fail("the adjoint has dtype .*64", op(adjoint=lambda s, y: widen(square_adjoint(s, y))), **options)


def test_integer_result():
    must_fail("the result has dtype int", op(forward=lambda x: (namespace(x).astype(x, namespace(x).int64), (x,))))


@pytest.mark.skipif(
    np.lib.NumpyVersion(np.__version__) < "2.0.0", reason="array-api-strict moves arrays with NumPy 2 only"
)
def test_forgotten_device():
    """array-api-strict has several devices, and is tested on one that is not its default."""

    def forward(x):
        xp = namespace(x)
        return xp.zeros(x.shape, dtype=x.dtype), (x,)

    must_fail("the result is on device", op(forward=forward), backend="strict")

    def constant_inside(x):
        xp = namespace(x)
        return x @ x + xp.zeros(x.shape, dtype=x.dtype), (x,)

    must_fail("value: raised ValueError.*device", op(forward=constant_inside), backend="strict")

    def adjoint(saved, ybar):
        xp = namespace(ybar)
        return xp.zeros(ybar.shape, dtype=ybar.dtype)

    must_fail("the adjoint is on device", op(adjoint=adjoint), backend="strict")


def test_what_is_not_in_the_standard():
    must_fail("value: raised AttributeError", op(forward=lambda x: (x.dot(x), (x,))), backend="strict")


def test_batch_that_is_mixed_up():
    def forward(x):  # the mean of a batch is taken off, as it is of one matrix
        xp = namespace(x)
        return x - xp.mean(x), ()

    def centre(saved, v):
        return v - namespace(v).mean(v)

    must_fail("batch against loop", op(forward, centre, centre), order=1)
    check_op(op(forward, centre, centre), matrix, batch=False)

    def per_matrix(x):
        return x - namespace(x).mean(x, axis=(-2, -1), keepdims=True), ()

    def centre_each(saved, v):
        return v - namespace(v).mean(v, axis=(-2, -1), keepdims=True)

    check_op(op(per_matrix, centre_each, centre_each), matrix)
    must_fail("adjoint, batch against loop", op(per_matrix, centre_each, centre), order=1)


def test_failure_on_an_empty_batch():
    def forward(x):
        if x.shape[0] == 0:
            raise IndexError("nothing here")
        return square(x)

    must_fail("empty batch: raised IndexError: nothing here", op(forward=forward))

    def wrong_shape(x):
        return square(x) if x.shape[0] else (x[..., 0], (x,))

    must_fail("empty batch: ", op(forward=wrong_shape))


# two outputs, two arguments: Y = A B, Z = A + B^T


def two(a, b):
    return (a @ b, a + namespace(a).matrix_transpose(b)), (a, b)


def two_variation(saved, da, db):
    a, b = saved
    dy = [v for v in (None if da is None else da @ b, None if db is None else a @ db) if v is not None]
    dz = [v for v in (da, None if db is None else namespace(db).matrix_transpose(db)) if v is not None]
    return sum(dy[1:], dy[0]), sum(dz[1:], dz[0])


def two_adjoint(saved, ybar, zbar):
    a, b = saved
    abar, bbar = [], []
    if ybar is not None:
        abar, bbar = [ybar @ H(b)], [H(a) @ ybar]
    if zbar is not None:
        abar, bbar = [*abar, zbar], [*bbar, namespace(zbar).matrix_transpose(zbar)]
    return sum(abar[1:], abar[0]), sum(bbar[1:], bbar[0])


def test_none_cotangents_and_tangents():
    for dtype in ("float64", "complex128", "float32"):
        check_op(op(two, two_variation, two_adjoint), pair, dtype=dtype)

    def needs_all(saved, ybar, zbar):
        a, b = saved
        return ybar @ H(b) + zbar, H(a) @ ybar + namespace(zbar).matrix_transpose(zbar)

    must_fail("adjoint with None cotangents: raised", op(two, two_variation, needs_all), pair)

    def drops(saved, ybar, zbar):
        return two_adjoint(saved, ybar, zbar) if zbar is not None else (None, None)

    must_fail("adjoint with None cotangents: relative difference", op(two, two_variation, drops), pair)

    def needs_all_tangents(saved, da, db):
        a, b = saved
        return da @ b + a @ db, da + namespace(db).matrix_transpose(db)

    must_fail("variation with None tangents: raised", op(two, needs_all_tangents, two_adjoint), pair)

    def drops_tangents(saved, da, db):
        return two_variation(saved, da, None) if da is not None else two_variation(saved, da, db)

    must_fail("variation with None tangents|adjoint identity", op(two, drops_tangents, two_adjoint), pair)


def test_one_wrong_map_of_a_tuple():
    def forward(a, b):
        return a @ b, (a, b)

    maps = (lambda s, v: v @ s[1], lambda s, v: s[0] @ v)
    adjoints = (lambda s, y: y @ H(s[1]), lambda s, y: H(s[0]) @ y)
    check_op(op(forward, maps, adjoints), pair)
    must_fail("adjoint identity", op(forward, maps, (adjoints[0], lambda s, y: -(H(s[0]) @ y))), pair)
    must_fail("adjoint identity", op(forward, (maps[0], lambda s, v: 2.0 * (s[0] @ v)), adjoints), pair)


def test_swapped_outputs():
    def adjoint(saved, ybar, zbar):
        return two_adjoint(saved, zbar, ybar)

    square_pair = lambda d: (d.normal(3, 3), d.normal(3, 3))  # noqa: E731
    must_fail("adjoint identity", op(two, two_variation, adjoint), square_pair)


def test_wrong_at_ties_only():
    """|x| whose derivative at 0 is 1 in one direction and 0 in the other."""

    def forward(x):
        return namespace(x).abs(x), (x,)

    def variation(saved, dx):
        return namespace(dx).sign(saved[0]) * dx

    def adjoint(saved, ybar):
        return namespace(ybar).where(saved[0] >= 0.0, ybar, -ybar)

    planted = op(forward, variation, adjoint)
    away = lambda d: (d.uniform(0.5, 1.0, 3),)  # noqa: E731
    check_op(planted, away)
    must_fail("adjoint identity", planted, away, at=[lambda d: (0.0 * d.normal(3),)])

    # NaN at a tie
    def divided(saved, dx):
        x = saved[0]
        return (x / namespace(x).abs(x)) * dx

    with np.errstate(invalid="ignore"):
        must_fail(
            "adjoint identity violated by nan", op(forward, divided, divided), away, at=[lambda d: (np.zeros(3),)]
        )


def test_non_contiguous_input():
    def forward(x):
        if not arrmb._xp.is_traced(x) and x.ndim and not x.flags.c_contiguous:
            x = np.frombuffer(x.base if x.base is not None else x, dtype=x.dtype)[: x.size].reshape(x.shape)
        return x @ x, (x,)

    must_fail("non-contiguous input", op(forward=forward))

    def refuses(x):
        if not arrmb._xp.is_traced(x) and not x.flags.c_contiguous:
            raise ValueError("not contiguous")
        return square(x)

    must_fail("non-contiguous input: raised ValueError: not contiguous", op(forward=refuses))


def test_values():
    must_fail("value against the reference", op(), reference=lambda x: x @ x + 1e-9)
    must_fail("value against the reference: shapes", op(), reference=lambda x: (x @ x)[:2])
    must_fail("value against the reference: 1 arrays, expected 2", op(), reference=lambda x: (x, x))
    for bad in (np.nan, np.inf):
        with np.errstate(all="ignore"):
            must_fail("the value is not finite", op(forward=lambda x, bad=bad: (x @ x * bad, (x,))))
            must_fail("adjoint identity", op(adjoint=lambda s, y, bad=bad: square_adjoint(s, y) * bad))


def test_rules_of_the_wrong_shape():
    must_fail("adjoint|value", op(adjoint=lambda s, y: square_adjoint(s, y)[..., 0]))
    must_fail("variation", op(variation=lambda s, dx: square_variation(s, dx)[..., :2]))


def test_invariant_and_loss():
    """A free sign: the outputs of two runs differ, what does not depend on it agrees."""
    flips = iter(np.tile([1.0, -1.0], 10_000))

    def forward(x):
        s = next(flips)
        return s * x, (s,)

    scale = lambda saved, v: saved[0] * v  # noqa: E731
    planted = op(forward, scale, scale)
    must_fail("non-contiguous|batch|adjoint identity|variation", planted)
    worse = op(adjoint=lambda s, ybar: (1 + 1e-11) * square_adjoint(s, ybar))
    must_fail("adjoint identity", worse)
    check_op(worse, matrix, loss=100.0)


# ------------------------------------------------------------------------------------------------- check_grads


def test_check_grads(backend):
    x = backend.put(np.random.default_rng(0).standard_normal((2, 3)), "float64")
    right = lambda t: {"y": arrmb.namespace(t["x"]).exp(t["x"]) * 2.0, "x": t["x"]}  # noqa: E731
    check_grads(right, ({"x": x},))
    wrong = op(adjoint=lambda s, ybar: -square_adjoint(s, ybar))
    detached = op(forward=lambda x: (x @ x, (raw(x),)))
    check_grads(lambda x: detached(x @ arrmb.namespace(x).matrix_transpose(x)), (x,), order=1)
    for f, message in {
        (lambda x: wrong(x @ arrmb.namespace(x).matrix_transpose(x))): "adjoint identity",
        (lambda x: detached(x @ arrmb.namespace(x).matrix_transpose(x))): "second order",
        (lambda x: x * raw(x)): "variation against finite differences",
    }.items():
        with pytest.raises(AssertionError, match=message):
            check_grads(f, (x,))


def test_draw():
    for complex in (False, True):
        d = Draw(3, complex=complex, batch=(2,))
        x = d.hermitian([1.0, 1.0, 3.0])
        assert x.shape == (2, 3, 3) and np.iscomplexobj(x) == complex
        np.testing.assert_allclose(np.linalg.eigvalsh(x), [[1, 1, 3]] * 2, rtol=1e-13)
        np.testing.assert_array_equal(x, np.conj(np.swapaxes(x, -1, -2)))
        np.testing.assert_allclose(
            np.linalg.svd(d.with_singular_values(4, 2, [3.0, 1.0]), compute_uv=False), [[3, 1]] * 2
        )
        u = d.unitary(3)
        np.testing.assert_allclose(np.conj(np.swapaxes(u, -1, -2)) @ u, [np.eye(3)] * 2, atol=1e-14)
        assert not np.iscomplexobj(d.real(2)) and d.uniform(1, 2, 5).shape == (2, 5)
    np.testing.assert_array_equal(Draw(1).normal(3), Draw(1).normal(3))


def test_backends(backend):
    assert isinstance(backend, Backend)
    for dtype in ("float32", "float64"):
        x = backend.put(np.ones(2), dtype)
        assert str(x.dtype).endswith(dtype)
        assert backend.device is None or device(x) == backend.device
        z = backend.put(np.ones(2, dtype=complex), dtype)
        assert backend.get(z).dtype == {"float32": np.complex64, "float64": np.complex128}[dtype]
    assert backend.get(backend.put(np.asarray([1, 2]), "float32")).dtype == np.int64
