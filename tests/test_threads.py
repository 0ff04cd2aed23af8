"""Threads over a batch: the same results, errors and settings as without, and what is left behind."""

import multiprocessing
import subprocess
import sys
import threading

import numpy as np
import pytest

import arrmb
from arrmb import _threads, linalg
from arrmb.layers import normalized_cuts_loss, second_order_pooling
from arrmb.optim import AdamState, adam

EPS = np.finfo("float32").eps
COMPUTATIONS = {
    "pooling": second_order_pooling,
    "pooling, small side": lambda f: second_order_pooling(f.mT),
    "cuts": lambda f: normalized_cuts_loss(f * f + 0.1, np.arange(f.shape[-2]) % 2 + np.zeros(f.shape[:-1], int)),
    "cuts, many channels": lambda f: COMPUTATIONS["cuts"](
        arrmb.namespace(f).concat([f, f**2, f**3, f**4, f**5], axis=-1)
    ),
    "eigh": lambda f: linalg.eigh(f[..., :4, :])[1] ** 2,
    "svd": lambda f: linalg.svd(f, full_matrices=False)[0] ** 2,
    "projector": linalg.projector,
    "cholesky": lambda f: linalg.cholesky(second_order_pooling(f, transform="none")),
    "solve": lambda f: linalg.solve(f[..., :4, :] + 5.0 * np.eye(4, dtype="float32"), f[..., 4:, :]),
    "product": lambda f: f @ f[..., :4, :],
    "product with one matrix": lambda f: f @ np.ones((4, 3), "float32"),
}


def features(*batch):
    return np.random.default_rng(0).standard_normal((*batch, 8, 4)).astype("float32")


def differentiated(function, x):
    """Value, gradient, and directional derivative."""
    y, pullback = arrmb.vjp(function, x)
    return y, pullback(np.cos(y))[0], arrmb.jvp(function, (x,), (np.sin(x),))[1]


@pytest.mark.parametrize("batch", [(5,), (2, 3), (1, 4), (2,), (1,)], ids=str)
@pytest.mark.parametrize("name", COMPUTATIONS)
def test_threads_change_nothing(name, batch, monkeypatch, request):
    x = features(*batch)
    monkeypatch.setattr(_threads, "SHARE", np.inf)
    alone = differentiated(COMPUTATIONS[name], x)
    request.getfixturevalue("three_threads")
    for found, expected in zip(differentiated(COMPUTATIONS[name], x), alone):
        # To the bit, but for sums in another order and what all shares decide together: two roundings of the largest
        # entry (measured: 0.3).
        np.testing.assert_allclose(found, expected, rtol=0.0, atol=2.0 * EPS * np.max(np.abs(expected)))


@pytest.mark.parametrize("dtype", ["float32", "complex128"])
@pytest.mark.parametrize("shape", [(), (7,), (20,), (5, 3), (9, 1, 2), (5, 9), (0, 3)], ids=str)
def test_blocks_of_parameters_change_nothing(shape, dtype, monkeypatch, request):
    """To the bit, since each entry is its own, whatever the layout of each array."""
    rng = np.random.default_rng(0)
    p, g, m = (rng.random(shape).astype(dtype) for _ in range(3))
    p, v = np.asarray(p.T.copy().T), rng.random(shape).astype(p.real.dtype)

    def moved():
        return arrmb.tree.flatten(adam([p], [g], AdamState(3, [m], [v]), lr=0.1, weight_decay=0.1))[0]

    monkeypatch.setattr(_threads, "BLOCK", np.inf)
    alone = moved()
    request.getfixturevalue("three_threads")
    runs, each = [], _threads.each
    monkeypatch.setattr(_threads, "each", lambda *args: runs.append(1) or each(*args))
    found = moved()
    assert len(runs) == (shape in [(20,), (5, 3), (9, 1, 2)])  # at least 8 entries, rows of at most 4
    assert len(found) == 4  # the number of steps too
    for y, expected in zip(found, alone):
        np.testing.assert_array_equal(y, expected, strict=True)


@pytest.mark.parametrize("of", ["rate", "gradients"])
def test_steps_are_differentiated_beside_blocks(of, three_threads):
    """The first step of Adam goes along the sign of -g, by the rate."""
    p, g, rate = np.zeros((6, 2)), np.random.default_rng(0).uniform(1.0, 2.0, (6, 2)), np.asarray(0.1)

    def moved(x):
        g_, rate_ = (g, x) if of == "rate" else (x, rate)
        return arrmb.namespace(x).sum(adam([p], [g_], AdamState(0, [p], [p]), lr=rate_)[0][0])

    slope = arrmb.grad(moved)(rate if of == "rate" else g)
    expected = -12.0 if of == "rate" else np.zeros_like(g)
    np.testing.assert_allclose(slope, expected, rtol=1e-7, atol=1e-8)  # Adam's eps, 1e-8, beside |g|


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ((6, 5), (5, 4)),  # rows
        ((2, 5), (5, 9)),  # columns
        ((2, 40), (40, 3)),  # the sum
        ((5, 6, 4), (4, 3)),  # the batch, on one side
        ((5, 6, 4), (5, 4, 3)),  # on both
        ((1, 2, 6, 4), (4, 3)),
        ((1, 6, 4), (4, 3)),
        ((1, 1, 4), (4, 7)),  # nothing to share but the columns
        ((2, 6, 4), (1, 4, 3)),  # batches that are not equal: by BLAS
        ((6, 4), (2, 4, 3)),
    ],
    ids=str,
)
def test_product(left, right, three_threads):
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal(left), rng.standard_normal(right)
    found = _threads.product(a, b)
    np.testing.assert_allclose(found, a @ b, rtol=1e-13, atol=1e-13)
    assert found.dtype == a.dtype


