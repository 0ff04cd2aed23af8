"""The seam to the array backends: namespaces, and the few helpers that every rule uses.

Everything else in arrmb is written against the Python Array API standard, so whatever is specific to one backend
(NumPy, CuPy, PyTorch, array-api-strict) is in this file.
"""

from __future__ import annotations

import math
import sys

NAMESPACES: dict = {}  # by the type of an array, once seen
_INEXACT: set = set()  # (array type, dtype), once seen
_EPS: dict = {}
# JAX's arrays, too, when they have values: its functions give the same results with `jax.jit`, where there are none
_NEVER_LOOKED_AT = ("array_api_compat.cupy", "jax.numpy")
_COMPLEX: dict = {(float, None): False, (int, None): False}


def namespace(*arrays):
    """The Array API namespace of ``arrays``: that of a traced array if there is one among them.

    Parameters
    ----------
    *arrays : array or Python scalar
        Arrays of one backend, raw or traced, in any order. Python scalars are ignored.

    Raises
    ------
    TypeError
        If there is no array, or if the arrays belong to different backends.
    """
    if len(arrays) == 1:  # by far the most frequent call
        xp = NAMESPACES.get(type(arrays[0]))
        if xp is not None:
            return xp
    found = None
    for x in arrays:
        xp = NAMESPACES.get(type(x)) or _find_namespace(x)
        if xp is None or xp is found:
            continue
        if found is None:
            found = xp
        elif raw_namespace(xp) is not raw_namespace(found):
            raise TypeError(
                f"arrays of different backends: {raw_namespace(found).__name__} and {raw_namespace(xp).__name__}; "
                "convert them to one backend first"
            )
        elif raw_namespace(found) is found:  # the raw namespace gives way to the traced one
            found = xp
    if found is None:
        names = ", ".join(type(x).__name__ for x in arrays)
        raise TypeError(f"expected an array (NumPy, CuPy, PyTorch, ...), got {names}")
    return found


def _find_namespace(x):
    if (isinstance(x, (bool, int, float, complex)) and not hasattr(x, "dtype")) or x is None:
        return None
    if is_traced(x):  # its namespace depends on what it holds
        return x.__array_namespace__()
    import array_api_compat

    if type(x).__module__.startswith("numpy.ma") or type(x).__name__ == "matrix":
        raise TypeError(
            f"expected a plain array, got {type(x).__module__}.{type(x).__name__}, whose operators mean other things; "
            "use np.asarray(x), or fill the masked entries"
        )
    try:
        xp = array_api_compat.array_namespace(x)
    except TypeError:
        hint = ": use arrmb.plugins.chainer" if type(x).__module__.startswith("chainer.") else ""
        raise TypeError(f"expected an array (NumPy, CuPy, PyTorch, ...), got {type(x).__name__}{hint}") from None
    NAMESPACES[type(x)] = xp
    return xp


def raw_namespace(xp):
    """The backend's own namespace below a traced one."""
    return getattr(xp, "raw", xp)


def is_array(x) -> bool:
    """Whether ``x`` is a raw (untraced) array of a known backend."""
    if type(x) in NAMESPACES:
        return True
    import array_api_compat

    return not is_traced(x) and array_api_compat.is_array_api_obj(x)


def is_traced(x) -> bool:
    """Whether ``x`` is a traced array."""
    return getattr(x, "is_traced_by_arrmb", False)


def device(x):
    """The device that holds ``x``. Of several GPUs, CuPy makes new arrays on the current one: `cupy.cuda.Device(i)`."""
    import array_api_compat

    return array_api_compat.device(raw(x))


def on_host(x) -> bool:
    """Whether the values of ``x`` can be looked at without making a GPU wait."""
    if namespace(raw(x)).__name__ in _NEVER_LOOKED_AT:
        return False
    place = str(device(x)).lower()
    if backend_of(namespace(raw(x))) == "torch":
        return place == "cpu" and not is_batched(raw(x))
    return "cuda" not in place and "gpu" not in place


