"""A function of arrmb's arrays as one of JAX arrays."""

from __future__ import annotations

import functools

import jax
import numpy as np

from ... import tree
from ..._xp import is_inexact
from .. import _mirror
from ._boxes import box, unbox


def function(f):
    """``f``, made of arrmb's functions, as a function of JAX arrays with arrmb's derivatives.

    Parameters
    ----------
    f : callable
        A function of pytrees of arrays, written with arrmb's functions and with those of the arrays' namespace,
        ``xp = arrmb.namespace(x)``. It may take derivatives itself, with `arrmb.grad` and the others. Inside it the
        arrays are traced ones of the Array API standard, which the functions of `jax.numpy` refuse.

    Returns
    -------
    callable
        Takes what ``f`` takes. JAX differentiates with respect to floating-point JAX arrays among the arguments,
        and among what ``f`` closes over. Integer and boolean arrays are constants, and so is all that is no array.
        NumPy arrays become JAX arrays; those of integers keep values that can be looked at under `jax.jit`. NumPy's
        scalars become Python's.

    Raises
    ------
    TypeError
        ``f`` is not a function. Of the result: an argument is an array of another framework, or of a precision other
        than float32, float64, complex64, complex128.

    Notes
    -----
    A derivative of the first order is made by the rules that `arrmb.grad` uses, forward or backward, with one
    factorisation of each matrix; where the second order is exact in arrmb, it is here. Complex cotangents are JAX's,
    the conjugates of arrmb's.
    """
    if not callable(f):
        raise TypeError(f"function: f must be a function, got {type(f).__name__}")
    name = getattr(f, "__name__", type(f).__name__)

    @functools.wraps(f)
    def of_jax_arrays(*args, **kwargs):
        arrays, put_together = _mirror.take_apart(
            name, args, kwargs, _is_array, "expected JAX arrays: jax.numpy.asarray(x)"
        )
        args, kwargs = put_together([_enter(name, x) for x in arrays])
        try:
            y = f(*args, **kwargs)
        except TypeError as error:
            if "Traced" not in str(error) or "not a valid JAX type" not in str(error):
                raise
            raise TypeError(
                f"{name}: a function of JAX met an array of arrmb: inside, use arrmb's functions and those of "
                "xp = arrmb.namespace(x)"
            ) from error
        return tree.map(unbox, y)

    return of_jax_arrays


def _is_array(x):
    return isinstance(x, (jax.Array, np.ndarray, np.generic))


def _enter(name, x):
    """A box, or an array that is a constant."""
    if isinstance(x, np.generic):
        return x.item()  # a number, as an option may have to be; as in NumPy, it does not widen single precision
    if not isinstance(x, jax.Array):
        with jax.ensure_compile_time_eval():  # it has values under jit, too
            x = jax.numpy.asarray(x)
    if is_inexact(x):
        return box(x)
    if jax.numpy.issubdtype(x.dtype, jax.numpy.inexact):
        raise TypeError(
            f"{name}: expected an array of float32, float64, complex64 or complex128, got {x.dtype}: cast it, "
            "x.astype('float32')"
        )
    return x
