"""Updates of traced arrays, ``x[key] = value``: values as NumPy's, derivatives as those of a functional update."""

import copy

import numpy as np
import pytest

import arrmb
from arrmb.testing import check_grads

MASK = np.asarray([[True, False, True], [False, False, True]])
KEYS = {
    "one entry": ((1, 2), ()),
    "a row": ((1, ...), (3,)),
    "a row, broadcast": ((1, ...), ()),
    "a column": ((slice(None), 0), (2,)),
    "all": (..., (2, 3)),
    "every second, backwards by steps": ((slice(None), slice(0, 3, 2)), (2, 2)),
    "a mask": (MASK, (3,)),
    "a mask, one value": (MASK, ()),
}


@pytest.mark.parametrize("name", KEYS)
def test_values_and_derivatives(backend, name, rng):
    key, shape = KEYS[name]
    x, v = rng.standard_normal((2, 3)), rng.standard_normal(shape)
    expected = x * x
    expected[key] = 2.0 * v
    place = backend.xp.asarray(key, device=backend.device) if isinstance(key, np.ndarray) else key

    def f(x, v):
        y = x * x
        y[place] = 2.0 * v
        return y

    args = backend.put(x, "float64"), backend.put(v, "float64")
    found, _ = arrmb.vjp(f, *args)
    np.testing.assert_allclose(backend.get(found), expected, rtol=1e-15)
    check_grads(f, args)
    np.testing.assert_array_equal(backend.get(args[0]), x)  # the caller's array is as it was


def test_what_is_recorded_does_not_change(backend):
    """The square is that of the old value, the product that of the new one."""
    x = backend.put(np.asarray([1.0, 2.0, 3.0]), "float64")

    def f(x):
        xp = arrmb.namespace(x)
        y = xp.asarray(x, copy=True)
        before = xp.sum(y * y)
        y[0] = 5.0 * y[1]
        y[1:] += 1.0
        return before + xp.prod(y)

    # x0² + x1² + x2² + 5 x1 (x1 + 1)(x2 + 1)
    np.testing.assert_allclose(
        backend.get(arrmb.grad(f)(x)), [2.0, 4.0 + 5.0 * 4.0 * (3.0 + 2.0), 6.0 + 5.0 * 2.0 * 3.0]
    )
    check_grads(f, (x,))


def test_a_constant_array_is_filled(backend):
    x = backend.put(np.asarray([1.0, 2.0]), "float64")

    def f(x):
        xp = arrmb.namespace(x)
        out = xp.zeros((2, 2), dtype=x.dtype, device=x.device)
        for i in range(2):
            out[i, i] = x[i] ** 3
        out[0, 1] = 7.0
        return xp.sum(out * out)

    np.testing.assert_allclose(backend.get(arrmb.grad(f)(x)), [6.0, 6.0 * 32.0])


def test_any_nesting(backend):
    x = backend.put(np.asarray([1.0, 2.0, 3.0]), "float64")

    def f(x):
        y = x * x
        y[0] = y[1] * y[2]
        return arrmb.namespace(y).sum(y * y)

    check_grads(f, (x,), order=2)


def test_an_update_after_an_inner_derivative(backend):
    """What an inner trace holds of an outer array must not follow its updates."""
    x = backend.put(np.asarray([1.0, 2.0]), "float64")

    def f(x):
        xp = arrmb.namespace(x)
        y, pullback = arrmb.vjp(lambda z: z * x * x, x)  # x is a constant of the inner function, and its argument
        x[0] = 100.0
        return xp.sum(pullback(xp.ones_like(y))[0] * xp.asarray([1.0, 1.0], dtype=y.dtype, device=y.device))

    np.testing.assert_allclose(backend.get(arrmb.grad(f)(x)), [2.0, 4.0])


def test_copies_do_not_follow(backend):
    x = backend.put(np.asarray([1.0, 2.0]), "float64")

    def f(x):
        xp = arrmb.namespace(x)
        others = [xp.asarray(x, copy=True), copy.copy(x), copy.deepcopy(x), +x, xp.astype(x, x.dtype), x[:]]
        x[0] = 9.0
        return xp.stack([v[0] for v in others])

    np.testing.assert_array_equal(backend.get(arrmb.vjp(f, x)[0]), np.ones(6))


