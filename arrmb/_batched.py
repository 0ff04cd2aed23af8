"""LAPACK on batches of NumPy matrices: in the precision of the array, and on several threads.

`numpy.linalg` computes float32 in double precision, which takes up to twice the time, and one matrix after the other,
each with BLAS on all threads, which is no help to small matrices. The loops below it take both precisions and let other
threads run. They are not public: where one is missing, `numpy.linalg` itself is called.

Threads: as many as BLAS may use (OPENBLAS_NUM_THREADS, `threadpoolctl`), each with BLAS on one thread. Without the
package threadpoolctl, whose work that is, there is one.
"""

import contextlib
import functools
import os
import threading

import numpy as np

SHARE = 2e6  # multiplications in a batch, below which threads are not worth their start


def eigh(x):
    """Eigenvalues, ascending, and eigenvectors of Hermitian matrices (..., n, n), by their lower triangles."""
    public, error = np.linalg.eigh, "Eigenvalues did not converge"
    return _call("eigh_lo", "{t}->{r}{t}", x, public, error, work=10.0 * x.shape[-1] ** 3)


def svd(x):
    """The thin singular value decomposition U, s, V^H of matrices (..., m, n)."""
    public, error = functools.partial(np.linalg.svd, full_matrices=False), "SVD did not converge"
    name = "svd_s" if hasattr(_loops(), "svd_s") else "svd_m_s" if x.shape[-2] < x.shape[-1] else "svd_n_s"
    return _call(name, "{t}->{t}{r}{t}", x, public, error, work=10.0 * x.shape[-2] * x.shape[-1] * min(x.shape[-2:]))


def cholesky(x):
    """The lower triangular factor of positive definite matrices (..., n, n), by their lower triangles."""
    public, error = np.linalg.cholesky, "Matrix is not positive definite"
    return _call("cholesky_lo", "{t}->{t}", x, public, error, work=x.shape[-1] ** 3 / 3)


def _loops():
    return getattr(np.linalg, "_umath_linalg", None)


def _call(name, signature, x, public, error, work):
    """``work`` is about the number of multiplications for one matrix."""
    loop, kind = getattr(_loops(), name, None), x.dtype.char
    if loop is None or 0 in x.shape or kind not in "fdFD":
        return public(x)
    signature = signature.format(t=kind, r=kind.lower())

    def fail(*_):
        raise np.linalg.LinAlgError(error)

    def run(part):  # a loop reports by the flag of an invalid operation, as it does to `numpy.linalg`
        with np.errstate(call=fail, invalid="call", over="ignore", divide="ignore", under="ignore"):
            return loop(part, signature=signature)

    return _over_threads(run, x, work)


def _over_threads(function, x, work):
    """``function`` of the matrices ``x`` (..., m, n), with the batch shared out to threads."""
    batch = x.shape[:-2]
    count = int(np.prod(batch))
    if count < 2 or count * work < SHARE:
        return function(x)
    with _blas.held() as threads:
        threads = min(threads, count)
        if threads < 2:
            return function(x)
        parts = np.array_split(x.reshape(count, *x.shape[-2:]), threads)
        found = list(_pool(threads).map(function, parts))
    if isinstance(found[0], tuple):
        return tuple([_joined(part, batch) for part in zip(*found)])
    return _joined(found, batch)


def _joined(parts, batch):
    return np.concatenate(parts).reshape(*batch, *parts[0].shape[1:])


class _Blas:
    """The threads of BLAS, which are those of the process: one caller at a time holds them to one."""

    def __init__(self):
        self._held = threading.Lock()

    @functools.cached_property
    def _controller(self):
        try:
            from threadpoolctl import ThreadpoolController
        except ImportError:
            return None
        return ThreadpoolController().select(user_api="blas")

    @contextlib.contextmanager
    def held(self):
        """The number of threads that the caller may start: 1 where another caller has them."""
        libraries = self._controller.lib_controllers if self._controller else []
        if not libraries or not self._held.acquire(blocking=False):
            yield 1
            return
        try:
            threads = min(library.num_threads for library in libraries)
            if threads < 2:
                yield 1
            else:
                with self._controller.limit(limits=1):
                    yield threads
        finally:
            self._held.release()


@functools.cache
def _pool(threads):
    from concurrent.futures import ThreadPoolExecutor

    return ThreadPoolExecutor(threads, thread_name_prefix="arrmb")


_blas = _Blas()


def _after_fork():
    """A child process has no threads yet, and nobody holds its lock."""
    global _blas
    _blas = _Blas()
    _pool.cache_clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