def known(x, what):
    """The raw array ``x``, to look at, which ``what`` does; of JAX as a NumPy array. May wait for a GPU."""
    if not is_jax(namespace(x)):
        return x
    import jax
    import numpy as np

    if isinstance(x, jax.core.Tracer):
        raise ValueError(
            f"{what} looks at values, which JAX's arrays do not have under jax.jit, jax.vmap and in a derivative; "
            "labels must be closed over there, as a NumPy or JAX array; gauge='raise' is for arrmb.grad, on NumPy"
        )
    return np.asarray(x)


def is_batched(x):
    """Whether a PyTorch tensor stands for a batch of tensors (`torch.vmap`), no one of which can be looked at."""
    functorch = sys.modules["torch"]._C._functorch
    while functorch.is_functorch_wrapped_tensor(x):
        if functorch.is_batchedtensor(x):
            return True
        x = functorch.get_unwrapped(x)
    return False


def raw(x):
    """The backend's array below all traces."""
    while is_traced(x):
        x = x.value
    return x


# ---------------------------------------------------------------------------------------------------- dtypes


def is_complex(x) -> bool:
    """Whether ``x`` (array or Python scalar) is complex."""
    found = _COMPLEX.get((type(x), getattr(x, "dtype", None)))
    return _complex_or_real(x) if found is None else found


def is_inexact(x) -> bool:
    """Whether the array ``x`` is of single or double precision, real or complex: of the dtypes of the standard."""
    x = raw(x)
    key = type(x), x.dtype
    if key not in _COMPLEX:
        _complex_or_real(x)
    return key in _INEXACT


def _complex_or_real(x):
    if is_traced(x):  # it may hold any backend's dtype
        return is_complex(raw(x))
    if not hasattr(x, "dtype"):
        return isinstance(x, complex)
    key, xp = (type(x), x.dtype), namespace(x)
    if xp.isdtype(x.dtype, (xp.float32, xp.float64, xp.complex64, xp.complex128)):
        _INEXACT.add(key)
    _COMPLEX[key] = bool(xp.isdtype(x.dtype, "complex floating"))
    return _COMPLEX[key]


def eps(x) -> float:
    """Machine epsilon of the dtype of ``x``, as a Python float."""
    x = raw(x)
    key = type(x), x.dtype
    found = _EPS.get(key)
    if found is None:
        found = _EPS[key] = float(namespace(x).finfo(x.dtype).eps)
    return found


# ------------------------------------------------------------------------------------------- small matrix helpers


def conj(x):
    """Complex conjugate; a real array or scalar is returned as it is."""
    if _COMPLEX.get((type(x), getattr(x, "dtype", None))) is False or not is_complex(x):  # a call less if it is known
        return x
    return x.conjugate() if isinstance(x, complex) else namespace(x).conj(x)


def real(x):
    """Real part; a real array is returned as it is."""
    return namespace(x).real(x) if is_complex(x) else x


def H(x):
    """Conjugate transpose of the last two axes."""
    return conj(namespace(x).matrix_transpose(x))


def sym(x):
    """Hermitian part, (X + X^H) / 2."""
    y = x + H(x)
    y *= 0.5  # in place: memory that is not at hand costs more than the product
    return y


def eye_like(x):
    """The identity matrix with the last dimension, dtype and device of ``x``."""
    return namespace(x).eye(x.shape[-1], dtype=x.dtype, device=device(x))


def diag_part(x):
    """Main diagonal of the last two axes, as a vector."""
    return namespace(x).linalg.diagonal(x)


def embed_diag(v):
    """Diagonal matrices that have the vectors ``v`` (..., n) on their diagonals."""
    return v[..., None] * eye_like(v)


# ------------------------------------------------------------------- shapes: what broadcasting did, undone or done


def from_front(axis, ndim):
    """``axis`` of an array with ``ndim`` dimensions, counted from the front. Raises where there is no such axis."""
    if not -ndim <= axis < ndim:
        raise IndexError(f"axis {axis} is out of bounds for an array with {ndim} dimensions")
    return axis % ndim


