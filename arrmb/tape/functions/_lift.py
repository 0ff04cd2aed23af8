"""Operands and results as arrays of one kind."""

from ..._xp import device, is_traced, namespace, raw, raw_namespace
from ..core import lift


def as_array(x, like):
    return x if hasattr(x, "dtype") else namespace(like).asarray(x, dtype=like.dtype, device=device(like))


def lifted(arrays):
    """The arrays, lifted if one of them is traced: concat and others take the arrays of one kind only."""
    arrays = list(arrays)
    namespace(*arrays)
    return [lift(x) for x in arrays] if any(is_traced(x) for x in arrays) else arrays


def by_backend(name, *arrays, **options):
    """The backend's own function, where there is nothing to differentiate: a traced constant if an array is traced."""
    y = getattr(raw_namespace(namespace(*arrays)), name)(*map(raw, arrays), **options)
    return lift(y) if any(map(is_traced, arrays)) else y
