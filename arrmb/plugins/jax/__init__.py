"""arrmb's functions on JAX arrays, with arrmb's derivatives, under JAX's transformations.

    from arrmb.plugins.jax import function, linalg

    jax.grad(lambda x: jnp.trace(g @ linalg.logmh(x)))(jnp.eye(3))  # exact; through jnp.linalg.eigh it is NaN

`linalg`, `layers` and `fft` have the functions of the modules of the same names; `function` turns a function of your
own into one of JAX arrays. All of them go under `jax.grad`, `vjp`, `jvp`, `linearize`, `hessian`, `jacfwd`, `jacrev`,
`vmap`, `jit` and `checkpoint`, in any order. Layers (`arrmb.layers.Linear`, and classes made with
`arrmb.tree.dataclass`) are pytrees for JAX from the import of this module on.

Where arrmb raises for values outside the domain of a function, on NumPy, the result is NaN here, with values at hand
or not: a function does not depend on whether it is compiled. So are second derivatives that do not exist, such as those
of single eigenvalues at a tie.
"""

from __future__ import annotations

import sys

from ... import tree
from ...tape.core import foreign
from .. import _mirror
from . import _requirements  # first: it says what is missing
from ._boxes import box_tracer
from ._calls import apply
from ._function import function

__all__ = ["fft", "function", "layers", "linalg"]

jax = _requirements.jax


def _register(cls):
    arrays, structure = tree.fields(cls)
    jax.tree_util.register_dataclass(cls, data_fields=arrays, meta_fields=structure)


tree.each_dataclass(_register)
foreign.append((jax.core.Tracer, apply, box_tracer))  # arrmb on JAX's tracers, outside of `function`
linalg, layers, fft = _mirror.mirror(__name__, function)
sys.modules.update({module.__name__: module for module in (linalg, layers, fft)})
