"""arrmb's functions in Chainer: Chainer's own gradient checkers over every function, ties, and what Chainer expects."""

import contextlib
import gc
import itertools
import types
import weakref

import chainer_here
import numpy as np
import pytest
from cases import CASES

import arrmb

chainer = chainer_here.import_chainer()
from chainer import Variable, gradient_check  # noqa: E402

from arrmb.plugins import chainer as plugin  # noqa: E402

F = chainer.functions


def leaves(tree):
    return tuple(arrmb.tree.flatten(tree)[0])


def real(y):
    """Real and imaginary parts: numbers that Chainer differentiates."""
    xp = arrmb.namespace(y)
    return (xp.real(y), xp.imag(y)) if xp.isdtype(y.dtype, "complex floating") else y


def of_floats(name, args):
    """The case as a function of its floating-point arguments, and these."""
    case, places = CASES[name], [i for i, a in enumerate(args) if a.dtype.kind == "f"]

    def call(*floats):
        full = list(args)
        for i, x in zip(places, floats):
            full[i] = x
        if name in ("linalg.eig", "linalg.eigvals"):
            return plugin.function(lambda *full: real(case.call(arrmb, *full)))(*full)
        return leaves(case.call(plugin, *full))

    return call, tuple([args[i] for i in places])


@pytest.mark.parametrize("name", CASES)
def test_gradient_check(name, rng):
    """Chainer's checkers with the step 1e-4: a difference of second order, about 1e-8 of the third derivative."""
    np.random.seed(0)  # of the checkers' directions
    f, xs = of_floats(name, CASES[name].make(rng))
    gys = tuple([rng.standard_normal(y.shape) for y in f(*xs)])
    gradient_check.check_backward(f, xs, gys, eps=1e-4, atol=1e-6, rtol=1e-6)
    if CASES[name].order > 1:
        ggxs = tuple([rng.standard_normal(x.shape) for x in xs])
        gradient_check.check_double_backward(f, xs, gys, ggxs, eps=1e-4, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("name", CASES)
def test_values_and_gradients_are_those_of_arrmb(name, rng):
    """In both precisions, to the last bit: it is the same computation."""
    for dtype in ("float64", "float32"):
        args = [a.astype(dtype) if a.dtype.kind == "f" else a for a in CASES[name].make(rng)]
        f, xs = of_floats(name, args)
        ys = f(*[Variable(x) for x in xs])

        def of_arrays(*floats, args=args):
            floats = iter(floats)
            full = [next(floats) if a.dtype.kind == "f" else a for a in args]
            return leaves(arrmb.tree.map(real, CASES[name].call(arrmb, *full)))

        values, pullback = arrmb.vjp(of_arrays, *xs)
        assert len(ys) == len(values)
        for y, v in zip(ys, values):
            assert isinstance(y, Variable) and y.dtype == v.dtype == dtype and np.array_equal(y.array, v)
        variables = [Variable(x) for x in xs]
        ys = f(*variables)
        gys = [rng.standard_normal(y.shape).astype(dtype) for y in ys]
        chainer.backward(list(ys), [Variable(g) for g in gys])
        for x, g in zip(variables, pullback(tuple(gys))):
            assert x.grad.dtype == dtype and np.array_equal(x.grad, g)


# --------------------------------------------------------------------------------------------------------- ties


class TextbookEigh(chainer.FunctionNode):
    """The rule of textbooks and other libraries, which divides by the gaps: Chainer itself has no eigh."""

    def forward(self, inputs):
        self.w, self.v = np.linalg.eigh(inputs[0])
        return self.w, self.v

    def backward(self, indexes, gys):
        (gw, gv), v = [g.array for g in gys], self.v
        with np.errstate(divide="ignore", invalid="ignore"):
            gaps = self.w[None, :] - self.w[:, None]
            f = np.where(np.eye(len(self.w), dtype=bool), 0.0, 1.0 / gaps)
            return (Variable(v @ (np.diag(gw) + f * (v.T @ gv)) @ v.T),)


def test_log_at_the_identity(rng):
    """Through a textbook eigh NaN. Here exact: tr(G log X) has the gradient G, and the Hessian E -> -(GE + EG)/2."""
    g, e = [a + a.T for a in rng.standard_normal((2, 3, 3))]
    x = Variable(np.eye(3))
    w, v = TextbookEigh().apply((x,))
    F.sum(g * ((v * F.broadcast_to(F.log(w), (3, 3))) @ v.T)).backward()
    assert np.any(np.isnan(x.grad))
    x = Variable(np.eye(3))
    (gx,) = chainer.grad([F.sum(g * plugin.linalg.logmh(x))], [x], enable_double_backprop=True)
    assert np.allclose(gx.array, g, rtol=0, atol=1e-14)
    (hessian,) = chainer.grad([F.sum(gx * e)], [x])
    assert np.allclose(hessian.array, -0.5 * (g @ e + e @ g), rtol=0, atol=1e-13)


@pytest.mark.parametrize("name", ["logmh", "sqrtmh", "invsqrtmh", "invh"])
def test_second_order_at_a_tie(name, rng):
    """Equal to the product with the Hessian that arrmb computes in forward mode."""
    q = np.linalg.qr(rng.standard_normal((4, 4)))[0]
    a = (q * [1.0, 1.0, 2.0, 2.0]) @ q.T
    g, e = [b + b.T for b in rng.standard_normal((2, 4, 4))]
    x = Variable(0.5 * (a + a.T))
    (gx,) = chainer.grad([F.sum(g * getattr(plugin.linalg, name)(x))], [x], enable_double_backprop=True)
    (hessian,) = chainer.grad([F.sum(gx * e)], [x])
    (truth,) = arrmb.hvp(lambda x: arrmb.linalg.trace(g @ getattr(arrmb.linalg, name)(x)), (x.array,), (e,))
    assert np.allclose(hessian.array, truth, rtol=0, atol=1e-12)


def test_third_order():
    x = Variable(np.asarray([[1.5, 0.3], [0.3, 2.0]]))
    cube = plugin.function(lambda x: arrmb.linalg.trace(x @ x @ x))
    y, e = cube(x), np.asarray([[1.0, 2.0], [2.0, -1.0]])
    for _ in range(3):
        (gx,) = chainer.grad([y], [x], enable_double_backprop=True)
        y = F.sum(gx * e)
    assert np.isclose(y.array, 6.0 * np.trace(e @ e @ e), rtol=1e-14)


# --------------------------------------------------------------------------------------------- what Chainer expects


def test_constants(rng):
    """Raw arrays and Variables that require no gradient are constants, and get none."""
    a, b = np.eye(3) * 4 + rng.standard_normal((3, 3)), rng.standard_normal((3, 2))
    x, y = Variable(a), Variable(b, requires_grad=False)
    for right in (b, y):
        x.cleargrad()
        F.sum(plugin.linalg.solve(x, right)).backward()
        assert np.allclose(x.grad, -np.linalg.inv(a).T @ np.ones((3, 2)) @ np.linalg.solve(a, b).T) and y.grad is None
    z = plugin.linalg.solve(a, b)
    assert isinstance(z, Variable) and not z.requires_grad
    assert not plugin.linalg.solve(Variable(a, requires_grad=False), y).requires_grad


@pytest.mark.parametrize("mode", [chainer.no_backprop_mode, chainer.using_config])
def test_no_backprop_mode_keeps_no_pullback(mode, rng, monkeypatch):
    monkeypatch.setattr("arrmb.plugins.chainer.node._record", None)  # a call would raise
    with mode() if mode is chainer.no_backprop_mode else mode("enable_backprop", False):
        y = plugin.linalg.expm(Variable(rng.standard_normal((3, 3))))
    assert y.creator is None
    plugin.linalg.expm(rng.standard_normal((3, 3)))  # nothing requires a gradient
    with pytest.raises(TypeError, match="not callable"):
        plugin.linalg.expm(Variable(rng.standard_normal((3, 3))))


def test_the_pullback_is_freed_with_the_graph(rng):
    gc.collect()
    gc.disable()
    try:
        x = Variable(rng.standard_normal((3, 3)))
        y, variable = plugin.linalg.expm(x), weakref.ref(x)
        del x
        assert variable() is None  # as in Chainer, the graph holds nodes and arrays
        node = weakref.ref(y.creator)
        y.grad = np.ones((3, 3))
        y.backward()
        del y
        assert node() is None
    finally:
        gc.enable()


def test_a_plain_backward_runs_the_function_once(rng):
    runs = []

    def f(x):
        runs.append(x)
        return arrmb.linalg.expm(x)

    x = Variable(rng.standard_normal((3, 3)))
    y = F.sum(plugin.function(f)(x))
    y.backward()
    first = x.grad
    x.cleargrad()
    y.backward()
    assert len(runs) == 1 and np.array_equal(x.grad, first)
    (gx,) = chainer.grad([y], [x], enable_double_backprop=True)
    assert len(runs) == 2 and np.allclose(gx.array, first, rtol=1e-14)


def test_outputs_without_a_cotangent(rng):
    """Eigenvalues alone: eigenvectors get no cotangent, not a zero that a rule would work on."""
    a = rng.standard_normal((3, 3))
    a = a + a.T
    for k, loss in ((0, lambda w: F.sum(w * w)), (1, lambda v: F.sum(v[:, 0] ** 4))):
        x = Variable(a)
        (gx,) = chainer.grad([loss(plugin.linalg.eigh(x)[k])], [x], enable_double_backprop=True)
        (again,) = chainer.grad([loss(plugin.linalg.eigh(x)[k])], [x])
        assert np.allclose(gx.array, again.array, rtol=0, atol=1e-12)
        if k == 0:
            assert np.allclose(gx.array, 2 * a)
    x = Variable(np.eye(3))  # a second derivative at a tie: of the eigenvectors it raises, and they are not asked for
    assert np.allclose(chainer.grad([F.sum(plugin.linalg.eigh(x).eigenvalues)], [x])[0].array, np.eye(3))


def test_trees(rng):
    tree = {"w": Variable(rng.standard_normal((3, 2))), "more": [Variable(np.ones(2)), 2.0, None, "name"]}

    @plugin.function
    def f(tree, x, *, scale):
        b, factor, nothing, name = tree["more"]
        assert nothing is None and name == "name"
        y = x @ tree["w"] * scale + b * factor
        return {"y": y, "sizes": (len(y), np.asarray([1, 2])), "nothing": None}

    out = f(tree, rng.standard_normal((5, 3)), scale=np.float32(0.5))
    assert out["sizes"][0] == 5 and out["nothing"] is None and out["y"].dtype == np.float64
    assert isinstance(out["sizes"][1], Variable) and not out["sizes"][1].requires_grad
    F.sum(out["y"]).backward()
    assert np.array_equal(tree["more"][0].grad, [10.0, 10.0])
    assert isinstance(plugin.linalg.eigh(Variable(np.eye(2))), type(arrmb.linalg.eigh(np.eye(2))))
    assert int(plugin.linalg.matrix_rank(Variable(np.eye(2))).array) == 2
    layer = plugin.layers.Linear(Variable(np.ones((2, 1))), Variable(np.zeros(1)))
    F.sum(plugin.function(lambda layer, x: layer(x))(layer, np.ones((4, 2)))).backward()
    assert np.array_equal(layer.weight.grad, [[4.0], [4.0]])


def test_a_function_keeps_its_name_and_text():
    assert plugin.linalg.logmh.__doc__ == arrmb.linalg.logmh.__doc__ and plugin.linalg.logmh.__name__ == "logmh"
    assert plugin.linalg.__all__ == arrmb.linalg.__all__ and plugin.fft.__all__ == arrmb.fft.__all__
    with chainer.function_hooks.TimerHook() as hook:
        plugin.linalg.logmh(Variable(np.eye(2)))
    assert list(hook.summary()) == ["logmh"]
    assert plugin.linalg.logmh(Variable(np.eye(2))).label == "(2, 2), float64"


def test_gradients_have_memory_of_their_own(rng):
    """In C order, for ChainerMN, which sends it as it lies there; and of one array only, for hooks that update it."""
    f = plugin.function(lambda a, b, c: arrmb.namespace(a).sum(a + b) + arrmb.linalg.trace(c.mT @ c.mT))
    a, b, c = [chainer.Parameter(rng.standard_normal((3, 3))) for _ in range(3)]
    f(a, b, c).backward()
    grads = [p.grad for p in (a, b, c)]
    assert all(g.flags.c_contiguous and g.flags.owndata and g.flags.writeable for g in grads)
    assert not any(np.shares_memory(g, h) for g, h in itertools.pairwise(grads))
    x = Variable(rng.standard_normal((3, 3)))
    y = plugin.linalg.matrix_transpose(x)
    y.grad = rng.standard_normal((3, 3))
    y.backward(retain_grad=True)
    assert np.array_equal(x.grad, y.grad.T) and not np.shares_memory(x.grad, y.grad)


def test_nan_is_found_in_debug_mode():
    x = Variable(np.asarray([[0.0, 0.0], [0.0, 1.0]]))
    with (
        chainer.using_config("debug", True),
        pytest.raises(RuntimeError, match=r"NaN .* forward .* of root"),
    ):

        def root(x):
            return arrmb.namespace(x).sqrt(x - 1.0)

        with np.errstate(invalid="ignore"):
            plugin.function(root)(x)


# ------------------------------------------------------------------------------------------------------ bad input


@contextlib.contextmanager
def one_line(kind, match):
    with pytest.raises(kind, match=match) as caught:
        yield
    assert "\n" not in str(caught.value)


def test_bad_arrays(monkeypatch):
    logmh = plugin.linalg.logmh
    with one_line(TypeError, r"^logmh: expected float32 or float64, got float16: .*cast\(x, 'float32'\)"):
        logmh(Variable(np.eye(2, dtype=np.float16)))
    foreign = types.SimpleNamespace(dtype="float32", shape=(2, 2))
    with one_line(TypeError, "^logmh: expected Variables, NumPy or CuPy arrays, got types.SimpleNamespace"):
        logmh(foreign)
    with one_line(ValueError, "^logmh: a Parameter has no array yet: initialize it"):
        logmh(chainer.Parameter())
    with one_line(TypeError, "^logmh: "):
        logmh(Variable(np.eye(2, dtype=int)))
    with one_line(TypeError, "^function: f must be a function, got int"):
        plugin.function(3)


def test_cpu_and_gpu(monkeypatch):
    """A stand-in for CuPy's arrays: there is no GPU."""

    class Fake(np.ndarray):
        pass

    monkeypatch.setattr("chainer.backends.cuda.ndarray", Fake)
    monkeypatch.setattr("arrmb.plugins.chainer.node._ARRAYS", (np.ndarray, Fake))
    mask = np.ones((1, 4), bool).view(Fake)
    with one_line(TypeError, r"^second_order_pooling: .* one device .* float64 \(4, 2\) on CPU, bool \(1, 4\) on GPU"):
        plugin.layers.second_order_pooling(Variable(np.ones((4, 2))), masks=mask)


def test_chainerx(monkeypatch):
    """A stand-in for its arrays: ChainerX has to be built from source."""

    class Fake:
        dtype, shape = np.dtype("float32"), (2, 2)

    monkeypatch.setattr("chainerx.ndarray", Fake)
    x = Variable(np.eye(2))
    monkeypatch.setattr(Variable, "array", Fake())
    with one_line(TypeError, r"^logmh: expected NumPy or CuPy arrays, got ChainerX: x.to_device\('@numpy'\)"):
        plugin.linalg.logmh(x)


def test_complex_numbers(rng):
    """No gradient goes through them: Chainer's own functions would take it for that of a real one. Values do."""
    x = Variable(rng.standard_normal((3, 3)))
    with one_line(TypeError, "^eigvals: the result is complex, .* keep them within one arrmb.plugins.chainer.function"):
        plugin.linalg.eigvals(x)
    with one_line(TypeError, "^expm: an argument is complex"):
        plugin.linalg.expm(Variable(x.array + 0j))
    assert plugin.linalg.expm(x.array + 0j).dtype == np.complex128
    with chainer.no_backprop_mode():
        assert plugin.linalg.eigvals(x).dtype == np.complex128


def test_functions_of_chainer_inside(rng):
    with one_line(TypeError, "^f: a function of Chainer met an array .* use arrmb's functions"):

        @plugin.function
        def f(x):
            return F.exp(x)

        f(Variable(rng.standard_normal(3)))


def test_errors_of_arrmb_pass_through():
    with one_line(ValueError, r"^logmh: x must have shape \(..., n, n\), got \(2, 3\)"):
        plugin.linalg.logmh(Variable(np.ones((2, 3))))
