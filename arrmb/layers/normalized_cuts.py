"""Normalized cuts of an affinity W = F diag(w) F^T of low rank: the training loss, and the segmentation itself.

D = diag(W 1),   M = D^-½ W D^-½ = A A^T,   A = D^-½ F diag(w)^½                M and W are n × n, and never formed
"""

import math

from .._xp import device, eps, is_jax, is_traced, known, namespace, raw
from ..linalg import _check
from ..ops.projector import distance
from ..ops.tall_qr import tall_qr
from ..tape.core import lift


def normalized_cuts_loss(features, labels, *, weights=None):
    """Distance of the subspace that the cuts of an image are made from to that of its true segments.

    With Y the n × k one-hot matrix of the segments, B = Y (Y^T Y)^-½, and Π_M, Π_Y the orthogonal projectors on the
    column spaces of M and Y, the loss is ``J = ½ ‖Π_M - Π_Y‖² = ½ (rank M + k) - ‖Q^T B‖²`` with D^-½ F = QR. It is
    smallest, ½ (rank M - k), where each segment is a sum of feature channels, up to the degrees.

    Parameters
    ----------
    features : array (..., n, d)
        d channels of n pixels, real, and non-negative by contract: negative ones make affinities that are negative.
        What is checked is that the degrees are positive and finite.
    labels : integer array (..., n)
        Segment ids, any integers: equal ids make a segment. No id is void; leave the rows of void pixels out of
        ``features`` and ``labels``. The number of segments may differ over the leading axes.
    weights : array (..., d), optional
        Non-negative weights of the channels, of the precision of ``features``; default 1. A channel with weight 0 takes
        no part; J jumps there, and its gradient is that of the other channels and the degrees.

    Returns
    -------
    array (...)
        One loss per image, differentiable with respect to ``features`` and ``weights``, at any order.

    Raises
    ------
    TypeError
        ``features`` or ``weights`` is not real floating-point, ``labels`` not integer, or the backends differ.
    ValueError
        The shapes do not fit; an image has one segment only; NaN or infinity; a negative weight; a pixel has a degree
        that is not positive, or overflows.

    Notes
    -----
    Time O(n d² + n d k), memory O(n (d + k)). Measured forward and backward, NumPy, one thread, an image of 154401
    pixels, d = 64, 17 segments, with SciPy: 0.20 of the time that `numpy.linalg.qr` of the features takes in single
    precision, and 0.50 in double; 0.74 and 0.78 of SciPy's; 3.6 copies of the features
    (``benchmarks/normalized_cuts.py``).

    The rank counts channels up to dependence, as `arrmb.linalg.projector` does: dead channels (all zero) are harmless,
    and get no gradient but through the degrees. Labels and degrees are looked at, so a GPU is waited for in each call;
    for what the labels decide, the number of segments, that is unavoidable.

    Source: Ionescu, Vantzos, Sminchisescu, "Training Deep Networks with Structured Layers by Matrix Backpropagation",
    arXiv:1509.07838, section 5; Bach and Jordan, "Learning Spectral Clustering", NIPS 2003.
    """
    op = "normalized_cuts_loss"
    features, weights = _check_features(op, features, weights)
    segments = _one_hot(op, features, labels)
    degrees = _degrees(op, features, weights)
    if weights is not None:  # a positive factor changes no column space: here only whether it is 0 matters
        features = features * namespace(features).astype(weights > 0.0, features.dtype)[..., None, :]
    return distance(features * _inverse_root(degrees), segments)


