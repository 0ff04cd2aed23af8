"""Public matrix functions: raw or traced arrays in, the same kind out.

The linear algebra of the Array API standard under its own names and signatures, and functions beyond it. A name that
ends in "h" takes a Hermitian matrix, as in ``eigh``: its Hermitian part ``(X + X^H)/2`` is used, and gradients are
Hermitian.
"""

from . import decompositions as _decompositions
from . import products as _products
from . import systems as _systems
from .decompositions import *  # noqa: F403
from .hermitian import clampmh, expmh, invsqrtmh, logmh, powmh, spectral, sqrtmh, svd_function, top_projector
from .products import *  # noqa: F403
from .subspaces import project, projector
from .systems import *  # noqa: F403

__all__ = [
    "clampmh",
    "expmh",
    "invsqrtmh",
    "logmh",
    "powmh",
    "project",
    "projector",
    "spectral",
    "sqrtmh",
    "svd_function",
    "top_projector",
]
__all__ += _decompositions.__all__ + _products.__all__ + _systems.__all__
