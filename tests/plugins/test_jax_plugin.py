"""The JAX plug-in: ties, JAX's transformations, what is an argument, and what is refused."""

import dataclasses
import subprocess
import sys

import numpy as np
import pytest
from jax_setting import close, double_precision, jax, setting  # noqa: F401

import arrmb
import arrmb.layers
from arrmb.testing import Backend, check_op

plugin = pytest.importorskip("arrmb.plugins.jax")
jnp = jax.numpy
function, linalg, layers, fft = plugin.function, plugin.linalg, plugin.layers, plugin.fft


@pytest.fixture
def g(rng):
    g = rng.standard_normal((4, 4))
    return jnp.asarray(g + g.T)


@pytest.fixture
def e(rng):
    e = rng.standard_normal((2, 4, 4))[1]
    return jnp.asarray(e + e.T)


# ties


def test_log_of_the_identity_where_jax_gives_nan(g, e):
    """d log(I)[E] = E and D² log(I)[E, E] = -E²"""

    def by_jax(x):
        w, v = jnp.linalg.eigh(x)
        return jnp.sum(g * ((v * jnp.log(w)) @ v.T))

    def ours(x):
        return jnp.sum(g * linalg.logmh(x))

    i = jnp.eye(4)
    assert bool(jnp.all(jnp.isnan(jax.grad(by_jax)(i))))
    close(jax.grad(ours)(i), g, 1e-15)
    second = -0.5 * (g @ e + e @ g)
    close(jax.jvp(jax.grad(ours), (i,), (e,))[1], second)
    close(jax.grad(lambda x: jnp.vdot(jax.grad(ours)(x), e))(i), second)
    close(jnp.tensordot(jax.jit(jax.hessian(ours))(i), e, 2), second)


def test_rank_deficient_singular_values(rng):
    """svd_function with f(s) = s³ is X X^T X: its derivative is that of the product, zeros and ties or not."""
    x, w = jnp.diag(jnp.asarray([1.0, 1.0, 0.0]))[:, :2], jnp.asarray(rng.standard_normal((3, 2)))

    def ours(x):
        return jnp.sum(w * linalg.svd_function(x, lambda s: s * s * s))

    def product(x):
        return jnp.sum(w * (x @ x.T @ x))

    close(jax.grad(ours)(x), jax.grad(product)(x))
    close(jax.jit(jax.hessian(ours))(x), jax.jit(jax.hessian(product))(x))


def test_second_derivatives_that_do_not_exist_are_nan():
    def f(x):
        return jnp.sum(linalg.eigvalsh(x) ** 3)

    x = jnp.diag(jnp.asarray([1.0, 1.0, 2.0]))
    close(jax.grad(f)(x), 3 * x**2)
    assert bool(jnp.all(jnp.isnan(jax.hessian(f)(x))))
    assert bool(jnp.all(jnp.isfinite(jax.hessian(f)(jnp.diag(jnp.asarray([1.0, 1.5, 2.0]))))))
    close(jax.jit(jax.grad(f))(x), 3 * x**2)


def test_gauge_raise(g):
    def risky(x):
        w, v = linalg.eigh(x, gauge="raise")
        return jnp.sum(g * ((v * w) @ v.T))

    close(risky(jnp.eye(4)), jnp.trace(g))
    for f in (jax.grad(risky), jax.jit(risky)):
        with pytest.raises(ValueError, match='gauge="raise" looks at values, which JAX'):
            f(jnp.eye(4))
    split = jnp.diag(jnp.arange(4.0))
    with pytest.raises(ValueError, match="the direction splits the pair"):
        jax.jvp(risky, (jnp.eye(4),), (split,))


