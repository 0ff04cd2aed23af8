"""Divided differences of scalar functions, accurate for far, near and equal points.

    f[a,b] = (f(a) - f(b))/(a - b),  f[a,a] = f'(a)          f[a,b,c] = (f[a,b] - f[b,c])/(a - c),  f[a,a,a] = f''(a)/2

They are symmetric in their points. Two ways to evaluate one: the quotient loses digits when the points are close; the
Hermite-Genocchi integral, by Gauss quadrature, loses accuracy when they are far apart, or on two sides of a kink of f:

    f[a,b] = ∫₀¹ f'(b + t(a-b)) dt          f[a,b,c] = ∫₀¹∫₀¹ u f''(c + u(b-c) + uv(a-b)) du dv

The rounding error of the quotient can be bounded. Where the integral agrees with the quotient within that bound, it is
the better of the two, and is taken; where it does not, it is the worse. So no scale of f has to be known. The bound
takes f and its divided differences to be as accurate as their size over the whole spectrum, and the rounding of their
arguments, allow: near a root of f, where f(a) is small by cancellation, its own size says nothing.

Source: Higham, "Functions of Matrices" (2008), B.16; Hermite-Genocchi: Isaacson and Keller, "Analysis of Numerical
Methods" (1966), 6.1.
"""

import functools

import numpy as np

from .._xp import device, eps, namespace


@functools.cache
def _gauss(n):
    """Nodes and weights of Gauss-Legendre quadrature on [0, 1]."""
    x, w = np.polynomial.legendre.leggauss(n)
    return 0.5 * (1.0 + x), 0.5 * w


@functools.cache
def _interval():
    t, w = _gauss(7)
    return [t], w


@functools.cache
def _triangle():
    t, w = _gauss(5)
    u, v = np.repeat(t, 5), np.tile(t, 5)
    return [u, u * v], np.repeat(w, 5) * np.tile(w, 5) * u


def _integral(derivative, start, steps, rule):
    """The integral of ``derivative`` over the points start + Σ node · step."""
    xp = namespace(start)

    def constant(v):
        return xp.asarray(v.tolist(), dtype=start.dtype, device=device(start))

    nodes, weights = rule
    points = start[..., None]
    for node, step in zip(nodes, steps):
        points = points + constant(node) * step[..., None]
    return derivative(points) @ constant(weights)


def _better(numerator, gap, rounding, integral):
    """The quotient or the integral, entry by entry; ``rounding`` is the error of the numerator."""
    xp = namespace(gap)
    equal = gap == 0.0
    gap = xp.where(equal, 1.0, gap)
    quotient = numerator / gap
    return xp.where(equal | (xp.abs(integral - quotient) <= rounding / xp.abs(gap)), integral, quotient)


def _size(x):
    """The largest entry of each matrix, in absolute value."""
    xp = namespace(x)
    axes = tuple(range(-min(len(x.shape), 2), 0))
    return xp.max(xp.abs(x), axis=axes, keepdims=True) if 0 not in x.shape else xp.abs(x)


def first(f, df, a, b):
    """f[a,b] of broadcast arrays, from f and f'."""
    xp = namespace(a)
    a, b = xp.broadcast_arrays(a, b)
    fa, fb = f(a), f(b)
    rounding = 4.0 * eps(a) * (_size(fa) + _size(fb) + xp.abs(a * df(a)) + xp.abs(b * df(b)))
    return _better(fa - fb, a - b, rounding, _integral(df, b, [a - b], _interval()))


def second(first, d2f, a, b, c, accurate):
    """f[a,b,c] of broadcast arrays, from the first divided differences and f''.

    ``accurate`` says that ``first`` has all its digits entry by entry, as a closed form has.
    """
    xp = namespace(a)
    a, b, c = ordered(a, b, c)
    ab, bc = first(a, b), first(b, c)
    if accurate:
        rounding = 16.0 * eps(a) * (xp.abs(ab) + xp.abs(bc))
    else:
        rounding = 16.0 * eps(a) * (_size(ab) + _size(bc) + xp.abs(a * d2f(a)) + xp.abs(c * d2f(c)))
    return _better(ab - bc, a - c, rounding, _integral(d2f, c, [b - c, a - b], _triangle()))


def ordered(a, b, c):
    """The three points in descending order, entrywise."""
    xp = namespace(a)
    a, b, c = xp.broadcast_arrays(a, b, c)
    a, b = xp.maximum(a, b), xp.minimum(a, b)
    a, c = xp.maximum(a, c), xp.minimum(a, c)
    b, c = xp.maximum(b, c), xp.minimum(b, c)
    return a, b, c
