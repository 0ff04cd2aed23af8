"""The seam to factorizations and solvers that the Array API standard lacks. Raw arrays only.

PyTorch and CuPy have most of them; NumPy's are SciPy's, an optional dependency, and array-api-strict is served through
NumPy. What a backend has not got raises, with the remedy.
"""

from __future__ import annotations

import functools

from . import _batched, _threads
from ._xp import H, backend_of, device, diag_part, embed_diag, is_complex, is_traced, known, namespace, on_host, sym


def _backend(x):
    return backend_of(namespace(x))


def to_host(x):
    """The values of ``x`` as a NumPy array."""
    import numpy as np

    backend = _backend(x)
    if backend == "numpy":
        return x
    if backend == "torch":
        return x.detach().cpu().resolve_conj().resolve_neg().numpy()
    if backend == "cupy":
        return x.get()
    if backend == "jax":
        return known(x, "a function that is computed on the host")
    xp = namespace(x)
    x = x.to_device(xp.Device("CPU_DEVICE")) if hasattr(xp, "Device") and str(device(x)) != "cpu" else x
    return np.from_dlpack(xp.asarray(x, copy=True))


def on_numpy(function, *arrays):
    """``function`` of the values of ``arrays`` on the host; results on the backend and device of the first of them."""
    xp, place = namespace(*arrays), device(arrays[0])
    found = function(*map(to_host, arrays))
    if isinstance(found, tuple):
        return tuple([xp.asarray(v, device=place) for v in found])
    return xp.asarray(found, device=place)


@functools.cache
def has_scipy() -> bool:
    """Whether SciPy is installed."""
    try:
        import scipy.linalg  # noqa: F401
    except ImportError:
        return False
    return True


# -------------------------------------------------------------------------------------------------------- iterations


def iterate(step, state, steps, fixed):
    """Repeat ``state, record = step(state)`` while there is a matrix where ``state[-1]`` says that it is running.

    At most ``steps`` times; where values are not looked at, ``fixed`` times, for JAX in one loop of its compiler.
    Returns the state, and the records for `run_over`.
    """
    if _backend(state[0]) == "jax":
        from jax.lax import scan

        return scan(lambda state, _: step(state), state, None, length=fixed)
    records, look = [], on_host(state[0])
    for _ in range(steps if look else fixed):
        state, record = step(state)
        records.append(record)
        if look and not bool(namespace(state[-1]).any(state[-1])):
            break
    return state, records


def run_over(step, x, records):
    """``x = step(x, record)`` for each of the records of `iterate`."""
    if _backend(x) == "jax":
        from jax.lax import scan

        return scan(lambda x, record: (step(x, record), None), x, records)[0]
    for record in records:
        x = step(x, record)
    return x


# ------------------------------------------------------------------------------------- decompositions of the standard


def eigh(x):
    """Eigenvalues, ascending, and eigenvectors of Hermitian matrices."""
    return _batched.eigh(x) if _backend(x) == "numpy" else namespace(x).linalg.eigh(x)


def cholesky(x):
    """The lower triangular factor of positive definite matrices."""
    return _batched.cholesky(x) if _backend(x) == "numpy" else namespace(x).linalg.cholesky(x)


def svd(x, full_matrices=False):
    """The standard's svd. LAPACK's may not return from a matrix with an infinite entry: on the host, it raises."""
    xp = namespace(x)
    if on_host(x) and not bool(xp.all(xp.isfinite(x))):
        import numpy as np

        raise np.linalg.LinAlgError("SVD of a matrix with NaN or infinity")
    if _backend(x) == "numpy" and not full_matrices:
        return _batched.svd(x)
    return xp.linalg.svd(x, full_matrices=full_matrices)


def hermitian_square(q):
    """Q Q^H, Hermitian to the bit."""
    y = q @ H(q)
    if _backend(q) == "numpy" and not is_complex(q) and q.itemsize in q.strides[-2:]:
        return y  # NumPy computes one triangle by BLAS's syrk, and copies it
    return sym(y)


