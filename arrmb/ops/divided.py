"""Divided differences of scalar functions at the eigenvalues w of a matrix, accurate for far, near and equal ones.

    f[a,b] = (f(a) - f(b))/(a - b),  f[a,a] = f'(a)          f[a,b,c] = (f[a,b] - f[b,c])/(a - c),  f[a,a,a] = f''(a)/2

They are symmetric in their points. First ones, K_ij = f[w_i, w_j], are a matrix: closed forms of the functions are in
`scalar.py`. Second ones are made slice by slice, f[w_i, w_k, w_j] over i and j for k = 0, 1, ..., from K:

    recursion     the quotient above over the widest of the three gaps: few digits are lost where this gap is wide
    series        w_i and w_j both close to w_k, x = w - w_k:
                  f[w_i,w_k,w_j] = Σ_p f^(p+2)(w_k)/(p+2)! Σ_{q+r=p} x_i^q x_j^r  =  x_i^q T_qr x_j^r,  T_qr = t_{q+r}

The series is a bilinear form in powers: two thin matrix products per slice.

A function of which only derivatives are known takes the Hermite-Genocchi integral by Gauss quadrature for near points:

    f[a,b] = ∫₀¹ f'(b + t(a-b)) dt          f[a,b,c] = ∫₀¹∫₀¹ u f''(c + u(b-c) + uv(a-b)) du dv

The rounding error of the quotient can be bounded. Where the integral is accurate, and agrees with the quotient within
that bound, it is the better of the two, and is taken. Where it is not (points far apart, on two sides of a kink), the
quotient is. The bound takes f and its divided differences to be as accurate as their size over the whole spectrum, and
the rounding of their arguments, allow: near a root of f, where f(a) is small by cancellation, its own size says
nothing. Thus no scale of f has to be known; but where f has a large range, the bound says little of its small values,
and whether the integral is accurate is asked of itself: by a rule of half its order, the difference δ to which is about
the root of its own error. With M the integral of |derivative| by that rule, and V the range of the derivative at all
nodes (those of one rule may all see 0 where a derivative vanishes to rounding), it is accurate if

    δ <= √eps M   or   δ <= 16 eps max|w| V/gap

The second is what rounding errors of w change in the integral, for a derivative that is small by cancellation. All
rules have even numbers of nodes: none is in the middle, where an f that is defined on both sides of 0, such as 1/x, may
have its pole.

Source: Higham, "Functions of Matrices" (2008), B.16; McCurdy, Ng and Parlett, "Accurate computation of divided
differences of the exponential function", Math. Comp. 43 (1984), for recursion and series; Hermite-Genocchi: Isaacson
and Keller, "Analysis of Numerical Methods" (1966), 6.1.
"""

import functools

import numpy as np

from .._xp import device, eps, integer, namespace

NEAR = 0.125  # of the scale of the function: within it, the series; a quotient over a wider gap loses a digit or so
TERMS = 18  # NEAR^18 (p + 1) is below the rounding of double precision


def nonzero(x):
    """``x`` with its zeros replaced by one: a denominator for entries that another formula serves."""
    return namespace(x).where(x == 0.0, 1.0, x)


def sign_of(x):
    """-1, 0 or 1, or NaN, entrywise, of a raw array. That of array-api-compat makes a GPU wait."""
    xp = namespace(x)
    return xp.where(x > 0.0, 1.0, xp.where(x < 0.0, -1.0, x))


def descending(a, b):
    """The larger and the smaller of two points, entrywise."""
    xp = namespace(a)
    return xp.maximum(a, b), xp.minimum(a, b)


def ordered(a, b, c):
    """The three points in descending order, entrywise."""
    xp = namespace(a)
    a, b = xp.maximum(a, b), xp.minimum(a, b)
    a, c = xp.maximum(a, c), xp.minimum(a, c)
    b, c = xp.maximum(b, c), xp.minimum(b, c)
    return a, b, c


# slices of second divided differences


def closed(w, second):
    """By a closed form ``second(a, b, c)`` of broadcast arrays."""
    for k in range(w.shape[-1]):
        yield second(w[..., :, None], w[..., k, None, None], w[..., None, :])


def recursion(w, first):
    """From the matrix ``first`` of first ones: numerators and gaps, the gap being the widest of the three."""
    xp = namespace(w)
    between_ij = w[..., :, None] - w[..., None, :]
    for k in range(w.shape[-1]):
        x = w - w[..., k, None]
        i, j = x[..., :, None], x[..., None, :]
        ik, kj = first[..., :, k, None], first[..., k, None, :]
        above, below = x >= 0.0, x <= 0.0
        k_between = (above[..., :, None] & below[..., None, :]) | (below[..., :, None] & above[..., None, :])
        i_farther = xp.abs(i) >= xp.abs(j)
        numerator = xp.where(k_between, ik - kj, xp.where(i_farther, first - kj, ik - first))
        yield numerator, xp.where(k_between, between_ij, xp.where(i_farther, i, -j))


def series(w, first, scale, terms):
    """With the Taylor coefficients ``terms`` (..., n, TERMS), f^(p+2)(w_k)/(p+2)! · scale^p, for near points."""
    xp = namespace(w)
    exponents = xp.arange(TERMS, dtype=w.dtype, device=device(w))
    index = np.add.outer(np.arange(TERMS), np.arange(TERMS)).reshape(-1).tolist()
    index = xp.asarray(index, dtype=integer(xp), device=device(w))
    t = xp.take(xp.concat([terms, xp.zeros_like(terms)], axis=-1), index, axis=-1)
    t = xp.reshape(t, (*terms.shape, TERMS))  # T_qr = t_{q+r}, 0 where q + r is beyond the last
    for k, (numerator, gap) in enumerate(recursion(w, first)):
        x, s = w - w[..., k, None], scale[..., k, None]
        near = xp.abs(x) <= NEAR * s
        x = xp.where(near, x, 0.0) / nonzero(s)
        powers = x[..., None] ** exponents
        by_series = powers @ t[..., k, :, :] @ xp.matrix_transpose(powers)
        yield xp.where(near[..., :, None] & near[..., None, :], by_series, numerator / nonzero(gap))


