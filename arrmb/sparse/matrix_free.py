"""Extremal eigenpairs of a matrix that is known by its products."""

from .. import transforms, tree
from .._xp import conj, device, eps, is_traced, namespace, raw, raw_namespace, real
from ..linalg._check import DIVERGED, backend_errors, floating, number
from ..linalg.eigen import EighResult
from ..ops import eigsh as _eigsh
from ..ops.krylov import start
from ..tape.core import lift
from . import _check


def eigsh_operator(
    matvec,
    parameters,
    n,
    k,
    /,
    *,
    which="LA",
    method="arpack",
    tol=0.0,
    v0=None,
    maxiter=None,
    gauge="drop",
    dtype=None,
):
    """`eigsh` of a matrix that is known by its products only, differentiable in the parameters of the product.

    Parameters
    ----------
    matvec : callable
        ``matvec(parameters, x)``: the product with x, shape (n, p), of the same shape. Linear in x, Hermitian for every
        value of the parameters (write ``0.5 * (M @ x + M.mT @ x)`` for a parameter M), and written with functions of
        ``arrmb.namespace(x)`` and `arrmb.sparse.matmul`: it is run on raw and on traced arrays. Whatever it takes a
        derivative of must be in ``parameters``.
    parameters : pytree of arrays
        Real or complex floating-point, of one backend.
    n, k : int
        Size of the matrix, and number of eigenpairs.
    which, method, tol, v0, maxiter, gauge
        As in `eigsh`.
    dtype : dtype, optional
        Of the vectors. Default: that of the parameters together. A complex one is needed for a complex Hermitian
        matrix with real parameters.

    Returns
    -------
    EighResult
        As `eigsh`.

    Raises
    ------
    TypeError
        ``matvec`` is not callable, a leaf of ``parameters`` is not a floating-point array, or the product is not an
        array like x.
    ValueError
        As `eigsh`; the product is not Hermitian, to rounding error for two vectors.
    NotImplementedError, ImportError
        As `eigsh`.

    Notes
    -----
    The gradient with respect to the parameters is that of ``Re<Y, matvec(parameters, V)>``, with Y (n, k) and V fixed:
    no array larger than those of ``matvec`` is formed. Exactness, order and cost are those of `eigsh`.
    Source: `arrmb.ops.eigsh`.
    """
    op = "sparse.eigsh_operator"
    if not callable(matvec):
        raise TypeError(f"{op}: matvec must be a function of (parameters, x), got {type(matvec).__name__}")
    leaves, structure = tree.flatten(parameters)
    if not leaves:
        raise ValueError(f"{op}: parameters has no arrays: put in it what matvec depends on")
    for leaf in leaves:
        floating(op, "a leaf of parameters", leaf)
    xp = namespace(*leaves)
    if any(is_traced(x) for x in leaves):
        leaves = [lift(x) for x in leaves]
    below = raw_namespace(xp)
    dtype = below.result_type(*[raw(x) for x in leaves]) if dtype is None else dtype
    if dtype not in (below.float32, below.float64, below.complex64, below.complex128):
        raise TypeError(f"{op}: dtype must be floating-point, such as xp.float64, got {dtype!r}")
    n = number(op, "n", n, integer=True)
    k = _check.options(op, n, k, which, method, tol, gauge)
    product = _Product(op, matvec, structure, n, below.zeros((1,), dtype=dtype, device=device(leaves[0])))
    v0, maxiter = _check.starting(op, product.zero, n, k, method, v0, maxiter)
    product.check(leaves)
    with backend_errors(op, "matvec", DIVERGED):
        w, v, _ = _eigsh.eigsh(
            *leaves, operator=product, k=k, which=which, method=method, tol=tol, v0=v0, maxiter=maxiter, gauge=gauge
        )
    return EighResult(w, v)


class _Product:
    """The operator of `arrmb.ops.eigsh` whose leaves are those of the parameters of a product."""

    def __init__(self, name, matvec, structure, n, zero):
        self.name, self.matvec, self.structure, self.n, self.zero = name, matvec, structure, n, zero

    def like(self, leaves):
        return self.zero

    def product(self, leaves):
        parameters = self.structure.unflatten(leaves)

        def product(x):
            y = self.matvec(parameters, x)
            if is_traced(y):
                raise TypeError(
                    f"{self.name}: matvec uses a traced array that is not in parameters, and its derivative would be "
                    "lost: pass it in parameters"
                )
            if not hasattr(y, "dtype") or tuple(y.shape) != tuple(x.shape) or y.dtype != x.dtype:
                found = f"{tuple(y.shape)}, {y.dtype}" if hasattr(y, "dtype") else type(y).__name__
                raise TypeError(
                    f"{self.name}: matvec must return an array of the shape and dtype of x, {tuple(x.shape)} and "
                    f"{x.dtype}, got {found} (a complex matrix with real parameters needs dtype=)"
                )
            return y

        return product

    def check(self, leaves):
        product, x, y = self.product([raw(v) for v in leaves]), *[start(self.zero, self.n, 1, seed=s) for s in (3, 4)]
        xp = namespace(x)
        try:
            ax, ay = product(x), product(y)
        except (ValueError, IndexError, RuntimeError) as error:  # what backends raise where shapes do not fit
            if isinstance(error, NotImplementedError):
                raise
            raise ValueError(
                f"{self.name}: matvec does not take x of shape {tuple(x.shape)}, n = {self.n} being the size of the "
                f"matrix: {error}"
            ) from error
        left, right = complex(xp.sum(conj(x) * ay)), complex(xp.sum(conj(ax) * y))
        size = [float(xp.sum(real(conj(v) * v))) ** 0.5 for v in (x, ay, ax, y)]
        if abs(left - right) > eps(x) ** 0.5 * (size[0] * size[1] + size[2] * size[3]):
            raise ValueError(
                f"{self.name}: matvec is not Hermitian: <x, A y> = {left:.6g}, <A x, y> = {right:.6g}; give it the "
                "product with the Hermitian part"
            )

    def push(self, leaves, dleaves, x):
        dleaves = [namespace(v).zeros_like(v) if d is None else d for v, d in zip(leaves, dleaves)]
        return transforms.jvp(self._of(x), tuple(leaves), tuple(dleaves))[1]

    def pull(self, leaves, z, x):
        return transforms.vjp(self._of(x), *leaves)[1](z)

    def _of(self, x):
        return lambda *leaves: self.matvec(self.structure.unflatten(leaves), lift(x))
