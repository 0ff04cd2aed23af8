"""Gauge: what a loss must not depend on where vectors are not unique. A helper of the decompositions, not an op.

Within a group of tied values the vectors V may be replaced by V Q, Q unitary. A loss that does not change then has
<Vbar, V Ω> = 0 for every skew-Hermitian Ω on the group's block: the block of V^H Vbar is Hermitian. For a simple value
the block is one number, and the statement is that of a free phase: it is real. A loss must be symmetric in the tied
values too: their cotangents are equal, or the rule cannot know the gradient (`eigh.py` tells why).

By default ("drop") a rule leaves the block out. With "raise" it calls `check` in the adjoint and `check_direction` in
the variation. Both look at values, which makes a GPU wait: that is what the caller has asked for.

Source: Wan, Zhang, "Automatic differentiation for complex valued SVD" (arXiv:1909.02659), for the phases; Ionescu,
Vantzos, Sminchisescu, arXiv:1509.07838, for the skew block.
"""

from .._xp import H, eps, namespace, raw

CHOICES = ("drop", "raise")


def tied(values, size=None):
    """Pairs (i, j) with |v_i - v_j| <= n eps max|v|, per matrix; (..., n, n), the diagonal included. Untraced.

    ``size`` replaces n, the number of values.
    """
    values = raw(values)
    xp = namespace(values)
    gap = xp.abs(values[..., None, :] - values[..., :, None])
    if values.shape[-1] == 0:
        return gap <= 0.0
    n = values.shape[-1] if size is None else size
    return gap <= (n * eps(values) * xp.max(xp.abs(values), axis=-1))[..., None, None]


def check(op, values, dropped, core, scale, bars=None, what="eigen"):
    """Raise if a loss depends on the choice of vectors within the pairs ``dropped``.

    Parameters
    ----------
    op : str
    values : array (..., n)
        Eigenvalues or singular values.
    dropped : array of bool (..., n, n)
        The pairs that a rule leaves out.
    core : array (..., n, n)
        V^H Vbar: its skew-Hermitian part at the pairs must vanish.
    scale : array
        Cotangent of the vectors: a violation counts if it exceeds sqrt(eps) of its largest entry.
    bars : array (..., n), optional
        Cotangents of the values: equal for the pairs.
    what : {"eigen", "singular "}
    """
    values, dropped, core, scale = map(raw, (values, dropped, core, scale))
    xp = namespace(values)
    if 0 in values.shape:
        return
    skew = xp.where(dropped, xp.abs(0.5 * (core - H(core))), 0.0)
    _raise_at_largest(
        op, values, skew, xp.max(xp.abs(scale)), what,
        "the loss depends on the choice of {what}vectors: the skew part of V^H Vbar",
        "write the loss with a function of the matrix (spectral, svd_function) or a projector (top_projector)",
    )  # fmt: skip
    if bars is not None:
        bars = raw(bars)
        apart = xp.where(dropped, xp.abs(bars[..., None, :] - bars[..., :, None]), 0.0)
        _raise_at_largest(
            op, values, apart, xp.max(xp.abs(bars)), what,
            "the loss is not symmetric in them: the difference of their cotangents",
            "write the loss with a function of the matrix (spectral, svd_function), or with a symmetric function of "
            "the {what}values",
        )  # fmt: skip


def check_direction(op, values, dropped, change, scale, what="eigen"):
    """Raise if the direction of a variation splits a tied pair: its vectors then have no first-order change.

    ``change`` is V^H dX V, whose part at the pairs (the diagonal apart) must vanish relative to ``scale``.
    """
    values, dropped, change, scale = map(raw, (values, dropped, change, scale))
    xp = namespace(values)
    if 0 in values.shape:
        return
    places = xp.arange(values.shape[-1], device=getattr(values, "device", None))
    off = dropped & (places[:, None] != places[None, :])
    _raise_at_largest(
        op, values, xp.where(off, xp.abs(change), 0.0), xp.max(xp.abs(scale)), what,
        "the direction turns one into the other, so the vectors have no first-order change: the entry of V^H dX V",
        "differentiate a function of the matrix (spectral, svd_function) or a projector (top_projector)",
    )  # fmt: skip


def _raise_at_largest(op, values, violation, scale, what, why, remedy):
    xp = namespace(violation)
    n = values.shape[-1]
    flat = xp.reshape(violation, (-1,))
    place = int(xp.argmax(flat))
    size = float(flat[place])
    if not size > eps(values) ** 0.5 * float(scale):
        return
    matrix, i, j = place // (n * n), place // n % n, place % n
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