def sum_to(x, shape, dtype):
    """The cotangent ``x`` of a broadcast and promoted operand, in the operand's own shape and dtype."""
    xp = namespace(x)
    if x.shape != shape:
        lead = len(x.shape) - len(shape)
        axes = tuple(range(lead)) + tuple(lead + i for i, n in enumerate(shape) if n == 1 and x.shape[lead + i] != 1)
        if axes:
            x = xp.sum(x, axis=axes, keepdims=True)
        x = xp.reshape(x, shape)
    if x.dtype != dtype:
        if is_complex(x) and not xp.isdtype(dtype, "complex floating"):
            x = xp.real(x)
        x = xp.astype(x, dtype)
    return x


def broadcast_like(dy, y):
    """The tangent ``dy`` in the shape and dtype of the value ``y`` that it belongs to."""
    xp = namespace(dy)
    if dy.shape != y.shape:
        dy = xp.broadcast_to(dy, y.shape)
    return dy if dy.dtype == y.dtype else xp.astype(dy, y.dtype)


def with_entries(x, key, values, add=False):
    """The raw array ``x``, the caller's own, with ``values`` put at ``key`` or added, in place where it may be."""
    if is_jax(namespace(x)):
        return x.at[key].add(values) if add else x.at[key].set(values)
    if add:
        x[key] += values
    else:
        x[key] = values
    return x


def integer(xp):
    """The dtype of indices: int64, or int32 where JAX has nothing else (it does not without ``jax_enable_x64``)."""
    return xp.asarray(0).dtype if is_jax(xp) else xp.int64


def flipped(x, axis):
    """``x`` in reverse along ``axis``; for JAX by `take`: compiling some reverses, XLA aborts (jaxlib 0.10.2)."""
    xp = namespace(x)
    if not is_jax(xp) or axis is None or isinstance(axis, tuple):
        return xp.flip(x, axis=axis)
    return xp.take(x, xp.arange(x.shape[axis] - 1, -1, -1), axis=axis)


def is_jax(xp):
    """Whether ``xp`` is the namespace of JAX's arrays, which cannot be updated, and may have no values."""
    return xp.__name__ == "jax.numpy"


def backend_of(xp):
    """The short name of a raw namespace: numpy, cupy, torch, jax, ..."""
    return "jax" if is_jax(xp) else xp.__name__.rpartition(".")[2]


def scatter_rows(values, indices, n):
    """Sum of the rows ``values`` (k, ...) at the positions ``indices`` (k,) of an array (n, ...). Raw arrays only."""
    xp = namespace(values)
    shape = (n, *values.shape[1:])
    backend = backend_of(xp)
    if backend == "cupy" and is_complex(values):  # its atomic additions are of real numbers only
        parts = [scatter_rows(part(values), indices, n) for part in (xp.real, xp.imag)]
        return parts[0] + 1j * parts[1]
    if backend in ("numpy", "cupy"):
        out = xp.zeros(shape, dtype=values.dtype, device=device(values))
        if values.ndim > 1 and backend == "numpy" and _increasing(indices):
            out[indices] = values  # each row once: faster than adding up
        else:
            sys.modules[backend].add.at(out, indices, values)
        return out
    if backend == "torch":
        out = xp.zeros(shape, dtype=values.dtype, device=device(values))
        return out.index_add_(0, indices, values)
    if backend == "jax":
        return xp.zeros(shape, dtype=values.dtype).at[indices].add(values)
    # The standard has no scatter: one-hot rows times the values. Slow, and right on any backend.
    onehot = xp.arange(n, device=device(values))[:, None] == (indices % n)[None, :]
    rows = xp.reshape(values, (indices.shape[0], math.prod(shape[1:])))
    return xp.reshape(xp.astype(onehot, values.dtype) @ rows, shape)


def _increasing(indices):
    return bool((indices[1:] > indices[:-1]).all() and (indices[:1] >= 0).all())


def raw_key(key):
    """An indexing key with its traced constants replaced by the arrays that they hold."""
    return tuple([raw(k) for k in key]) if isinstance(key, tuple) else raw(key)