def test_first_order_at_kinks_of_an_op_with_a_composite():
    """Angles of 0: Σ sin² θ is smooth; the composite, for the second order, is not."""
    a = jnp.eye(4)[:, :2]
    b = jnp.asarray(np.random.default_rng(0).standard_normal((4, 1))) * jnp.asarray([[1.0], [0.0], [1.0], [0.0]])
    f = lambda b: jnp.sum(jnp.sin(linalg.subspace_angles(a, b)) ** 2)  # noqa: E731
    close(jax.grad(f)(b), jax.grad(lambda b: linalg.subspace_distance(a, b) - 0.5)(b))
    close(jax.grad(f)(jnp.eye(4)[:, :1]), jnp.zeros((4, 1)), 0.0)


def test_outside_the_domain_is_nan():
    assert bool(jnp.all(jnp.isnan(linalg.logmh(-jnp.eye(3)))))
    assert bool(jnp.all(jnp.isnan(linalg.cholesky(-jnp.eye(3)))))


# transformations


def test_one_eigendecomposition_per_matrix(g, e):
    def f(x):
        return jnp.sum(g * linalg.logmh(x))

    def count(f):
        return jax.jit(f).lower(jnp.eye(4)).as_text().count("syevd")

    assert count(f) == count(jax.grad(f)) == 1
    assert count(lambda x: jax.jvp(jax.grad(f), (x,), (e,))[1]) == 1


def test_backward_pass_costs_what_arrmbs_does(g):
    """The transpose runs the adjoint: of `inv`, no solve and no second inverse."""

    def f(x):
        return jnp.sum(g * linalg.inv(x))

    text = jax.jit(jax.grad(f)).lower(jnp.eye(4)).compile().as_text()
    assert text.count("getrf") <= jax.jit(f).lower(jnp.eye(4)).compile().as_text().count("getrf")


def test_traced_once():
    calls = []

    @jax.jit
    @function
    def f(x):
        calls.append(None)
        return arrmb.linalg.sqrtmh(x)

    for k in (1.0, 2.0, 3.0):
        close(f(k * jnp.eye(2)), k**0.5 * jnp.eye(2))
    assert len(calls) == 1


def test_linearize_checkpoint_and_remat_of_scan(g, e):
    def f(x):
        return jnp.sum(g * linalg.logmh(x))

    x = jnp.eye(4) * 2.0
    _, slope = jax.linearize(f, x)
    close(slope(e), jax.jvp(f, (x,), (e,))[1])
    close(jax.grad(jax.checkpoint(f))(x), 0.5 * g)

    def layers_of(x):
        return jnp.sum(g * jax.lax.scan(jax.checkpoint(lambda c, _: (linalg.sqrtmh(c), None)), x, None, length=3)[0])

    close(jax.jit(jax.grad(layers_of))(jnp.eye(4)), 0.125 * g)


def test_vmap_of_all_and_of_one_argument(rng):
    a = jnp.asarray(rng.standard_normal((3, 4, 4)) + 4.0 * np.eye(4))
    b = jnp.asarray(rng.standard_normal((4, 3)))
    f = lambda a, b: jnp.sum(linalg.solve(a, b) ** 2)  # noqa: E731
    want = [jax.grad(f, argnums=(0, 1))(x, b) for x in a]
    got = jax.vmap(jax.grad(f, argnums=(0, 1)), in_axes=(0, None))(a, b)
    close(got, [jnp.stack(part) for part in zip(*want)])
    summed = jax.grad(lambda b: jnp.sum(jax.vmap(f, in_axes=(0, None))(a, b)))(
        b
    )  # the batch is summed in the transpose
    close(summed, sum(part for _, part in want))
    last = jax.vmap(linalg.inv, in_axes=-1, out_axes=-1)(jnp.moveaxis(a, 0, -1))
    close(last, jnp.moveaxis(jnp.linalg.inv(a), 0, -1))


def test_arrmbs_own_derivatives_inside_a_function(g):
    """arrmb.grad inside, jax.grad outside."""

    @function
    def slope(x, e):
        xp = arrmb.namespace(x)
        return xp.sum(arrmb.grad(lambda x: arrmb.linalg.trace(g @ arrmb.linalg.logmh(x)))(x) * e)

    x, e = jnp.eye(4), jnp.eye(4) + 0.5
    close(jax.grad(slope)(x, e), -0.5 * (g @ e + e @ g))


