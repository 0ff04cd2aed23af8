"""Checks of the arguments of products: of kinds, shapes and axes, for arrays of any dtype."""

from . import _check


def arrays(op, **named):
    """Raise unless all are arrays, of any dtype, of one backend."""
    for name, x in named.items():
        if not hasattr(x, "dtype"):
            raise TypeError(f"{op}: {name} must be an array, got {type(x).__name__}: xp.asarray(...) first")
    _check.same_backend(op, **named)


def matrices(op, x):
    """Raise unless ``x`` is an array of matrices."""
    arrays(op, x=x)
    if len(x.shape) < 2:
        raise ValueError(f"{op}: x must have shape (..., m, n), got {tuple(x.shape)}")


def broadcast(op, a, b):
    """Raise unless the shapes ``a`` and ``b`` broadcast."""
    for m, n in zip(reversed(a), reversed(b)):
        if m != n and 1 not in (m, n):
            raise ValueError(f"{op}: the other axes of x1 and x2, {tuple(a)} and {tuple(b)}, do not broadcast")


def pairs_of_axes(a, b, axes):
    """The axes of shapes ``a`` and ``b`` that are summed over, as a pair of tuples."""
    if isinstance(axes, (tuple, list)) and len(axes) == 2 and all(isinstance(part, (tuple, list)) for part in axes):
        pairs = [[_check.number("tensordot", "an axis", i, integer=True) for i in part] for part in axes]
    elif isinstance(axes, (tuple, list, str)):
        raise TypeError(f"tensordot: axes must be an int or a pair of sequences of ints, got {axes!r}")
    else:
        k = _check.number("tensordot", "axes", axes, integer=True)
        if not 0 <= k <= min(len(a), len(b)):
            raise ValueError(f"tensordot: axes={k} is more (or less) than the axes of x1 {a} and x2 {b}")
        pairs = [range(len(a) - k, len(a)), range(k)]
    fit = len(pairs[0]) == len(pairs[1])
    for i, j in zip(*pairs):
        fit = fit and -len(a) <= i < len(a) and -len(b) <= j < len(b) and a[i] == b[j]
    first, second = (tuple([i % max(1, len(shape)) for i in part]) for part, shape in zip(pairs, (a, b)))
    if not fit or len(set(first)) < len(first) or len(set(second)) < len(second):
        raise ValueError(
            f"tensordot: axes={axes!r} must pair axes of x1 {a} with as many axes of x2 {b}, each once and of equal "
            "length"
        )
    return first, second
