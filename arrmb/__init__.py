"""arrmb: structured matrix layers with exact derivatives, for NumPy, CuPy and every other Array API backend."""

from . import fft, io, layers, linalg, optim, sparse, tree
from ._debug import debug
from ._memory import keep_at_hand as _keep_at_hand
from ._xp import namespace
from .tape import namespace as _traced_namespace  # noqa: F401  this and the next complete the traced array
from .tape import traced as _traced_array  # noqa: F401
from .tape.core import Op
from .transforms import grad, hessian, hvp, jacobian, jvp, value_and_grad, vjp

_keep_at_hand()

__version__ = "0.1.0"

__all__ = [
    "Op",
    "debug",
    "fft",
    "grad",
    "hessian",
    "hvp",
    "io",
    "jacobian",
    "jvp",
    "layers",
    "linalg",
    "namespace",
    "optim",
    "sparse",
    "tree",
    "value_and_grad",
    "vjp",
]