def times_twice_sym(x, b):
    """(X + X^H) B, of traced arrays too.

    A large X of NumPy by blocks of rows: the sum needs no second array like X, which the system would have to find
    anew in each pass. In a block by tiles: each entry of a column of X is in another page of memory.
    """
    n = x.shape[-1]
    if is_traced(x) or _backend(x) != "numpy" or n < 1024:
        return (x + H(x)) @ b
    import numpy as np

    def block(first):
        y = x[..., first : first + 512, :].copy()
        for i in range(0, y.shape[-2], 64):
            for j in range(0, n, 64):
                tile = x[..., j : j + 64, first + i : first + i + 64].copy()
                y[..., i : i + 64, j : j + 64] += H(tile)
        return y @ b

    return np.concatenate([block(first) for first in range(0, n, 512)], axis=-2)


def qr(x):
    """Q (..., m, k) and R (..., k, n), k = min(m, n)."""
    if _backend(x) == "numpy" and has_scipy() and 0 not in x.shape:
        return _qr_by_scipy(x)
    return namespace(x).linalg.qr(x)


def _matrices(x):
    """The matrices of a batch, one after the other; those of a new array can be written."""
    return x.reshape(-1, *x.shape[-2:])


def _qr_by_scipy(x):
    """LAPACK in blocks and in the precision of ``x``: NumPy's is in double precision, and slower for tall matrices."""
    import numpy as np
    from scipy.linalg import get_lapack_funcs

    *batch, m, n = x.shape
    k = min(m, n)
    geqrf, make_q = get_lapack_funcs(("geqrf", "ungqr" if is_complex(x) else "orgqr"), (x,))
    q, r = np.empty((*batch, k, m), x.dtype), np.empty((*batch, k, n), x.dtype)
    with _threads.blas.held():
        for each_x, each_q, each_r in zip(_matrices(x), _matrices(q), _matrices(r)):
            a, tau, _, _ = geqrf(each_x, lwork=32 * n)
            each_r[...] = a[:k]
            each_q[...] = make_q(a[:, :k], tau, lwork=32 * n, overwrite_a=1)[0].T  # LAPACK's arrays go by columns
    return np.swapaxes(q, -1, -2), np.triu(r)


def has_reflectors(x, b):
    """Whether `qr_multiply` is there, and B has so few columns that it takes less time than to form Q."""
    if _backend(x) != "numpy" or not has_scipy() or x.shape[:-2] != b.shape[:-2] or x.dtype != b.dtype:
        return False
    return x.shape[-1] > 8 * b.shape[-1] > 0 and 0 not in x.shape


def qr_multiply(x, b):
    """R, Q^H B, and the function C -> Q C for C with the columns of B, of A = QR by LAPACK's reflectors."""
    import numpy as np
    from scipy.linalg import get_lapack_funcs

    (*batch, m, n), columns = x.shape, b.shape[-1]
    k, adjoint = min(m, n), "C" if is_complex(x) else "T"
    geqrf, multiply = get_lapack_funcs(("geqrf", "unmqr" if is_complex(x) else "ormqr"), (x,))
    reflectors, r, p = [], np.empty((*batch, k, n), x.dtype), np.empty((*batch, k, columns), x.dtype)
    with _threads.blas.held():
        for each_x, each_b, each_r, each_p in zip(*map(_matrices, (x, b, r, p))):
            a, tau, _, _ = geqrf(each_x, lwork=32 * n)
            each_r[...] = a[:k]
            # With the least workspace one reflector after the other; blocks of them pay for more columns only.
            each_p[...] = multiply("L", adjoint, a[:, :k], tau, each_b, lwork=columns)[0][:k]
            reflectors.append((a[:, :k], tau))

    def times(c):
        y = np.zeros((*batch, columns, m), x.dtype)  # transposed, as LAPACK's arrays are
        y[..., :k] = np.swapaxes(c, -1, -2)
        with _threads.blas.held():
            for (a, tau), each_y in zip(reflectors, _matrices(y)):
                each_y[...] = multiply("L", "N", a, tau, each_y.T, lwork=columns, overwrite_c=1)[0].T
        return np.swapaxes(y, -1, -2)

    return np.triu(r), p, times


# ------------------------------------------------------------------------------ eigenvalues of nonsymmetric matrices


def eig(x):
    """Eigenvalues and unit eigenvectors of square matrices, always complex. New in the standard 2025.12."""
    w, v = _function_of_linalg(x, "eig")(x)
    return _as_complex(w), _as_complex(v)