def test_a_function_over_what_it_closes_over(g):
    """JAX differentiates with respect to it, by the same rules."""

    def f(x):
        return jnp.sum(function(lambda s: s * arrmb.linalg.logmh(x))(jnp.asarray(2.0)) * g)

    close(jax.grad(f)(jnp.eye(4)), 2.0 * g)


def test_arrmbs_functions_on_jaxs_tracers(g):
    """Without the plug-in's name, where it has been imported: no derivative of an eigendecomposition either."""
    f = lambda x: jnp.sum(g * arrmb.linalg.logmh(x))  # noqa: E731
    close(jax.grad(f)(jnp.eye(4)), g)
    close(jax.jit(jax.grad(f))(jnp.eye(4)), g)


def test_arrmbs_transformations_on_concrete_arrays(g):
    f = lambda x: arrmb.linalg.trace(g @ arrmb.linalg.logmh(x))  # noqa: E731
    gradient = arrmb.grad(f)(jnp.eye(4))
    assert isinstance(gradient, jax.Array)
    close(gradient, g)


# dtypes


def test_single_precision_without_x64(rng):
    x = rng.standard_normal((3, 5, 4)).astype(np.float32)
    with setting(jax_enable_x64=False):
        f = lambda x: jnp.sum(layers.second_order_pooling(x, transform="power") ** 2)  # noqa: E731
        value, gradient = jax.value_and_grad(f)(jnp.asarray(x))
        second = jax.jvp(jax.grad(f), (jnp.asarray(x),), (jnp.asarray(x),))[1]
        assert value.dtype == gradient.dtype == second.dtype == jnp.float32
        spectral = linalg.spectral(jnp.eye(3), lambda w: w * w)
        assert jax.grad(lambda x: jnp.sum(linalg.spectral(x, lambda w: w * w)))(jnp.eye(3)).dtype == spectral.dtype
        assert linalg.vech(jnp.eye(3)).dtype == jnp.float32
        assert int(linalg.matrix_rank(jnp.eye(3))) == 3

    def own(x):
        y = arrmb.layers.second_order_pooling(x, transform="power")
        return arrmb.namespace(y).sum(y * y)

    close(gradient, arrmb.grad(own)(x.astype(float)), 1e-4)


def test_complex_gradients_are_jaxs_not_conjugated_ones(rng):
    x = rng.standard_normal((3, 3)) + 1j * rng.standard_normal((3, 3)) + 3.0 * np.eye(3)
    c = rng.standard_normal((3, 3)) + 1j * rng.standard_normal((3, 3))

    def number(inv, xp):
        return lambda x: xp.sum(xp.real(c * inv(x)))

    got = jax.grad(number(linalg.inv, jnp))(jnp.asarray(x))
    close(got, jax.grad(number(jnp.linalg.inv, jnp))(jnp.asarray(x)))
    own = arrmb.grad(lambda x: number(arrmb.linalg.inv, arrmb.namespace(x))(x))(x)
    close(got, own.conj())
    v = jnp.asarray(c.T)
    for mine, theirs in ((linalg.inv, jnp.linalg.inv), (fft.fft, jnp.fft.fft)):
        close(jax.jvp(mine, (jnp.asarray(x),), (v,))[1], jax.jvp(theirs, (jnp.asarray(x),), (v,))[1])
        a, b = (jax.vjp(f, jnp.asarray(x))[1](v)[0] for f in (mine, theirs))
        close(a, b)
    holomorphic = jax.grad(lambda x: jnp.sum(c * linalg.inv(x)), holomorphic=True)(jnp.asarray(x))
    close(holomorphic, jax.grad(lambda x: jnp.sum(c * jnp.linalg.inv(x)), holomorphic=True)(jnp.asarray(x)))


