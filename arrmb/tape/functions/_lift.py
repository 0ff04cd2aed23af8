"""Operands and results as arrays of one kind."""

from ..._xp import device, is_complex, is_inexact, is_traced, namespace, raw, raw_namespace
from ..core import lift


def as_array(x, like):
    """A Python number ``x`` as an array of the dtype of ``like``, or of the backend's choice if that cannot hold it."""
    if hasattr(x, "dtype"):
        return x
    below, dtype = raw_namespace(namespace(like)), like.dtype
    if isinstance(x, complex):
        fits = is_complex(like)
    else:
        fits = is_inexact(like) or isinstance(x, bool) or not (isinstance(x, float) or below.isdtype(dtype, "bool"))
    if not fits:  # as the operators have it; a strict backend refuses
        dtype = (below.ones((1,), dtype=dtype, device=device(like)) * x).dtype
    return namespace(like).asarray(x, dtype=dtype, device=device(like))


def lifted(arrays):
    """The arrays, lifted if one of them is traced: concat and others take the arrays of one kind only."""
    arrays = list(arrays)
    namespace(*arrays)
    return [lift(x) for x in arrays] if any(is_traced(x) for x in arrays) else arrays


def by_backend(name, *arrays, **options):
    """The backend's own function, where there is nothing to differentiate: a traced constant if an array is traced."""
    y = getattr(raw_namespace(namespace(*arrays)), name)(*map(raw, arrays), **options)
    return lift(y) if any(map(is_traced, arrays)) else y