def normalized_cuts_segment(features, k, *, weights=None):
    """Segment each image into at most ``k`` segments by its normalized cuts.

    The top k eigenvectors of M, with rows scaled to unit length, are rotated to the nearest indicator vectors, in
    alternation: nearest segments, then nearest rotation.

    Parameters
    ----------
    features : array (..., n, d)
        As in `normalized_cuts_loss`.
    k : int
        Number of segments, at most n and d. Fewer come out where the features do not support as many.
    weights : array (..., d), optional
        As in `normalized_cuts_loss`.

    Returns
    -------
    integer array (..., n)
        Segment ids 0 ... k - 1 in the default integer dtype, on the device of ``features``. They have no derivative.

    Raises
    ------
    TypeError
        As `normalized_cuts_loss`.
    ValueError
        A shape does not fit, ``k`` is not between 1 and min(n, d), or values are those for which
        `normalized_cuts_loss` raises.

    Notes
    -----
    Deterministic: the rotation starts from the pixel nearest to the mean and those most orthogonal to the ones before,
    and takes 30 steps, so that no device waits for a test of convergence. Time O(n d²): one thin QR of ``features``,
    and the SVD of its d × d factor; the Gram matrix would be faster, and lose half of the digits. The degrees are
    looked at.

    Source: Shi and Malik, "Normalized Cuts and Image Segmentation", TPAMI 2000; Yu and Shi, "Multiclass Spectral
    Clustering", ICCV 2003.
    """
    op = "normalized_cuts_segment"
    features, weights = _check_features(op, features, weights)
    n, d = features.shape[-2:]
    if isinstance(k, bool) or not hasattr(k, "__index__") or not 1 <= k <= min(n, d):
        raise ValueError(
            f"{op}: k must be an integer from 1 to the numbers of pixels and of channels, {n} and {d}, got {k!r}"
        )
    features, weights = raw(features), raw(weights)
    xp = namespace(features)
    a = features * _inverse_root(_degrees(op, features, weights))
    if weights is not None:
        a = a * xp.sqrt(weights)[..., None, :]
    q, r = tall_qr(a)
    u, s, _ = xp.linalg.svd(r, full_matrices=False)
    kept = s[..., :k] > 10 * d * eps(s) * s[..., :1]  # the vectors of a zero singular value are arbitrary
    return _discretize(q @ (u[..., :k] * xp.astype(kept, s.dtype)[..., None, :]))


def _discretize(vectors, steps=30):
    xp = namespace(vectors)
    length = xp.sqrt(xp.sum(vectors * vectors, axis=-1, keepdims=True))
    z = vectors / xp.where(length > 0.0, length, xp.ones_like(length))
    rotation = _orthogonal_rows(z)
    for _ in range(steps):
        nearest = _indicator(xp.argmax(z @ rotation, axis=-1), z.shape[-1], z)
        u, _, vh = xp.linalg.svd(xp.matrix_transpose(nearest) @ z)
        rotation = xp.matrix_transpose(u @ vh)
    return xp.argmax(z @ rotation, axis=-1)


def _orthogonal_rows(z):
    """Rows of ``z`` as columns: the one nearest to the mean, then each as orthogonal as can be to those before."""
    xp = namespace(z)
    at = xp.argmax(z @ xp.matrix_transpose(xp.mean(z, axis=-2, keepdims=True)), axis=-2)  # (..., 1)
    columns, overlap = [], xp.zeros_like(z[..., :1])
    for _ in range(z.shape[-1]):
        row = xp.matrix_transpose(_indicator(at[..., 0], z.shape[-2], z)[..., None]) @ z  # (..., 1, k)
        columns.append(xp.matrix_transpose(row))
        overlap = overlap + xp.abs(z @ columns[-1])
        at = xp.argmin(overlap, axis=-2)
    return xp.concat(columns, axis=-1)


def _indicator(index, k, like):
    xp = namespace(like)
    return xp.astype(index[..., None] == xp.arange(k, device=device(like)), like.dtype)


def _one_hot(op, features, labels):
    """B: for each segment, its pixels' indicator vector of unit length; zero where an image lacks the segment."""
    labels, shape = raw(labels), tuple(features.shape)
    if not hasattr(labels, "dtype"):
        raise TypeError(f"{op}: labels must be an integer array (..., n), got {type(labels).__name__}")
    _check.same_backend(op, features=features, labels=labels)
    if not namespace(labels).isdtype(labels.dtype, "integral"):
        raise TypeError(f"{op}: labels has dtype {labels.dtype}, and needs an integer one: cast it with xp.astype")
    if tuple(labels.shape) != shape[:-1]:
        raise ValueError(
            f"{op}: labels must have shape {shape[:-1]} to go with features of shape {shape}, got "
            f"{tuple(labels.shape)}: one id for each pixel; resize a label image to the features' resolution, by "
            "nearest neighbours, and reshape both to have the pixels on one axis"
        )
    labels = known(labels, f"{op}: the number of segments in labels")
    xp, features = namespace(labels), raw(features)
    y = xp.astype(labels[..., None] == xp.unique_values(labels), features.dtype)
    sizes = xp.sum(y, axis=-2, keepdims=True)
    if bool(xp.any(xp.count_nonzero(sizes, axis=-1) < 2)):
        raise ValueError(
            f"{op}: labels without a second segment: there is nothing to cut where all pixels of an image have one id; "
            "leave such images out"
        )
    y = y / xp.sqrt(xp.where(sizes > 0.0, sizes, xp.ones_like(sizes)))
    return namespace(features).asarray(y, device=device(features))


