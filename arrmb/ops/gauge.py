"""Gauge: what a loss must not depend on where vectors are not unique. A helper of the decompositions, not an op.

Within a group of tied values the vectors V may be replaced by V Q, Q unitary. A loss that does not change then has
<Vbar, V Ω> = 0 for every skew-Hermitian Ω on the group's block: the block of V^H Vbar is Hermitian. For a simple value
the block is one number, and the statement is that of a free phase: it is real. A loss must be symmetric in the tied
values too: their cotangents are equal, or the rule cannot know the gradient (`eigh.py` tells why).

By default ("drop") a rule leaves the block out. With "raise" it calls `check` in the adjoint and `check_direction` in
the variation. They look at values, which makes a GPU wait: that is what the caller has asked for. A violation counts if
it exceeds sqrt(eps) of the largest cotangent of the same matrix, and 10 n eps, since at the very minimum of a loss of
size one cotangents are nothing but rounding errors. (So a loss that is scaled to 1e-6 may pass in single precision.)

In either case a rule that is itself differentiated goes through `guard`: at a tie the derivative of the rule is not the
second derivative of anything. That raises where values can be looked at, and gives NaN elsewhere.

A loss can be neither and still look valid at one basis, by accident: <G, V diag(w) V^H> at X = I, where V = I and G has
a zero diagonal, gives the same cotangents as the projector V V^H, whose gradient is zero. Such accidents need a special
basis, and a solver returns one for a diagonal matrix. So "raise" turns each tied group by a fixed, generic rotation
(`generic`): the loss is caught with probability one.

Source: Wan, Zhang, "Automatic differentiation for complex valued SVD" (arXiv:1909.02659), for the phases; Ionescu,
Vantzos, Sminchisescu, arXiv:1509.07838, for the skew block.
"""

from .._xp import H, device, eps, eye_like, is_complex, is_jax, known, namespace, on_host, raw, real
from ..tape.core import has_derivative
from .arithmetic import _one_of_slope

CHOICES = ("drop", "raise")
_LOOKS = 'gauge="raise"'


def rounding(values, size=None):
    """How far rounding moves the ``values`` (..., n) of each matrix, (..., 1): max(10, n) eps max|v|. Untraced.

    ``size`` replaces n, the number of values. The 10: ties of 3 × 3 products come out up to 8 eps apart (measured).
    """
    values = raw(values)
    xp = namespace(values)
    n = max(10, values.shape[-1] if size is None else size)
    return n * eps(values) * xp.max(xp.abs(values), axis=-1, keepdims=True)


def tied(values, size=None):
    """Pairs (i, j) with |v_i - v_j| within `rounding`, per matrix; (..., n, n), the diagonal included. Untraced."""
    values = raw(values)
    xp = namespace(values)
    gap = xp.abs(values[..., None, :] - values[..., :, None])
    if values.shape[-1] == 0:
        return gap <= 0.0
    return gap <= rounding(values, size)[..., None]


def off_diagonal(pairs):
    """The ``pairs`` without the diagonal."""
    xp = namespace(pairs)
    places = xp.arange(pairs.shape[-1], device=device(pairs))
    return pairs & (places[:, None] != places[None, :])


def generic(values, vectors, pairs=None, shift=0.0):
    """The vectors, each tied group turned by a fixed generic rotation, (I + S)^-1 (I - S) with S skew. Raw arrays."""
    xp = namespace(values)
    n = values.shape[-1]
    pairs = off_diagonal(tied(values) if pairs is None else pairs)
    if 0 in values.shape or not bool(known(xp.any(pairs), _LOOKS)):
        return vectors
    k = xp.astype(xp.arange(n * n, device=device(values)), vectors.dtype)
    entries = xp.sin(1.0 + shift + xp.reshape(k * k, (n, n)) * 0.7548776662466927)  # dense, no structure
    if is_complex(vectors):
        entries = entries + 1j * xp.matrix_transpose(entries)
    s = xp.where(pairs, entries - H(entries), 0.0)
    i = eye_like(vectors)
    return vectors @ (xp.linalg.inv(i + s) @ (i - s))


def check(op, values, dropped, core, scale, bars=None, what="eigen"):
    """Raise if a loss depends on the choice of vectors within the pairs ``dropped``.

    Parameters
    ----------
    op : str
    values : array (..., n)
        Eigenvalues or singular values.
    dropped : array of bool (..., n, n)
        The pairs that a rule leaves out.
    core : array (..., n, n) or None
        V^H Vbar: its skew-Hermitian part at the pairs must vanish.
    scale : array
        Cotangent of the vectors: a violation counts if it exceeds sqrt(eps) of its largest entry.
    bars : array (..., n), optional
        Cotangents of the values: equal for the pairs.
    what : {"eigen", "singular "}
    """
    if core is not None:
        check_vectors(op, values, dropped, 0.5 * (raw(core) - H(raw(core))), scale, what)
    if bars is not None:
        check_values(op, values, dropped, bars, what)