def test_complex_hermitian_second_order_at_a_tie(rng):
    g, e = (rng.standard_normal((2, 3, 3)) for _ in "ge")
    g, e = (jnp.asarray(a[0] + a[0].T + 1j * (a[1] - a[1].T)) for a in (g, e))
    f = lambda x: jnp.real(jnp.trace(g @ linalg.logmh(x)))  # noqa: E731
    i = jnp.eye(3, dtype=complex)
    close(jax.grad(f)(i), g.conj())
    close(jax.jvp(jax.grad(f), (i,), (e,))[1], (-0.5 * (g @ e + e @ g)).conj())


def test_real_arguments_of_complex_results(rng):
    x = jnp.asarray(rng.standard_normal(6))
    f = lambda fft: lambda x: jnp.sum(jnp.abs(fft(x)) ** 4)  # noqa: E731
    close(jax.grad(f(fft.rfft))(x), jax.grad(f(jnp.fft.rfft))(x))
    close(jax.hessian(f(fft.rfft))(x), jax.hessian(f(jnp.fft.rfft))(x), 1e-11)


@pytest.mark.parametrize("dtype", ["float64", "complex128", "float32"])
def test_a_backend_like_any_other(dtype):
    """`check_op` on concrete arrays: values, the adjoint identity, differences, second order, batches."""
    backend = Backend("jax", jnp)
    check_op(arrmb.ops.inverse.inv, lambda d: (d.normal(3, 3),), backend=backend, dtype=dtype)
    check_op(arrmb.ops.matmul.matmul, lambda d: (d.normal(3, 2), d.normal(2, 4)), backend=backend, dtype=dtype)


# arguments and results


def test_layers_are_pytrees(rng):
    layer = arrmb.layers.Linear(jnp.asarray(rng.standard_normal((3, 2))), jnp.ones(2))
    x = jnp.asarray(rng.standard_normal((5, 3)))

    def loss(layer, x):
        return jnp.sum(function(lambda layer, x: layer(x))(layer, x) ** 2)

    gradient = jax.jit(jax.grad(loss))(layer, x)
    assert type(gradient) is arrmb.layers.Linear
    y = x @ layer.weight + layer.bias
    close((gradient.weight, gradient.bias), (2.0 * x.T @ y, 2.0 * jnp.sum(y, axis=0)))
    bare = arrmb.layers.Linear(layer.weight)
    assert jax.grad(loss)(bare, x).bias is None
    norm = jax.tree_util.tree_map(lambda v: v + 1.0, arrmb.layers.GroupNorm(jnp.ones(4), jnp.ones(4), groups=2))
    assert norm.groups == 2


def test_a_dataclass_made_after_the_import():
    @arrmb.tree.dataclass
    class Scaled:
        """A layer of a user's own."""

        scale: object
        power: int = arrmb.tree.static(default=2)

    model = {"a": [Scaled(jnp.asarray(3.0), 3)]}
    gradient = jax.grad(function(lambda m: m["a"][0].scale ** m["a"][0].power))(model)
    close(gradient["a"][0].scale, 27.0)
    assert gradient["a"][0].power == 3
    assert dataclasses.is_dataclass(gradient["a"][0])


def test_named_tuples_keywords_docstrings():
    found = linalg.eigh(jnp.eye(3))
    assert found._fields == ("eigenvalues", "eigenvectors")
    assert type(found.eigenvalues) is type(jnp.eye(3))
    assert linalg.svd(x := jnp.eye(3), full_matrices=False).Vh.shape == x.shape
    assert linalg.logmh.__name__ == "logmh"
    assert linalg.logmh.__doc__ == arrmb.linalg.logmh.__doc__
    from arrmb.plugins.jax.linalg import logmh

    assert logmh is linalg.logmh


