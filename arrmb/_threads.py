"""Threads over the batch of NumPy matrices, each with BLAS on one thread.

BLAS shares one product or decomposition of a small matrix among its threads, which costs more than it brings: they wait
for each other in every panel, and for a while after each call they wait for the next one with the processor at full
load, in the way of everybody else (two libraries of BLAS, NumPy's and SciPy's, in each other's). A batch has better
shares to give: whole matrices, through a whole op.

As many threads as BLAS may use (OPENBLAS_NUM_THREADS, `threadpoolctl`). Without the package threadpoolctl, which holds
BLAS to one, there is one.
"""

import contextlib
import functools
import itertools
import os
import sys
import threading

import numpy as np

SHARE = 2e6  # multiplications that a thread must have to do: its start takes as long as half of them
BLOCK = 2**16  # entries: some arrays of as many stay in a core's cache; a call for less is mostly overhead
ALONE = 2e5  # multiplications of one product, from which on BLAS would share it out


def over_batch(forward, *rules, cost=1.0):
    """The forward function and the rules of an op that treats each matrix of a batch by itself, made to use threads.

    ``cost``, fitted to measured times, is about the number of products with a matrix of its size that the longest call
    of LAPACK in it is worth: less than 1 where an op is many short calls from Python, at each of which Python's lock is
    handed over. One thread is left with arguments that have not got the same batch; with ``gauge="raise"``, whose
    message counts the matrices; and with parameters of which ``by_matrix`` is false, because they hold arrays of the
    whole batch or call functions of the user's.
    """

    @functools.wraps(forward)
    def shared_forward(*args, **params):
        if len(args[0].shape) < 3 or not all(type(a) is np.ndarray for a in args) or not _by_matrix(params):
            return forward(*args, **params)
        work = cost * sum(a.size * min(a.shape[-2:]) for a in args)
        parts = of_shares(functools.partial(_apply, forward), (args, params), args, work)
        if parts is None:
            return forward(*args, **params)
        axis, saved = axis_of(args[0]), [saved for _, saved in parts]
        again = None if all(_alike(saved[0], other) for other in saved[1:]) else lambda: forward(*args, **params)[1]
        return joined([y for y, _ in parts], axis), Saved(saved, axis, again)

    return shared_forward, *(_shared_rule(rule) for rule in rules)


def _by_matrix(params):
    return params.get("gauge") != "raise" and all(getattr(v, "by_matrix", True) for v in params.values())


def _apply(function, args, params):
    return function(*args, **params)


def _shared_rule(rule):
    if type(rule) is tuple:
        return tuple(map(_shared_rule, rule))

    @functools.wraps(rule)
    def shared(saved, *vectors):
        if type(saved) is not Saved:
            return rule(saved, *vectors)
        shares = [(part, *share) for part, share in zip(saved.parts, split(vectors, saved.axis, len(saved.parts)))]
        with blas.held() as threads:
            parts = _run(rule, shares) if threads > 1 else [rule(*share) for share in shares]
            return joined(parts, saved.axis)

    return shared


def _alike(a, b):
    """Whether two nests differ in nothing but the entries of their arrays: such shares can be joined."""
    if isinstance(a, (tuple, list)):
        return type(a) is type(b) and len(a) == len(b) and all(map(_alike, a, b))
    return type(a) is type(b) and (isinstance(a, np.ndarray) or a is b or a == b)


class Saved:
    """What the rules of an op need, by shares of the batch; as a sequence, that of the whole batch.

    Shares in which another way was taken, or another number of steps, are not joined: ``again`` computes the whole.
    """

    def __init__(self, parts, axis, again):
        self.parts = parts
        self.axis = axis
        self._again = again

    def _whole(self):
        return self._again() if self._again else joined([tuple(part) for part in self.parts], self.axis)

    def __iter__(self):
        return iter(self._whole())

    def __len__(self):
        return len(self._whole())

    def __getitem__(self, i):
        return self._whole()[i]


def of_shares(function, arguments, arrays, work):
    """``function(*share)`` for each thread's share of ``arguments``, or None if it is not worth threads.

    ``work`` is about the number of multiplications. ``arrays``, which must have equal batches, are among the arguments.
    """
    x = arrays[0]
    axis = axis_of(x)
    count = min(x.shape[axis], int(work / SHARE))
    if count < 2 or axis > x.ndim - 3 or any(a.shape[:-2] != x.shape[:-2] for a in arrays[1:]):
        return None
    with blas.held() as threads:
        threads = min(threads, count)
        if threads < 2:
            return None
        return _run(function, split(arguments, axis, threads))


def each(function, items, x, work):
    """``[function(item) for item in items]``, on threads if the array ``x`` that they are about is NumPy's.

    ``work`` is the number of multiplications of all.
    """
    count = min(len(items), int(work / SHARE)) if type(x) is np.ndarray else 1
    with blas.held() if count > 1 else contextlib.nullcontext(1) as threads:
        count = min(threads, count)
        if count < 2:
            return [function(item) for item in items]
        shares = [(items[part],) for part in _slices(len(items), count)]
        return list(itertools.chain(*_run(lambda share: [function(item) for item in share], shares)))