def test_product_of_shapes_that_do_not_fit(three_threads):
    with pytest.raises(ValueError, match="mismatch"):
        _threads.product(np.ones((40, 30)), np.ones((20, 10)))


def test_an_op_runs_in_threads(three_threads):
    """What is saved stays with its share, and is the whole batch's to whoever looks."""
    seen = set()

    def forward(x, *, factor):
        seen.add(threading.get_ident())
        return factor * x, (x, (x[..., 0], factor))

    def rule(saved, dx):
        x, (_, factor) = saved
        return factor * dx + 0.0 * x

    forward, variation, (adjoint,) = _threads.over_batch(forward, rule, (rule,))
    x = features(7)
    y, saved = forward(x, factor=3.0)
    np.testing.assert_array_equal(y, 3.0 * x)
    assert len(seen) > 1
    assert [len(part[0]) for part in saved.parts] == [2, 2, 3]
    np.testing.assert_array_equal(saved[0], x)
    first, (column, factor) = saved
    np.testing.assert_array_equal(first, x)
    np.testing.assert_array_equal(column, x[..., 0])
    assert (len(saved), factor) == (2, 3.0)
    np.testing.assert_array_equal(variation(saved, x), 3.0 * x)
    np.testing.assert_array_equal(adjoint(saved, x), 3.0 * x)


def test_shares_that_went_different_ways(three_threads):
    """A share of full rank is saved otherwise than one that is not; the derivative of a pullback asks for the whole."""
    x = features(3)
    x[1, :, 3] = x[1, :, 2]
    _, pullback = arrmb.vjp(linalg.projector, x)
    bar = np.random.default_rng(1).standard_normal((3, 8, 8)).astype("float32")
    _, found = arrmb.jvp(lambda bar: pullback(bar)[0], (bar,), (bar,))
    # It is linear, so both are one map: by QR in shares of full rank and by the SVD in the others here, by the SVD for
    # all there. Each way has an error of a few roundings times the condition number, which is 3.4 and 4.7 of the
    # matrices of full rank (measured: 7 roundings in all).
    np.testing.assert_allclose(found, pullback(bar)[0], rtol=0.0, atol=20.0 * EPS)


def test_settings_of_the_caller_hold_in_the_threads(three_threads):
    forward, _ = _threads.over_batch(lambda x: (np.log(x), ()), lambda saved, dx: dx)
    x = np.zeros((3, 2, 2))
    with np.errstate(divide="ignore"):
        assert np.all(forward(x)[0] == -np.inf)
    with np.errstate(divide="raise"), pytest.raises(FloatingPointError):
        forward(x)


def test_an_error_comes_out_after_all_threads_have_ended(three_threads):
    running = []

    def forward(x):
        running.append(1)
        try:
            if x[0, 0, 0] == 0.0:
                raise ValueError("the first share")
            threading.Event().wait(0.1)
        finally:
            running.pop()

    forward, _ = _threads.over_batch(forward, None)
    x = np.arange(12.0).reshape(3, 2, 2)
    with pytest.raises(ValueError, match="the first share"):
        forward(x)
    assert not running


def test_blas_has_its_threads_back(paths):
    if paths != "usual":
        pytest.skip("--paths puts a stand-in in the place of BLAS's thread counts, which are what is tested")
    threadpoolctl = pytest.importorskip("threadpoolctl")
    blas = threadpoolctl.ThreadpoolController().select(user_api="blas")
    with blas.limit(limits=2):
        before = [library.num_threads for library in blas.lib_controllers]
        if set(before) != {2}:
            pytest.skip("this BLAS was built for one thread: asked for two it stays at one, and nothing can be held")
        with _threads.blas.held() as first, _threads.blas.held() as second:
            assert (first, second) == (2, 1)  # one caller at a time has them
            assert [library.num_threads for library in blas.lib_controllers] == [1] * len(before)
        with pytest.raises(np.linalg.LinAlgError), _threads.blas.held():
            np.linalg.cholesky(-np.eye(3))
        assert [library.num_threads for library in blas.lib_controllers] == before


def test_callers_in_threads_of_their_own(three_threads):
    x, found = second_order_pooling(features(40), transform="none"), []
    callers = [threading.Thread(target=lambda: found.append(linalg.logmh(x))) for _ in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(60)
    assert len(found) == 4
    assert all(np.array_equal(w, found[0]) for w in found)


FORK = """
import multiprocessing, types
import numpy as np
from arrmb import _batched, _threads

blas = types.SimpleNamespace(num_threads=3, set_num_threads=lambda threads: None)
_threads.SHARE, _threads._libraries = 1e-3, lambda scipy: [blas]
x = np.random.default_rng(0).standard_normal((6, 200, 200))  # long enough for all threads of the pool to be started
x = x + x.swapaxes(-1, -2)
w = _batched.eigh(x)[0]
context = multiprocessing.get_context("fork")
queue = context.Queue()
child = context.Process(target=lambda: queue.put(_batched.eigh(x)[0]))
child.start()
assert np.array_equal(queue.get(timeout=60), w)
child.join(60)
print(child.exitcode)
"""


@pytest.mark.skipif(
    "fork" not in multiprocessing.get_all_start_methods(),
    reason="this system has no fork, and no child inherits a pool",
)
def test_after_a_fork():
    """A child has none of its parent's threads: it starts its own. In a process without JAX, which warns of forks."""
    done = subprocess.run([sys.executable, "-c", FORK], capture_output=True, text=True, timeout=120)
    assert done.stdout == "0\n", done.stderr
