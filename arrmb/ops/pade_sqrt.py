"""Square root and inverse square root of a Hermitian positive definite matrix by Padé approximants.

The [m-1/m] Padé approximant of (1 - z)^-½ has the partial fractions

    r(1 - z) = 1/m Σ_i 1/(ξ_i (1 - z + α_i)),    ξ_i = ½ (1 + cos((2i - 1)π/2m)),   α_i = 1/ξ_i - 1,   i = 1 ... m

One approximant is good near z = 0 only: for p = 1 - z it has ((1 - √p)/(1 + √p))^2m for the relative error. So it is
applied again to what is left, with A = X / c, c = ‖X‖_F per matrix, Y_0 = A, Z_0 = I, K times:

    T = r(Z Y),   Y' = Y T,   Z' = T Z,        S = √c Y_K,   W = Z_K / √c

which raises (1 - √p)/(1 + √p) to the power (2m)^K. Here m = 4. Each pass takes m inverses, all of well conditioned
matrices and independent of each other, and 3 products. For rounding error in float64, √p_min (8)^K >= 19:

    K = 1.4 + ½ log(‖X‖_F / λ_min)/log(8),   ‖X‖_F / λ_min <= √n κ       (3 for 1e2, 5 for 1e6, 7 for 1e9 ... 1e10)

Derivatives are those of the square root, by the Lyapunov equation S dS + dS S = dX: rules and order as in
`sign_iteration.py`. They are those of the truncated map where it has converged.

Source: Higham, "Functions of Matrices" (2008), 5.4 and 6.7, after Kenney and Laub, "Rational iterative methods for the
matrix sign function" (1991); Song, Sebe, Wang, "Fast differentiable matrix square root" (ICLR 2022), for one
approximant with a Lyapunov solve in a layer.
Domain: Hermitian positive definite (the Hermitian part is used), real or complex, batched; √n κ as above, or the result
is not a square root. Exact at any order, whatever multiplicities.
"""

import math

from .._threads import over_batch
from .._xp import eps, eye_like, is_traced, namespace, sym
from ..tape.core import Op
from .newton_schulz import frobenius
from .sign_iteration import root_adjoint, root_variation, steps_for

_M = 4
_XI = [0.5 * (1.0 + math.cos((2 * i - 1) * math.pi / (2 * _M))) for i in range(1, _M + 1)]


def _r(p):
    """r at the matrices ``p``."""
    xp, eye = namespace(p), eye_like(p)
    shifted = xp.stack([xi * _M * p + (_M * (1.0 - xi)) * eye for xi in _XI])
    return xp.sum(xp.linalg.inv(shifted), axis=0)


def _forward(x, *, iterations):
    if is_traced(x):
        s, w = pade_root(x, iterations=iterations)
    else:
        x = sym(x)
        c = frobenius(x)
        a = x / c
        z = _r(a)
        y = a @ z
        for _ in range(iterations - 1):
            t = _r(z @ y)
            y, z = y @ t, t @ z
        root = namespace(x).sqrt(c)
        s, w = sym(y) * root, sym(z) / root
    # what K passes resolve, the Lyapunov solve must resolve too: ((1 - u)/(1 + u))^(2m)^K = eps/2 for u = √p
    low = min(0.5 * math.log(2.0 / eps(x)) / (2.0 * _M) ** iterations, 0.5)
    return (s, w), (s, w, {"iterations": steps_for(low, eps(x)), "precision": None})


pade_root = Op("pade_root", *over_batch(_forward, root_variation, root_adjoint))