def product(a, b):
    """``a @ b``, of NumPy arrays with the first axis of the batch, the rows, the columns or the sum shared out."""
    if type(a) is not np.ndarray or type(b) is not np.ndarray or a.dtype != b.dtype or min(a.ndim, b.ndim) < 2:
        return a @ b
    work, axis = a.size * b.shape[-1], axis_of(a)
    if work < ALONE or axis == a.ndim - 1 or (b.ndim > 2 and a.shape[:-2] != b.shape[:-2]):
        return a @ b
    with blas.held() as threads:
        threads = min(threads, int(work / SHARE))
        if threads < 2:
            return a @ b
        whole = [b] * threads
        if a.ndim > 2:
            ours, theirs = split(a, axis, threads), split(b, axis, threads) if axis < b.ndim - 2 else whole
        elif a.shape[1] > 2 * max(a.shape[0], b.shape[1]):
            parts = _run(np.matmul, list(zip(split(a, 1, threads), split(b, 0, threads))))
            return functools.reduce(np.add, parts)
        elif a.shape[0] >= b.shape[1]:
            ours, theirs = split(a, 0, threads), whole
        else:
            ours, theirs, axis = [a] * threads, split(b, 1, threads), 1
        y = np.empty((*a.shape[:-1], b.shape[-1]), a.dtype)
        _run(lambda u, v, out: np.matmul(u, v, out=out), list(zip(ours, theirs, split(y, axis, threads))))
        return y


def by_blocks(function, arrays):
    """``function(*arrays)``, arrays like the first, entry by entry: by blocks of rows, on threads, on NumPy."""
    x = arrays[0]
    if any(type(a) is not np.ndarray for a in arrays) or not 2 * BLOCK <= x.size <= BLOCK * len(x):
        return function(*arrays)
    rows = max(1, BLOCK * len(x) // x.size)
    first, *others = [slice(i, i + rows) for i in range(0, len(x), rows)]
    found = function(*(a[first] for a in arrays))
    if not all(type(y) is np.ndarray for y in found):  # traced: a rate of learning is differentiated
        return function(*arrays)
    results = [np.empty(x.shape, y.dtype) for y in found]

    def put(part, found):
        for result, y in zip(results, found):
            result[part] = y

    put(first, found)
    work = 4 * x.size  # entry by entry it is memory that takes the time: measured as if it were so many multiplications
    each(lambda part: put(part, function(*(a[part] for a in arrays))), others, x, work)
    return results


def axis_of(x):
    """The axis of the batch that is shared out: the first one that is longer than 1."""
    return next((i for i, length in enumerate(x.shape) if length != 1), 0)


def _run(function, shares):
    """``function(*share)`` for each of the shares, each in a thread; the caller holds BLAS to one."""
    settings = np.geterr()

    def run(share):
        with np.errstate(**settings):  # the caller's: NumPy keeps them by thread
            return function(*share)

    first, *others = shares
    others = [_pool(len(others)).submit(run, share) for share in others]
    try:
        return [function(*first), *(other.result() for other in others)]
    finally:  # what a failure leaves behind must not run while BLAS has its threads again
        for other in others:
            other.exception()


def _slices(length, count):
    ends = [length * i // count for i in range(count + 1)]
    return [slice(*pair) for pair in itertools.pairwise(ends)]


def split(tree, axis, count):
    """The nest of arrays in ``count`` shares; what is no array belongs to each of them."""
    if isinstance(tree, np.ndarray):
        return [tree[(*(slice(None),) * axis, part)] for part in _slices(tree.shape[axis], count)]
    if isinstance(tree, (tuple, list)):
        return list(zip(*(split(v, axis, count) for v in tree))) if tree else [()] * count
    if isinstance(tree, dict):
        return [dict(zip(tree, values)) for values in split(tuple(tree.values()), axis, count)]
    return [tree] * count


def joined(parts, axis):
    """The nest of arrays whose shares ``parts`` are."""
    first = parts[0]
    if isinstance(first, np.ndarray):
        return np.concatenate(parts, axis=axis)
    if isinstance(first, (tuple, list)):
        return tuple([joined(values, axis) for values in zip(*parts)])
    return first


class _Blas:
    """The threads of BLAS, which are those of the process: one caller at a time holds them to one."""

    def __init__(self):
        self._held = threading.Lock()

    @contextlib.contextmanager
    def held(self):
        """The number of threads that the caller may start: 1 where another caller has them."""
        libraries = _libraries("scipy.linalg" in sys.modules)
        if not libraries or not self._held.acquire(blocking=False):
            yield 1
            return
        before = [library.num_threads for library in libraries]
        try:
            for library in libraries:
                library.set_num_threads(1)
            yield min(before)
        finally:
            for library, threads in zip(libraries, before):
                library.set_num_threads(threads)
            self._held.release()


@functools.cache
def _libraries(scipy):
    """The libraries of BLAS that are loaded; ``scipy``: SciPy, which has its own, is among them."""
    try:
        from threadpoolctl import ThreadpoolController
    except ImportError:
        return []
    return ThreadpoolController().select(user_api="blas").lib_controllers


@functools.cache
def _pool(threads):
    from concurrent.futures import ThreadPoolExecutor

    return ThreadPoolExecutor(threads, thread_name_prefix="arrmb")


blas = _Blas()


def _after_fork():
    """A child process has no threads yet, and nobody holds its lock."""
    global blas
    blas = _Blas()
    _pool.cache_clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
