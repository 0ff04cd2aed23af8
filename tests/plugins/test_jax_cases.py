"""Every public function through the JAX plug-in: values and derivatives of two orders, eager, compiled and batched.

The second order is compared with `arrmb.hvp`, which tests/ compare with finite differences.
"""

import numpy as np
import pytest
from cases import CASES
from jax_setting import close, double_precision, jax  # noqa: F401

import arrmb

plugin = pytest.importorskip("arrmb.plugins.jax")
check_grads = pytest.importorskip("jax.test_util").check_grads
jnp = jax.numpy


class Problem:
    """A case as a function of its floating-point arguments, and a real number made of all that it returns."""

    def __init__(self, name):
        self.case = CASES[name]
        self.args = self.case.make(np.random.default_rng(0))
        self.moving = [i for i, a in enumerate(self.args) if np.asarray(a).dtype.kind == "f"]
        self.x = [self.args[i] for i in self.moving]
        rng = np.random.default_rng(1)
        self.v = [rng.standard_normal(x.shape) for x in self.x]
        self.y = arrmb.tree.flatten(self(arrmb, self.x))[0]
        self.weights = [rng.standard_normal(y.shape) for y in self.y]
        if any(y.dtype.kind == "c" for y in self.y):
            self.weights = [w + 1j * rng.standard_normal(w.shape) for w in self.weights]

    def __call__(self, m, x):
        full = list(self.args)
        for i, v in zip(self.moving, x):
            full[i] = v
        return self.case.call(m, *full)

    def number(self, m, x):
        total = 0.0
        for y, w in zip(arrmb.tree.flatten(self(m, x))[0], self.weights):
            xp = arrmb.namespace(y)
            part = y * xp.asarray(w)
            total = total + xp.sum(xp.real(part) if w.dtype.kind == "c" else part)
        return total

    def own_derivatives(self, x):
        """Value, gradient, slope along v, and the change of the gradient along v, by arrmb on NumPy."""

        def f(x):
            return self.number(arrmb, x)

        value, gradient = arrmb.value_and_grad(f)(x)
        return value, gradient, arrmb.jvp(f, (x,), (self.v,))[1], arrmb.hvp(f, (x,), (self.v,))[0]

    def derivatives(self, x):
        """The same by JAX."""

        def f(x):
            return self.number(plugin, x)

        v = [jnp.asarray(a) for a in self.v]
        (value, gradient), (slope, second) = jax.jvp(jax.value_and_grad(f), (x,), (v,))
        return value, gradient, slope, second


def check_derivatives(got, want):
    close(got[:3], want[:3])
    sizes = [np.max(np.abs(a)) for a in jax.tree_util.tree_leaves(want[3])]
    slopes = [np.max(np.abs(a)) for a in jax.tree_util.tree_leaves(want[1])]
    close(got[3], want[3], 1e-11, least=max(*sizes, *slopes, 1e-3 * max(slopes)))  # the second order may be zero


def test_logm():
    """Its twelve square roots take a minute to compile to second order: the first, in both modes."""
    problem = Problem("linalg.logm")
    x, v = ([jnp.asarray(a) for a in part] for part in (problem.x, problem.v))

    def f(x):
        return problem.number(plugin, x)

    got = jax.jit(lambda x: (*jax.value_and_grad(f)(x), jax.jvp(f, (x,), (v,))[1]))(x)
    close(got, problem.own_derivatives(problem.x)[:3])


BUT_LOGM = [name for name in CASES if name != "linalg.logm"]  # it is above


@pytest.mark.parametrize("name", BUT_LOGM)
def test_compiled_and_batched(name):
    """Both orders under `jit` and `vmap`, beside a loop over arrmb's own on NumPy; values without either."""
    problem = Problem(name)
    values = problem(plugin, [jnp.asarray(a) for a in problem.x])
    assert all(isinstance(y, jax.Array) for y in jax.tree_util.tree_leaves(values))
    close(values, problem.y)
    batch = [np.stack([a, 1.01 * a]) for a in problem.x]
    got = jax.jit(jax.vmap(problem.derivatives))(batch)
    for i in range(2):
        want = problem.own_derivatives([a[i] for a in batch])
        check_derivatives(jax.tree_util.tree_map(lambda a, i=i: a[i], got), want)


@pytest.mark.parametrize("name", ["linalg.logmh", "linalg.lstsq"])
def test_not_compiled(name):
    problem = Problem(name)
    check_derivatives(problem.derivatives([jnp.asarray(a) for a in problem.x]), problem.own_derivatives(problem.x))


FEW = "logmh top_projector eigh svd polar lstsq subspace_angles slogdet eig".split()


@pytest.mark.parametrize("name", [f"linalg.{name}" for name in FEW])
def test_every_order_of_modes(name):
    """The second order in the modes that the others do not take."""
    problem = Problem(name)
    x, v = ([jnp.asarray(a) for a in part] for part in (problem.x, problem.v))

    def f(*x):
        return problem.number(plugin, x)

    def slope(x):
        return jax.jvp(f, tuple(x), tuple(v))[1]

    def along(x):
        return sum(jnp.vdot(a, b) for a, b in zip(jax.grad(f, argnums=tuple(range(len(x))))(*x), v))

    want = problem.own_derivatives(problem.x)[3]
    size = max(np.max(np.abs(a)) for a in want)
    curvature = sum(np.sum(a * b) for a, b in zip(want, problem.v))
    got = jax.jit(lambda x: (jax.grad(along)(x), jax.grad(slope)(x), jax.jvp(slope, (x,), (v,))[1]))(x)
    close(got[:2], (want, want), 1e-11, least=size)
    close(got[2], curvature, 1e-11, least=size)


@pytest.mark.parametrize("name", BUT_LOGM)
def test_check_grads(name):
    """JAX's own check, to the accuracy of its differences (of differences, at the second order).

    Of the second order it takes the reverse mode of the reverse mode. `test_compiled_and_batched` takes the forward
    mode of it, and `test_every_order_of_modes` for a few functions both modes of the forward mode.
    """
    problem = Problem(name)
    x = [jnp.asarray(a) for a in problem.x]
    tolerance = 1e-5 if problem.case.order == 1 else 1e-4
    f = jax.jit(lambda *x: problem.number(plugin, x))
    check_grads(f, x, order=1, modes=("fwd",), atol=1e-5, rtol=1e-5)
    check_grads(f, x, order=problem.case.order, modes=("rev",), atol=tolerance, rtol=tolerance)