def polynomial(coefficients, factor):
    """The array (..., n, TERMS) of c_p · factor, from Python floats c_p and an array ``factor`` (..., n)."""
    xp = namespace(factor)
    c = xp.asarray(coefficients, dtype=factor.dtype, device=device(factor))
    return factor[..., None] * c


# by quadrature, from derivatives


@functools.cache
def _gauss(n):
    """Nodes and weights of Gauss-Legendre quadrature on [0, 1]."""
    x, w = np.polynomial.legendre.leggauss(n)
    return 0.5 * (1.0 + x), 0.5 * w


@functools.cache
def _interval(n):
    """(t, weight) of ∫₀¹ dt"""
    return [((float(t),), float(w)) for t, w in zip(*_gauss(n))]


@functools.cache
def _triangle(n):
    """(u, uv, weight) of ∫₀¹∫₀¹ u du dv"""
    t, w = _gauss(n)
    return [((float(u), float(u * v)), float(wu * wv * u)) for u, wu in zip(t, w) for v, wv in zip(t, w)]


def _at_nodes(derivative, start, steps, rule):
    """(weight, derivative at the point start + Σ node · step), one node at a time.

    What is in the cache counts for more than the number of calls.
    """
    for nodes, weight in rule:
        point = start
        for node, step in zip(nodes, steps):
            point = point + node * step
        yield weight, derivative(point)


def _integral(derivative, start, steps, rule, nodes, noise):
    """The integral of ``derivative`` over start + Σ node · step, NaN where it is not accurate.

    ``rule(nodes)`` is taken, and ``rule(nodes // 2)`` for comparison; ``noise`` is 16 eps max|w|.
    """
    xp = namespace(start)
    total, half, size, low, high = 0.0, 0.0, 0.0, None, None
    for weight, y in _at_nodes(derivative, start, steps, rule(nodes)):
        total = total + weight * y
        low, high = (y, y) if low is None else (xp.minimum(low, y), xp.maximum(high, y))
    for weight, y in _at_nodes(derivative, start, steps, rule(nodes // 2)):
        half, size = half + weight * y, size + weight * xp.abs(y)
        low, high = xp.minimum(low, y), xp.maximum(high, y)
    finite, gap = xp.isfinite(total) & xp.isfinite(size), xp.abs(sum(steps))
    error = xp.abs(xp.where(finite, total, 1.0) - xp.where(finite, half, 0.0))  # no difference of two infinities
    size, spread = (xp.where(finite, v, 0.0) for v in (size, xp.where(finite, high, 0.0) - xp.where(finite, low, 0.0)))
    accurate = (error <= eps(start) ** 0.5 * size) | (error * gap <= noise * spread)
    return xp.where(accurate | (gap == 0.0), total, float("nan"))


def _better(numerator, gap, rounding, integral):
    """The integral, or the quotient where that is not accurate; ``rounding`` is the error of the numerator."""
    xp = namespace(gap)
    equal, gap = gap == 0.0, nonzero(gap)
    quotient = numerator / gap
    return xp.where(equal | (xp.abs(integral - quotient) <= rounding / xp.abs(gap)), integral, quotient)


def _size(x):
    """The largest entry of each matrix, in absolute value."""
    xp = namespace(x)
    return xp.max(xp.abs(x), axis=(-2, -1), keepdims=True) if 0 not in x.shape else xp.abs(x)


def _noise(w):
    return 16.0 * eps(w) * _size(w[..., None])[..., 0]


def first_by_quadrature(w, f, df):
    """The matrix of first divided differences, from f and f'."""
    xp = namespace(w)
    a, b = xp.broadcast_arrays(w[..., :, None], w[..., None, :])
    fw = f(w)
    of_argument = xp.abs(w * df(w))
    rounding = 4.0 * eps(w) * (2.0 * _size(fw[..., None]) + of_argument[..., :, None] + of_argument[..., None, :])
    numerator = fw[..., :, None] - fw[..., None, :]
    return _better(numerator, a - b, rounding, _integral(df, b, [a - b], _interval, 8, _noise(w)[..., None]))


def second_by_quadrature(w, first, d2f):
    """Slices, from the matrix of first ones and f''."""
    xp = namespace(w)
    n = w.shape[-1]
    of_argument = xp.abs(w * d2f(w))
    size = 2.0 * _size(first) + of_argument[..., :, None] + of_argument[..., None, :]
    # the integrals of pairs i <= j, and where each entry (i, j) finds its own among them
    rows, columns = np.triu_indices(n)
    places = np.zeros((n, n), dtype=int)
    places[rows, columns] = places[columns, rows] = np.arange(len(rows))
    rows, columns, places = (
        xp.asarray(v.reshape(-1).tolist(), dtype=integer(xp), device=device(w)) for v in (rows, columns, places)
    )
    wi, wj = xp.take(w, rows, axis=-1), xp.take(w, columns, axis=-1)
    for k, (numerator, gap) in enumerate(recursion(w, first)):
        rounding = 16.0 * eps(w) * (size + of_argument[..., k, None, None])
        a, b, c = ordered(wi, w[..., k, None], wj)
        integral = xp.take(_integral(d2f, c, [b - c, a - b], _triangle, 4, _noise(w)), places, axis=-1)
        yield _better(numerator, gap, rounding, xp.reshape(integral, gap.shape))