def in_helper(x, y):
    def add_to(a, b):
        a += b

    add_to(y, x)
    return y


def in_loop(x, y):
    for a in [y]:
        a *= x
    return y


def by_another_name(x, y):
    z = y
    z -= x
    z /= 2.0
    z **= 2.0
    return y


def of_a_constant(x, y):
    z = arrmb.namespace(x).zeros_like(x)
    z += x
    return z


def of_a_scalar(x, y):
    """Where 0-d results are NumPy's scalars, the name is bound anew: the old value is in ``before``."""
    total = arrmb.namespace(x).sum(x)
    before = total
    total += 1.0
    return before * y


@pytest.mark.parametrize("case", [in_helper, in_loop, by_another_name, of_a_constant, of_a_scalar])
def test_operators_in_place(backend, case):
    """``x += y`` reaches every name of the array, as on the backend's own arrays: values and derivatives are theirs."""
    x = backend.put(np.asarray([1.0, 2.0, 3.0]), "float64")

    def f(x):
        return case(x, x * x)

    np.testing.assert_array_equal(backend.get(arrmb.vjp(f, x)[0]), backend.get(f(x)))
    check_grads(f, (x,), order=2)
    np.testing.assert_array_equal(backend.get(x), [1.0, 2.0, 3.0])


def test_operators_in_place_keep_shape_and_dtype(backend):
    x = backend.put(np.asarray([1.0, 2.0]), "float32")
    wide = backend.put(np.asarray([[0.5, 0.5]]), "float64")

    def narrows(x):
        y = x * 1.0
        y += wide[0, :]
        return y

    if backend.name != "strict":  # its own arrays refuse the mixture beside a traced one
        value, pullback = arrmb.vjp(narrows, x)
        assert value.dtype == x.dtype and pullback(value)[0].dtype == x.dtype

    def grows(x):
        x += arrmb.namespace(x).ones((2, 2), dtype=x.dtype, device=x.device)
        return x

    with pytest.raises(ValueError, match=r"the result has shape \(2, 2\), and x has \(2,\)"):
        arrmb.vjp(grows, x)

    def into_integers(x):
        n = arrmb.namespace(x).ones_like(x, dtype=arrmb.namespace(x).int64)
        n += x[0]
        return x

    with pytest.raises(TypeError):  # strict: by its own rules of promotion
        arrmb.vjp(into_integers, x)


def test_array_api_extra(backend):
    """`at` of array-api-extra, as other people's code has it."""
    at = pytest.importorskip("array_api_extra").at
    x = backend.put(np.asarray([1.0, 2.0, 3.0]), "float64")

    def f(x):
        xp = arrmb.namespace(x)
        y = at(x, 0).set(x[1] * 2.0, copy=True)
        y = at(y)[1:].add(y[0], copy=True)
        y = at(y, y > 6.5).multiply(3.0, copy=True)
        return xp.sum(y * x)

    np.testing.assert_allclose(float(f(x)), float(arrmb.value_and_grad(f)(x)[0]))
    check_grads(f, (x,))
    np.testing.assert_array_equal(backend.get(x), [1.0, 2.0, 3.0])


def test_errors(backend):
    x = backend.put(np.asarray([1.0, 2.0]), "float64")

    def chained(x):
        x[0:1][0] = 3.0
        return arrmb.namespace(x).sum(x)

    with pytest.raises(TypeError, match=r"x\[i\]\[j\] = value would update a copy of x\[i\].* write x\[i, j\] = value"):
        arrmb.grad(chained)(x)

    def into_integers(x):
        y = arrmb.namespace(x).astype(x, arrmb.namespace(x).int64)
        y[0] = x[1]
        return arrmb.namespace(x).sum(x)

    with pytest.raises(TypeError, match=r"value has dtype .*float64 and x has .*int64; cast one with xp.astype"):
        arrmb.grad(into_integers)(x)

    def complex_into_real(x):
        xp = arrmb.namespace(x)
        x[0] = xp.astype(x[1], xp.complex128)
        return xp.sum(x)

    with pytest.raises(TypeError, match="value is complex and x is real"):
        arrmb.grad(complex_into_real)(x)
