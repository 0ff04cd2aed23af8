"""Second-order pooling, C = f(F^T F + εI), per image or per region."""

import numbers

import numpy as np

from .._xp import H, is_complex, is_inexact, is_traced, namespace, real
from ..linalg._check import DIVERGED, backend_errors
from ..ops import scalar
from ..ops.pooling import Shifted, gram, small_side
from ..ops.spectral import spectral

_TRANSFORMS = {"log": scalar.log, "power": scalar.sqrt, "none": None}


def second_order_pooling(features, *, masks=None, eps=1e-3, transform="log", average=False):
    """Pool local features to the matrix of their second-order statistics, and map it by a function of its eigenvalues.

    With F the features of an image (or of one region, its rows weighted by the mask), ``C = f(F^H F + eps I)``.

    Parameters
    ----------
    features : array (..., n, d)
        n locations (pixels) with d channels, floating-point.
    masks : array (..., r, n), optional
        Non-negative weights (or booleans) of the locations in r regions. Differentiable too, on the d × d side.
    eps : float
        Added to the eigenvalues before ``transform``; positive. Not used by "none".
    transform : {"log", "power", "none"}
        Logarithm (DeepO2P), square root (matrix power normalisation), or F^H F itself.
    average : bool
        Divide F^H F by n, or by the sum of the region's mask.

    Returns
    -------
    array (..., d, d), with masks (..., r, d, d)
        Hermitian, of the dtype and device of ``features``.

    Raises
    ------
    TypeError
        ``features`` is not floating-point, or ``masks`` is of another backend.
    ValueError
        A shape does not fit, or ``eps`` or ``transform`` is none of the above.

    Notes
    -----
    With fewer locations than channels, the work is done on the n × n side: F^H F + eps I then has the eigenvalue eps
    d - n times. Derivatives are exact there, to second order. A region with an empty mask gives f(eps) I, and no
    gradient.

    Features of deficient rank (less than both n and d) with ``||F||²`` far above ``eps``: rounding of F^H F is then not
    small beside the eigenvalues that are ``eps``, and the gradient of the logarithm has a relative error of up to about
    u ``||F||² / eps``, u the machine epsilon (with ``average``, ``||F||²/n``). At rank 3 of 6 with ``||F|| = 60`` and
    ``eps = 1e-3`` it was 6e-3 in float32, 2e-11 in float64; that of the square root 4e-5 and 1e-13. Normalise the
    features, or use float64, or a larger ``eps``.

    Source: Ionescu, Vantzos, Sminchisescu, "Training Deep Networks with Structured Layers by Matrix Backpropagation",
    arXiv:1509.07838; Carreira et al., "Semantic Segmentation with Second-Order Pooling", ECCV 2012; Li et al., "Is
    Second-order Information Helpful for Large-scale Visual Recognition?", ICCV 2017 (power).
    """
    _check_arguments(features, masks, eps, transform)
    with backend_errors("second_order_pooling", "features", DIVERGED):
        return _pool(features, masks, eps, transform, average)


def _pool(features, masks, eps, transform, average):
    kernel, eps = _TRANSFORMS[transform], float(eps)
    if masks is not None:
        xp = namespace(features, masks)
        weights = _weights(features, masks, average)
        features = features[..., None, :, :]
        if is_traced(masks):  # √m has no derivative at 0, F^H (m F) has
            return _function_of(xp.matmul(H(features), xp.multiply(weights, features)), kernel, eps)
        features = xp.multiply(xp.sqrt(weights), features)
    n, d = features.shape[-2:]
    scale = 1.0 / n if masks is None and average and n else 1.0
    if kernel is not None and n < d:
        return small_side(features if scale == 1.0 else features * scale**0.5, kernel=kernel, epsilon=eps)
    c = gram(features)
    return _function_of(c if scale == 1.0 else scale * c, kernel, eps)


def _function_of(c, kernel, eps):
    return c if kernel is None else spectral(c, kernel=Shifted(kernel, eps))


def _weights(features, masks, average):
    """Weights (..., r, n, 1) of the locations, of the features' precision; on request summing up to 1 per region."""
    xp = namespace(masks)
    weights = masks if is_traced(masks) else xp.astype(masks, real(features[..., :0, :0]).dtype)
    if average:
        total = xp.sum(weights, axis=-1, keepdims=True)
        weights = weights / xp.where(total == 0.0, 1.0, total)
    return weights[..., None]


def check_options(op, eps, transform):
    if transform not in _TRANSFORMS:
        raise ValueError(f'{op}: transform must be "log", "power" or "none", got {transform!r}')
    if is_traced(eps):
        raise TypeError(f"{op}: eps is a constant and has no derivative, and must be a number")
    if not isinstance(eps, numbers.Real) or not eps > 0:
        raise ValueError(f"{op}: eps must be a positive number, got {eps!r}")


def _check_arguments(features, masks, eps, transform):
    op = "second_order_pooling"
    if not hasattr(features, "dtype") or not is_inexact(features):
        found = features.dtype if hasattr(features, "dtype") else type(features).__name__
        raise TypeError(f"{op}: features must be a floating-point array, got {found}; cast it with xp.astype")
    if len(features.shape) < 2:
        raise ValueError(f"{op}: features must have shape (..., n, d), got {tuple(features.shape)}")
    check_options(op, eps, transform)
    if masks is None:
        return
    if not hasattr(masks, "dtype"):
        raise TypeError(f"{op}: masks must be an array (..., r, n), got {type(masks).__name__}")
    if is_complex(masks):
        raise TypeError(f"{op}: masks must be real weights or booleans, got dtype {masks.dtype}")
    try:
        namespace(features, masks)
    except TypeError as error:
        raise TypeError(f"{op}: features and masks are {error}") from None
    if len(masks.shape) < 2 or masks.shape[-1] != features.shape[-2]:
        raise ValueError(
            f"{op}: masks must have shape (..., r, {features.shape[-2]}) to go with features of shape "
            f"{tuple(features.shape)}, got {tuple(masks.shape)}"
        )
    try:
        np.broadcast_shapes(tuple(features.shape[:-2]), tuple(masks.shape[:-2]))
    except ValueError:
        raise ValueError(
            f"{op}: the leading axes of masks, {tuple(masks.shape[:-2])}, do not go with those of features, "
            f"{tuple(features.shape[:-2])}"
        ) from None