def test_integers_and_numpy_arrays(rng):
    logits, labels = rng.standard_normal((4, 3)), np.asarray([0, 2, 1, 1])
    want = arrmb.layers.softmax_cross_entropy(logits, labels)
    for given in (labels, jnp.asarray(labels)):
        close(jax.jit(layers.softmax_cross_entropy)(logits, given), want)
    tangent = np.zeros(labels.shape, jax.dtypes.float0)
    y = jax.jvp(layers.softmax_cross_entropy, (jnp.asarray(logits), labels), (jnp.zeros((4, 3)), tangent))
    close(y, (want, np.zeros(4)), least=1.0)


def test_updates_indexing_and_sets_in_a_function():
    @function
    def f(x):
        xp = arrmb.namespace(x)
        y = x * x
        y[1] = 3.0 * x[0]
        y[xp.asarray([2, 3])] += x[:2]
        return xp.sum(y[x > 0.5]) + y[-1]

    x = jnp.asarray([1.0, 0.1, 2.0, 3.0])
    close(jax.grad(f)(x), jnp.asarray([2.0 + 1.0, 2.0, 4.0, 12.0]))


def test_labels_need_values():
    x, labels = np.random.default_rng(0).uniform(0.5, 1.5, (6, 3)), np.asarray([0, 1, 1, 0, 2, 2])
    want = arrmb.layers.normalized_cuts_loss(x, labels)
    close(jax.jit(lambda x: layers.normalized_cuts_loss(x, labels))(x), want)
    known = jnp.asarray(labels)
    close(jax.jit(lambda x: layers.normalized_cuts_loss(x, known))(x), want)
    with pytest.raises(ValueError, match=r"normalized_cuts_loss: the number of segments in labels looks at values"):
        jax.jit(layers.normalized_cuts_loss)(x, labels)


def test_cuts_of_values_outside_the_domain_are_nan():
    """Other backends raise; one image of a batch does not touch another."""
    x, labels = np.random.default_rng(0).uniform(0.5, 1.5, (2, 6, 3)).astype("float32"), np.arange(12).reshape(2, 6) % 2
    loss = jax.jit(lambda x, w: layers.normalized_cuts_loss(x, labels, weights=w))
    want = arrmb.layers.normalized_cuts_loss(x, labels)
    w = np.ones((2, 3), "float32")
    for bad in (np.nan, 1e30, np.where(np.arange(6) == 4, 0.0, 1.0).astype("float32")[:, None]):
        y = x.copy()
        y[1] *= bad
        found = np.asarray(loss(y, w))
        np.testing.assert_allclose(found[0], want[0], rtol=1e-5)
        assert np.isnan(found[1])
    w[1, 0] = -0.1
    assert np.isnan(np.asarray(loss(x, w))).tolist() == [False, True]


def test_special_functions_under_jit():
    @function
    def f(x):
        return arrmb.namespace(x).special.gammaln(x)

    x = jnp.asarray([0.5, 2.5])
    close(jax.jit(jax.vmap(jax.grad(f)))(x), jax.scipy.special.digamma(x))


@pytest.mark.parametrize("transform", [lambda f: f, jax.jit])
def test_transformations_of_arrmb_on_tracers(g, e, transform):
    """JAX must not differentiate what is inside an op there either: log I through JAX's eigh gives NaN."""
    log, i = arrmb.linalg.logmh, jnp.eye(4)
    first = [
        lambda x: jnp.sum(g * arrmb.vjp(log, x)[0]),
        lambda x: jnp.sum(g * arrmb.jvp(log, (x,), (e,))[0]),
        lambda w: jnp.sum(g * arrmb.vjp(lambda y: log(w) + 0.0 * y, i)[0]),
        lambda w: jnp.sum(arrmb.grad(lambda y: arrmb.linalg.trace(y @ log(w)))(i) * g),
    ]
    for f in first:
        close(transform(jax.grad(f))(i), g)
    second = -0.5 * (g @ e + e @ g)
    for f in (
        lambda x: jnp.sum(e * arrmb.vjp(log, x)[1](g)[0]),
        lambda x: jnp.sum(g * arrmb.jvp(log, (x,), (e,))[1]),
    ):
        close(transform(jax.grad(f))(i), second)
    close(transform(lambda x: arrmb.hvp(lambda x: arrmb.linalg.trace(g @ log(x)), (x,), (e,))[0])(i), second)


