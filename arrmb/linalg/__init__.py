"""Public matrix functions: raw or traced arrays in, the same kind out.

The linear algebra of the Array API standard under its own names and signatures, and functions beyond it. A name that
ends in "h" takes a Hermitian matrix, as in ``eigh``: its Hermitian part ``(X + X^H)/2`` is used, and gradients are
Hermitian.
"""

from . import activations as _activations
from . import compositions as _compositions
from . import eigen as _eigen
from . import factorizations as _factorizations
from . import functions as _functions
from . import hermitian as _hermitian
from . import least_squares as _least_squares
from . import norms as _norms
from . import products as _products
from . import roots as _roots
from . import singular as _singular
from . import subspaces as _subspaces
from . import sylvester as _sylvester
from . import systems as _systems
from .activations import *  # noqa: F403
from .compositions import *  # noqa: F403
from .eigen import *  # noqa: F403
from .factorizations import *  # noqa: F403
from .functions import *  # noqa: F403
from .hermitian import *  # noqa: F403
from .least_squares import *  # noqa: F403
from .norms import *  # noqa: F403
from .products import *  # noqa: F403
from .roots import *  # noqa: F403
from .singular import *  # noqa: F403
from .subspaces import *  # noqa: F403
from .sylvester import *  # noqa: F403
from .systems import *  # noqa: F403

_MODULES = (
    _activations,
    _compositions,
    _eigen,
    _factorizations,
    _functions,
    _hermitian,
    _least_squares,
    _norms,
    _products,
    _roots,
    _singular,
    _subspaces,
    _sylvester,
    _systems,
)
__all__ = [name for module in _MODULES for name in module.__all__]