def check_vectors(op, values, dropped, forbidden, scale, what="eigen"):
    """Raise if ``forbidden``, the part of V^H Vbar that must vanish at the pairs ``dropped``, does not."""
    values, dropped, forbidden, scale = map(raw, (values, dropped, forbidden, scale))
    if 0 in values.shape:
        return
    xp = namespace(values)
    _raise_at_largest(
        op, values, xp.where(dropped, xp.abs(forbidden), 0.0), largest(scale), what,
        "the loss depends on the choice of {what}vectors: the part of V^H Vbar that must vanish",
        "write the loss with a function of the matrix (spectral, svd_function) or a projector (top_projector)",
    )  # fmt: skip


def check_values(op, values, dropped, bars, what="eigen"):
    """Raise if the cotangents ``bars`` of the values are not equal at the pairs ``dropped``."""
    values, dropped, bars = map(raw, (values, dropped, bars))
    if 0 in values.shape:
        return
    xp = namespace(values)
    apart = xp.where(dropped, xp.abs(bars[..., None, :] - bars[..., :, None]), 0.0)
    _raise_at_largest(
        op, values, apart, largest(bars[..., None]), what,
        "the loss is not symmetric in them: the difference of their cotangents",
        "write the loss with a function of the matrix (spectral, svd_function), or with a symmetric function of "
        "the {what}values",
    )  # fmt: skip


def check_direction(op, values, dropped, change, scale, what="eigen"):
    """Raise if the direction of a variation splits a tied pair: its vectors then have no first-order change.

    ``change`` is V^H dX V, whose part at the pairs (the diagonal apart) must vanish relative to ``scale``.
    """
    values, dropped, change, scale = map(raw, (values, dropped, change, scale))
    if 0 in values.shape:
        return
    xp = namespace(values)
    _raise_at_largest(
        op, values, xp.where(off_diagonal(dropped), xp.abs(change), 0.0), largest(scale), what,
        "the direction splits the pair, so its vectors have no first-order change: the entry of V^H dX V",
        "differentiate a function of the matrix (spectral, svd_function) or a projector (top_projector)",
    )  # fmt: skip


def largest(x):
    """The largest entry of each matrix (..., 1, 1)."""
    xp = namespace(x)
    reduce = xp.sum if 0 in x.shape else xp.max
    return reduce(xp.abs(x), axis=(-2, -1), keepdims=True)


def guard(op, values, pairs, gauge, *results, what="eigen"):
    """The ``results`` of a rule, unless it is itself differentiated at one of the raw ``pairs``, ties or zeros.

    That raises, or, where values cannot be looked at, makes the results of the matrix NaN.
    """
    if has_derivative(values) and 0 not in raw(values).shape:
        below = raw(values)
        xp = namespace(below)
        if on_host(below) or (gauge == "raise" and not is_jax(xp)):  # JAX does not say what is differentiated further
            _raise_at_largest(
                op, below, xp.astype(pairs, real(below).dtype), 0.0, what,
                f"{op} has no rule for second derivatives at ties and at zeros; the number of such pairs",
                "write the loss with a function of the matrix (trace(spectral(x, f)), svd_function, schatten_norm), "
                "with top_projector, eigh_top or svd_top: they are exact there to second order",
                size=int(xp.count_nonzero(xp.triu(pairs))),
            )  # fmt: skip
        else:
            tie = xp.any(xp.any(pairs, axis=-1), axis=-1, keepdims=True)
            slope = xp.where(tie, float("nan") * xp.ones_like(tie, dtype=real(below).dtype), 0.0)
            factor = _one_of_slope(values, slope=slope)
            ranks = [len(r.shape) - len(factor.shape) for r in results]
            results = [r * factor[(..., *[None] * k)] for r, k in zip(results, ranks)]
    return results[0] if len(results) == 1 else tuple(results)


def _raise_at_largest(op, values, violation, scale, what, why, remedy, size=None):
    """Raise for the largest ``violation`` beyond sqrt(eps) of the ``scale`` of its matrix and 10 n eps."""
    values, violation, scale = (known(v, _LOOKS) if hasattr(v, "dtype") else v for v in (values, violation, scale))
    xp = namespace(violation)
    n = values.shape[-1]
    excess = violation - eps(values) ** 0.5 * scale - 10.0 * n * eps(values)
    bad = ~(excess <= 0.0)  # NaN too
    if not bool(xp.any(bad)):
        return
    order = xp.where(bad & xp.isfinite(excess), excess, xp.where(bad, xp.zeros_like(excess), -1.0))
    place = int(xp.argmax(xp.reshape(order, (-1,))))
    size = float(xp.reshape(violation, (-1,))[place]) if size is None else size
    matrix, (i, j) = place // (n * n), sorted((place // n % n, place % n))
    row = xp.reshape(values, (-1, n))[matrix, :]
    a, b = row[i], row[j]
    where = f" of matrix {matrix} of the batch" if len(values.shape) > 1 else ""
    pair = f"{what}value {i} ({_number(a)})" if i == j else (
        f"{what}values {i} and {j} ({_number(a)} and {_number(b)}, gap {abs(complex(a) - complex(b)):.3g})"
    )  # fmt: skip
    raise ValueError(f"{op}: {pair}{where}: {why} is {size:.3g}; {remedy}".replace("{what}", what))


def _number(v):
    v = complex(v)
    return f"{v:.6g}" if v.imag else f"{v.real:.6g}"
