"""Group normalisation."""

from __future__ import annotations

from typing import Any

from .. import tree
from .._xp import namespace
from ..ops.group_standardize import group_standardize
from . import _check


def group_norm(x, groups, *, eps=1e-5):
    """Standardise images over locations and groups of channels: zero mean, unit variance.

    Parameters
    ----------
    x : array (..., H, W, C)
    groups : int
        Number of groups of consecutive channels; it divides C. 1 gives layer normalisation, C instance normalisation.
    eps : float
        Added to the variance.

    Returns
    -------
    array
        Of the shape of ``x``.

    Raises
    ------
    TypeError, ValueError
        ``x`` is not a floating-point array (..., H, W, C), or ``groups`` does not divide C.
    """
    _check.features("group_norm", x, ("H", "W", "C"))
    c = x.shape[-1]
    if not isinstance(groups, int) or groups < 1 or c % groups:
        raise ValueError(f"group_norm: groups must be a positive integer that divides the {c} channels, got {groups!r}")
    if not eps > 0:
        raise ValueError(f"group_norm: eps must be positive, got {eps!r}")
    return group_standardize(x, groups=groups, eps=eps)


@tree.dataclass
class GroupNorm:
    """Group normalisation with a learned scale and shift per channel, ``group_norm(x, groups) * scale + shift``.

    Attributes
    ----------
    scale, shift : array (channels,)
    groups : int
    eps : float

    Source: Wu, He, "Group normalization" (2018).
    """

    scale: Any
    shift: Any
    groups: int = tree.static(default=1)
    eps: float = tree.static(default=1e-5)

    @classmethod
    def init(cls, xp, channels, groups, *, eps=1e-5, dtype=None, device=None):
        """A layer with scale 1 and shift 0, in ``dtype`` (default: ``xp.float32``)."""
        xp = namespace(xp.zeros(()))  # cupy or torch as well as the Array API namespace over it
        scale = xp.ones((channels,), dtype=xp.float32 if dtype is None else dtype, device=device)
        return cls(scale, namespace(scale).zeros_like(scale), groups, eps)

    def __call__(self, x):
        """Normalise ``x`` (..., H, W, channels)."""
        _check.features("GroupNorm", x, ("H", "W", "C"), self.scale.shape[0])
        y = group_norm(x, self.groups, eps=self.eps)
        xp = namespace(y, self.scale, self.shift)
        return xp.add(xp.multiply(y, self.scale), self.shift)
