"""Extremal eigenpairs of a matrix of stored entries."""

from .._xp import raw
from ..linalg._check import DIVERGED, backend_errors
from ..linalg.eigen import EighResult
from ..ops import eigsh as _eigsh
from . import _check


def eigsh(data, pattern, k, /, *, which="LA", method="arpack", tol=0.0, v0=None, maxiter=None, gauge="drop"):
    """The k largest or smallest eigenvalues of a sparse Hermitian matrix, and their eigenvectors.

    Parameters
    ----------
    data : array, shape (nnz,)
        The stored entries, real or complex. The Hermitian part of the matrix is used, and the gradient is that of the
        stored entries, Hermitian as well.
    pattern : Pattern
        Square, n × n, with both triangles stored: each place (i, j) together with (j, i).
    k : int
        Number of eigenpairs, from 1 to n - 3. For more of a spectrum, `arrmb.linalg.eigh` of a dense array.
    which : {"LA", "SA", "LM"}
        The largest, the smallest, or those of largest magnitude.
    method : {"arpack", "lobpcg"}
        Lanczos with restarts, or a block method (LA and SA only, n >= 5 k), less accurate, for spectra with large
        multiple eigenvalues.
    tol : float
        Residual ‖A v - w v‖ relative to ‖A‖ at which the solver stops; 0: rounding error for "arpack", 1e-10 for
        "lobpcg". The relative error of gradients is about the residual over the gap.
    v0 : array, shape (n,) for "arpack", (n, k) for "lobpcg"; optional
        Starting vectors, without derivative. The default is pseudo-random and fixed: results are deterministic
        (before SciPy 1.17, but for bases of multiple eigenvalues).
    maxiter : int, optional
        Most products with the matrix, per vector, of each solver; default ``10 n + 1000``.
    gauge : {"drop", "raise"}
        Whether a loss that depends on the free choice of eigenvectors (phases, bases of tied groups) raises.

    Returns
    -------
    EighResult
        ``eigenvalues``, shape (k,), real, ascending for each ``which``; ``eigenvectors``, shape (n, k), as columns.

    Raises
    ------
    TypeError
        ``data`` is not a floating-point array of shape (nnz,), or ``pattern`` not a Pattern.
    ValueError
        An argument does not fit; a solver does not converge; the loss depends on an eigenpair whose eigenvalue ties
        with one that is left out, so that no derivative exists.
    NotImplementedError
        Second order, where eigenvalues within the group are tied.
    ImportError
        SciPy is not installed (arrays other than CuPy's).

    Notes
    -----
    The gradient is exact whatever ties there are among the other n - k eigenvalues: it takes the gaps within the group,
    and for the rest one linear system per vector, by conjugate gradients, at each derivative. Within the group, ties
    are as in `arrmb.linalg.eigh`; second order is exact where the k eigenvalues are distinct. An eigenvalue that ties
    with one that is left out, to twice the residual, has no derivative; a small gap costs digits: the relative error is
    some ``100 eps ‖A‖ / gap``. Copies of multiple eigenvalues that ARPACK misses are found, as the extreme eigenvalue
    outside the group is computed too (roughly).

    Time: products with the matrix, some ``sqrt(‖A‖ / gap)`` times the number of digits, of each solver; memory
    O(nnz + n k). Measured, SciPy, one thread: the affinity of a grid of 40,000 pixels, k = 6, gap 1.3e-4 ‖A‖: 11 s, and
    5 s more for the gradient, in 31 MB. There is no shift-and-invert. Source: `arrmb.ops.eigsh`.

    Examples
    --------
    Normalized cuts of a pixel grid with learned edge weights. The affinity of neighbours i, j is exp(-θ (x_i - x_j)²),
    the embedding the two largest eigenvectors of D^-½ W D^-½, and its loss has an exact gradient with respect to θ:

    >>> import numpy as np, scipy.sparse as sp, arrmb
    >>> line = sp.diags_array([np.ones(15), np.ones(15)], offsets=[-1, 1])
    >>> pattern = arrmb.sparse.Pattern(sp.kronsum(line, line, format="csr"))      # a grid of 16 × 16 pixels
    >>> image = np.where(np.arange(256) % 16 < 8, 0.0, 1.0) + 0.1 * np.cos(np.arange(256.0))
    >>> squares = (image[pattern.rows] - image[pattern.columns]) ** 2
    >>> halves = np.where(image > 0.5, 1.0, -1.0) / 16.0                          # the true segments
    >>> def loss(theta):
    ...     xp = arrmb.namespace(theta)
    ...     weights = xp.exp(-theta * squares)
    ...     scale = 1.0 / xp.sqrt(arrmb.sparse.matmul(weights, pattern, np.ones(256)))
    ...     normalized = scale[pattern.rows] * weights * scale[pattern.columns]
    ...     _, v = arrmb.sparse.eigsh(normalized, pattern, 2)
    ...     return 1.0 - xp.sum((v.mT @ halves) ** 2)       # one minus the squared cosine of the angle to the subspace
    >>> value, slope = arrmb.value_and_grad(loss)(np.asarray(2.0))
    >>> bool(value < 0.1 and slope < 0.0)                   # a larger θ separates the segments better
    True
    """
    op = "sparse.eigsh"
    _check.pattern(op, pattern)
    _check.entries(op, data, pattern)
    n = pattern.shape[0]
    if pattern.shape[0] != pattern.shape[1]:
        raise ValueError(f"{op}: pattern must be square, got shape {pattern.shape}")
    if pattern.mirror is None:
        i, j = pattern.lonely()
        raise ValueError(
            f"{op}: pattern has a place ({i}, {j}) without ({j}, {i}): store both triangles, Pattern(A + A.T) for the "
            "places, with zeros where there is no value"
        )
    k = _check.options(op, n, k, which, method, tol, gauge)
    v0, maxiter = _check.starting(op, raw(data), n, k, method, v0, maxiter)
    with backend_errors(op, "data", DIVERGED):
        w, v, _ = _eigsh.eigsh(
            data, operator=_eigsh.Entries(op, pattern), k=k, which=which, method=method, tol=tol, v0=v0,
            maxiter=maxiter, gauge=gauge,
        )  # fmt: skip
    return EighResult(w, v)
