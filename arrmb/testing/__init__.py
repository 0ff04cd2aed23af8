"""Checks for people who write an op or a layer: `check_op` and `check_grads`.

The main check is the adjoint identity, ``Re<ybar, variation(dx)> = Re<adjoint(ybar), dx>``: it holds to rounding error,
so it finds a wrong adjoint without any finite difference. Only the variation is compared with differences of the
forward function. Every failure raises an AssertionError that names the op, the backend, the dtype, the property and the
figure. The properties are in `properties.py`, one function each.
"""

from __future__ import annotations

import numpy as np

from .. import tree
from .._xp import device, is_complex, namespace
from . import properties
from .conformance import traced_namespace
from .inputs import Backend, Draw, backends

__all__ = ["Backend", "Draw", "backends", "check_grads", "check_op", "traced_namespace"]


def check_op(
    op,
    inputs,
    *,
    backend=None,
    dtype="float64",
    params=None,
    reference=None,
    invariant=None,
    at=(),
    batch=True,
    order=2,
    loss=1.0,
):
    """Check an op on one backend and one dtype.

    Parameters
    ----------
    op : Op
    inputs : callable
        ``inputs(draw) -> tuple`` of NumPy arrays, made with a `Draw`.
    backend : Backend, optional
        Default: NumPy.
    dtype : {"float64", "float32", "complex128", "complex64"}
    params : dict, optional
        Static parameters of the op.
    reference : callable, optional
        The same function on NumPy arrays, by other means.
    invariant : callable, optional
        Maps the op's outputs to what does not depend on their free choices (signs of eigenvectors, say); a function of
        arrays of any backend that returns a tuple. Values and differences are compared after it.
    at : sequence of callables
        More inputs, made like ``inputs``, at which all is checked too: ties, near ties, rank deficiency.
    batch : bool
        Whether leading axes are batch axes.
    order : int
        Highest order of derivative to check, 1 or 2.
    loss : float
        Factor by which ill-conditioning of the inputs widens every tolerance.

    Returns
    -------
    float
        The largest relative violation of the adjoint identity found.

    Raises
    ------
    AssertionError
        Names the op, the backend, the dtype, the property that fails, and by how much.
    """
    backend = backend or backends()[0]
    case = properties.Case(op, params or {}, backend, dtype, invariant, loss)
    worst = 0.0
    for seed, make in enumerate((inputs, *at)):
        worst = max(worst, _check_point(case, list(make(Draw(seed, case.complex))), reference, order))
    if batch:
        properties.batch(case, list(inputs(Draw(7, case.complex, (3,)))))
    return worst


def _check_point(case, x, reference, order):
    properties.value(case, x, reference)
    dx, ybar = properties.random_like(x, 1), properties.random_like(case.get(case.f(*case.put(x))), 2)
    properties.rules(case, x, dx, ybar)
    worst = properties.identity(case, x, dx, ybar)
    if case.precision == "float64":
        properties.variation(case, x, dx)
        if order >= 2:
            properties.second_order(case, x, dx)
    else:
        properties.against_double(case, x, dx)
    return worst


def check_grads(f, args, *, order=2, tolerance=1e-6, seed=0):
    """Check the derivatives of a function in both directions against finite differences and each other.

    Parameters
    ----------
    f : callable
        Function of pytrees of arrays.
    args : tuple
        Where to check: float64 or complex128 arrays of one backend.
    order : int
        1, or 2 to check Hessian products of a random projection of ``f`` as well.
    tolerance : float
        Relative, for finite differences; 1e-10 is used between the two directions.

    Raises
    ------
    AssertionError
    """
    leaves, structure = tree.flatten(tuple(args))
    xp = namespace(leaves[0])
    name = "strict" if xp.__name__ == "array_api_strict" else xp.__name__.rpartition(".")[2]
    backend = Backend(name, xp, device(leaves[0]))

    def flat(*xs):
        return tuple(tree.flatten(f(*structure.unflatten(list(xs))))[0])

    dtype = "complex128" if any(is_complex(x) for x in leaves) else "float64"
    case = properties.Case(f, {}, backend, dtype, None, tolerance / properties.DIFFERENCE)
    case.f = case.g = flat
    x = [np.asarray(v) for v in case.get(leaves)]
    dx = properties.random_like(x, seed + 1)
    ybar = properties.random_like(case.get(flat(*leaves)), seed + 2)
    properties.identity(case, x, dx, ybar)
    properties.variation(case, x, dx)
    if order >= 2:
        properties.second_order(case, x, dx)