def _degrees(op, features, weights):
    """W 1 = F (w ∘ F^T 1)"""
    xp = namespace(features)
    column_sums = xp.sum(features, axis=-2)
    if weights is not None:
        column_sums = column_sums * weights
    degrees = (features @ column_sums[..., None])[..., 0]
    values, w = raw(degrees), raw(weights)
    xp = namespace(values)
    good = (values > 0.0) & xp.isfinite(values)
    if w is not None:
        good = good & xp.all(w >= 0.0, axis=-1)[..., None]
    if is_jax(xp):  # NaN, where the others raise
        return degrees * xp.where(good, xp.ones_like(values), xp.full_like(values, xp.nan))
    if not bool(xp.all(good)):
        raise ValueError(f"{op}: {_what_is_wrong(xp, raw(features), w, values, good)}")
    return degrees


def _what_is_wrong(xp, features, weights, degrees, good):
    for name, x in (("features", features), ("weights", weights)):
        if x is not None and not bool(xp.all(xp.isfinite(x))):
            n = int(xp.count_nonzero(~xp.isfinite(x)))
            return f"{name} has NaN or infinity in {n} of its {math.prod(x.shape)} entries: mend what they come from"
    if weights is not None and bool(xp.any(weights < 0.0)):
        return f"weights must not be negative, got {float(xp.min(weights)):.3g}: end them with exp or softplus"
    n, at = int(xp.count_nonzero(~good)), int(xp.argmin(xp.astype(xp.reshape(good, (-1,)), xp.int8)))
    return (
        f"features give {n} of {math.prod(good.shape)} pixels a degree that is zero, negative or infinite (pixel {at}: "
        f"{float(xp.reshape(degrees, (-1,))[at]):.3g}), and no cut is defined there: a pixel needs a positive feature "
        "that others share; end the features with exp or softplus, add a constant channel, or scale all of them to "
        "where their squares neither over- nor underflow"
    )


def _inverse_root(degrees):
    """D^-½ as a column: a product with it keeps no quotient for its derivative, as large as the features."""
    return (1.0 / namespace(degrees).sqrt(degrees))[..., None]


def _check_features(op, features, weights):
    """The arguments, both traced or both raw."""
    _check.matrix(op, "features", features)
    xp = namespace(raw(features))
    if not xp.isdtype(features.dtype, "real floating"):
        raise TypeError(f"{op}: features must be real, got dtype {features.dtype}")
    shape = tuple(features.shape)
    if 0 in shape[-2:]:
        raise ValueError(f"{op}: features must have shape (..., n, d) with n, d > 0, got {shape}")
    if weights is None:
        return features, None
    if not hasattr(weights, "dtype"):
        raise TypeError(f"{op}: weights must be an array (..., {shape[-1]}), got {type(weights).__name__}")
    _check.same_backend(op, features=features, weights=weights)
    if weights.dtype != features.dtype:
        raise TypeError(f"{op}: weights has dtype {weights.dtype}, and needs that of features, {features.dtype}")
    if tuple(weights.shape) not in ((shape[-1],), (*shape[:-2], shape[-1])):
        raise ValueError(
            f"{op}: weights must have shape {(shape[-1],)} or {(*shape[:-2], shape[-1])} to go with features of shape "
            f"{shape}, got {tuple(weights.shape)}"
        )
    if is_traced(features) or is_traced(weights):
        return lift(features), lift(weights)
    return features, weights