def eigvals(x):
    """Eigenvalues of square matrices, always complex."""
    return _as_complex(_function_of_linalg(x, "eigvals")(x))


def _function_of_linalg(x, name):
    xp = namespace(x)
    function = getattr(xp.linalg, name, None)
    if function is None:
        raise NotImplementedError(
            f"{name}: {xp.__name__} has no linalg.{name} in this version: it takes NumPy, PyTorch, CuPy >= 14 or "
            "array-api-strict >= 2.6"
        )
    return function


def _as_complex(x):
    xp = namespace(x)  # NumPy gives real results where all eigenvalues are real
    return x if is_complex(x) else xp.astype(x, xp.complex64 if x.dtype == xp.float32 else xp.complex128)


# ----------------------------------------------------------------------------------------------------------- LU


def lu(x):
    """P, L, U with X = P L U, partial pivoting, all of the dtype of ``x``."""
    xp, backend = namespace(x), _backend(x)
    if backend == "torch":
        return tuple(xp.linalg.lu(x))
    *batch, m, n = x.shape
    if backend == "jax":
        import jax

        factorize = jax.scipy.linalg.lu
        for _ in batch:  # it takes single matrices
            factorize = jax.vmap(factorize)
        return tuple(factorize(x))
    if 0 in x.shape:  # SciPy's P has another shape
        where = {"dtype": x.dtype, "device": device(x)}
        lower, upper = xp.zeros((*batch, m, min(m, n)), **where), xp.zeros((*batch, min(m, n), n), **where)
        return xp.zeros((*batch, m, m), **where) + xp.eye(m, **where), lower, upper
    if backend == "cupy":
        if batch:  # it takes single matrices
            return tuple([xp.stack(parts) for parts in zip(*[lu(x[i, ...]) for i in range(batch[0])])])
        from cupyx.scipy.linalg import lu as factorize

        p, lower, upper = factorize(x, check_finite=False)
        return xp.astype(p, x.dtype), lower, upper
    try:
        from scipy.linalg import lu as factorize
    except ImportError:
        raise ImportError("lu: needs SciPy: pip install 'arrmb[scipy]'") from None

    return on_numpy(lambda a: tuple([v.astype(a.dtype) for v in factorize(a, check_finite=False)]), x)


# ------------------------------------------------------------------------------------------------- triangular systems


def solve_triangle(a, b, lower, unit_diagonal):
    """T^-1 B for the lower or upper triangle T of A, with its diagonal or ones there. Equal batches.

    CuPy's solver is used for one matrix; where there is none, a general solver is given the triangle.
    """
    xp, backend = namespace(a, b), _backend(a)
    if backend == "torch":
        return xp.linalg.solve_triangular(a, b, upper=not lower, unitriangular=unit_diagonal)
    if backend == "jax":
        from jax.scipy.linalg import solve_triangular

        return solve_triangular(a, b, lower=lower, unit_diagonal=unit_diagonal)
    if backend == "numpy" and has_scipy() and 0 not in b.shape:
        return _solve_triangles(a, b, lower, unit_diagonal)
    if backend == "cupy" and a.ndim == 2 and 0 not in b.shape:
        from cupyx.scipy.linalg import solve_triangular

        return solve_triangular(a, b, lower=lower, unit_diagonal=unit_diagonal)
    triangle = xp.tril(a) if lower else xp.triu(a)
    if unit_diagonal:
        triangle = triangle + embed_diag(1.0 - diag_part(a))
    return xp.linalg.solve(triangle, b)


def _solve_triangles(a, b, lower, unit_diagonal):
    import numpy as np
    from scipy.linalg import get_lapack_funcs

    (trtrs,) = get_lapack_funcs(("trtrs",), (a, b))
    x = np.empty(b.shape, b.dtype)
    with _threads.blas.held():
        for triangle, right, out in zip(_matrices(a), _matrices(b), _matrices(x)):
            out[...], info = trtrs(triangle, right, lower=lower, unitdiag=unit_diagonal)
            if info > 0:
                raise np.linalg.LinAlgError(f"entry {info - 1} of the diagonal is zero")
    return x


# --------------------------------------------------------------------------------------------------- special functions


def of_jax(name):
    """JAX's function of this name of `scipy.special`, or None."""
    import jax.scipy.special

    return getattr(jax.scipy.special, name, None)
