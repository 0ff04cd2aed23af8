"""The namespace's ``special``, a would-be extension of the standard: `scipy.special` looks for its functions there."""

from ..._xp import device, is_inexact, is_traced, namespace, raw, raw_namespace
from ...ops import special
from ..core import has_derivative, lift
from ._lift import as_array

__all__ = "expit logit entr erf erfc erfinv ndtr log_ndtr ndtri gamma gammaln psi digamma polygamma".split()
__all__ += "gammainc gammaincc betainc fdtrc stdtr stdtrit".split()


def _of_one(name):
    op = getattr(special, name)

    def function(x, /):
        return op(_real(name, x))

    function.__name__ = name
    return function


def _real(name, x):
    if not is_inexact(x) or raw_namespace(namespace(x)).isdtype(x.dtype, "complex floating"):
        raise TypeError(f"{name}: x must be a real floating-point array, got dtype {x.dtype}")
    return x


for _name in "expit logit entr erf erfc erfinv ndtr log_ndtr ndtri gamma gammaln".split():
    globals()[_name] = _of_one(_name)


def psi(x, /):
    return special.polygamma(_real("psi", x), n=0)


digamma = psi


def polygamma(n, x, /):
    return special.polygamma(_real("polygamma", x), n=int(n))


def _constants(name, x, *parameters):
    """``x``, and the parameters as raw arrays of its backend and dtype."""
    x = as_array(x, next(v for v in (x, *parameters) if hasattr(v, "dtype")))
    for a in parameters:
        if is_traced(a) and has_derivative(a):
            raise TypeError(f"no rule for {name!r} with respect to its parameters: x alone may be differentiated")
    xp, place = raw_namespace(namespace(x)), device(x)
    return _real(name, x), [xp.asarray(raw(a), dtype=x.dtype, device=place) for a in parameters]


def gammainc(a, x, /):
    x, (a,) = _constants("gammainc", x, a)
    return special.gammainc(lift(x), a=a)


def gammaincc(a, x, /):
    x, (a,) = _constants("gammaincc", x, a)
    return special.gammaincc(lift(x), a=a)


def betainc(a, b, x, /):
    x, (a, b) = _constants("betainc", x, a, b)
    return special.betainc(lift(x), a=a, b=b)


def fdtrc(dfn, dfd, x, /):
    """Survival function of the F distribution, a betainc: what `scipy.stats.f_oneway` takes its p-value from."""
    x, (dfn, dfd) = _constants("fdtrc", x, dfn, dfd)
    x = lift(x)
    return betainc(0.5 * dfd, 0.5 * dfn, lift(dfd) / (x * dfn + dfd))


def stdtr(df, t, /):
    t, (df,) = _constants("stdtr", t, df)
    return special.stdtr(lift(t), df=df)


def stdtrit(df, p, /):
    """SciPy's own fallback is a root finder, whose steps by bisection would cut the derivative."""
    p, (df,) = _constants("stdtrit", p, df)
    return special.stdtrit(lift(p), df=df)