def test_nothing_is_kept_of_a_call():
    """JAX keeps calls in its caches: they must hold no arrays."""
    x = jnp.eye(4) + 1.0
    jax.grad(lambda x: jnp.sum(linalg.logmh(x)))(x)
    before = len(jax.live_arrays())
    for _ in range(5):
        jax.grad(lambda x: jnp.sum(linalg.logmh(x)))(x)
    assert len(jax.live_arrays()) == before


@pytest.mark.parametrize("transform", [jax.jit, jax.vmap, lambda f: jax.jit(jax.vmap(f)), lambda f: f])
def test_numbers_do_not_widen_single_precision(transform):
    """The number that JAX makes an array of under jit is weakly typed, here as in JAX."""
    multiply = function(lambda x, number: x * number)
    x = jnp.ones((2, 3), dtype="float32")
    for number in (2.0, jnp.asarray(2.0), np.float64(2.0)):
        assert transform(lambda x, number=number: multiply(x, number))(x).dtype == "float32"
    assert jax.jit(multiply)(x, 2.0).dtype == "float32"
    assert jax.jit(jax.hessian(lambda s: jnp.sum(multiply(multiply(x, s), s))))(2.0) == 12.0


def test_scalars_of_numpy_are_numbers():
    x = jnp.eye(3)
    found = layers.second_order_pooling(x, eps=np.float64(1e-3), average=np.bool_(True))
    close(found, layers.second_order_pooling(x, eps=1e-3, average=True))


# what is refused


class Tensor:
    """An array of another framework."""

    dtype, shape = "float64", (3, 3)


def test_arrays_of_other_frameworks():
    with pytest.raises(TypeError, match=r"logmh: expected JAX arrays, got test_jax_plugin\.Tensor"):
        linalg.logmh(Tensor())
    with pytest.raises(TypeError, match=r"matmul: expected JAX arrays, got test_jax_plugin\.Tensor"):
        linalg.matmul(jnp.eye(3), Tensor())


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision(dtype):
    with pytest.raises(TypeError, match=rf"logmh: expected .* got {dtype}: cast it, x.astype\('float32'\)"):
        linalg.logmh(jnp.eye(3, dtype=dtype))


def test_integers_where_floats_are_needed():
    with pytest.raises(TypeError, match=r"logmh: x has dtype int64, and must be float32"):
        linalg.logmh(jnp.ones((3, 3), dtype=int))


def test_not_a_function():
    with pytest.raises(TypeError, match=r"function: f must be a function, got float"):
        function(1.0)


def test_inside_a_derivative_of_arrmb():
    with pytest.raises(TypeError, match=r"this function of a plug-in was called inside of"):
        arrmb.grad(lambda x: linalg.trace(x))(jnp.eye(3))


def test_shapes_are_checked_by_arrmb():
    with pytest.raises(ValueError, match=r"logmh: x must have shape \(\.\.\., n, n\), got \(3, 2\)"):
        jax.jit(linalg.logmh)(jnp.ones((3, 2)))


def run(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)


def test_without_jax():
    found = run("import sys; sys.modules['jax'] = None; import arrmb.plugins.jax")
    assert found.stderr.splitlines()[-1] == "ImportError: arrmb.plugins.jax needs JAX: pip install 'arrmb[jax]'"


def test_a_version_that_is_too_old():
    found = run("import jax; jax.__version__ = '0.4.30'; import arrmb.plugins.jax")
    assert found.stderr.splitlines()[-1] == (
        "ImportError: arrmb.plugins.jax needs JAX 0.4.34 or later, found 0.4.30: pip install --upgrade 'arrmb[jax]'"
    )
