"""The properties of an op that `check_op` checks, one function each, for one `Case`: an op on a backend and a dtype.

Inputs, tangents and cotangents are lists of NumPy arrays; the case puts them on its backend and gets results back.
"""

from __future__ import annotations

import contextlib

import numpy as np

from .. import transforms
from .._xp import conj, device, is_inexact, namespace, real

# tolerances relative to the norms involved: rounding for identities, truncation for finite differences
IDENTITY = {"float64": 1e-12, "float32": 2e-5}
VALUE = {"float64": 1e-10, "float32": 2e-4}
DIFFERENCE = 1e-7
STEP = 2e-3


class Case:
    """One op on one backend and dtype, with what the checks share."""

    def __init__(self, op, params, backend, dtype, invariant, loss):
        self.op, self.params, self.backend, self.dtype, self.loss = op, params, backend, dtype, loss
        self.invariant = invariant or (lambda *ys: ys)
        self.complex = np.dtype(dtype).kind == "c"
        self.precision = "float64" if dtype in ("float64", "complex128") else "float32"
        self.name = getattr(op, "name", None) or getattr(op, "__name__", "f")

    def f(self, *xs):
        """The op, outputs as a tuple."""
        return _as_tuple(self.op(*xs, **self.params))

    def g(self, *xs):
        """The op followed by the invariant."""
        return tuple(self.invariant(*self.f(*xs)))

    def put(self, arrays):
        return tuple(self.backend.put(x, self.dtype) for x in arrays)

    def get(self, arrays):
        return [self.backend.get(x) for x in arrays]

    def push(self, f, xs, dx):
        return transforms.jvp(lambda v: f(*v), (xs,), (self.put(dx),))[1]

    def pull(self, f, xs, ybar):
        return transforms.vjp(lambda v: f(*v), xs)[1](self.put(ybar))[0]

    def close(self, what, a, b, tolerance, floor=0.0):
        a, b = [np.asarray(v) for v in a], [np.asarray(v) for v in b]
        if len(a) != len(b):
            self.fail(f"{what}: {len(a)} arrays, expected {len(b)}")
        for i, (u, v) in enumerate(zip(a, b)):
            if u.shape != v.shape:
                self.fail(f"{what}: shapes {u.shape} and {v.shape} at {i}")
        error, scale = norm([u - v for u, v in zip(a, b)]), max(norm(a), norm(b), floor, 1e-300)
        if not error <= tolerance * self.loss * scale:
            self.fail(f"{what}: relative difference {error / scale:.2e}, allowed {tolerance * self.loss:.1e}")

    def unchanged(self, what, before, after):
        if any(not np.array_equal(u, v) for u, v in zip(before, after)):
            self.fail(what)

    def same_kind(self, what, y, like):
        """``y`` must be of the backend, device and precision of ``like``; it may be real where ``like`` is complex."""
        if namespace(y) is not namespace(like) or device(y) != device(like):
            self.fail(f"{what} is on device {device(y)} of {namespace(y).__name__}, the input on {device(like)}")
        bits = namespace(y).finfo(y.dtype).bits if is_inexact(y) else None
        if bits != namespace(like).finfo(like.dtype).bits:
            self.fail(f"{what} has dtype {y.dtype}, the input {like.dtype}")

    @contextlib.contextmanager
    def runs(self, what):
        """An exception in what is checked is a failure of the property."""
        try:
            yield
        except AssertionError:
            raise
        except Exception as error:
            raise AssertionError(f"{self._prefix()} {what}: raised {type(error).__name__}: {error}") from error

    def fail(self, message):
        raise AssertionError(f"{self._prefix()} {message}")

    def _prefix(self):
        return f"op {self.name!r} on {self.backend.name}, {self.dtype}:"


def _as_tuple(y):
    return y if type(y) is tuple else (y,)


def norm(arrays):
    return float(np.sqrt(sum(np.sum(np.abs(np.asarray(v, dtype=complex)) ** 2) for v in arrays)))


def inner(a, b):
    return float(sum(np.sum(np.real(np.conj(u) * v)) for u, v in zip(a, b)))


def random_like(arrays, seed):
    rng = np.random.default_rng([seed, 1])  # not the numbers of a `Draw` with this seed, which the inputs come from

    def like(x):
        y = rng.standard_normal(x.shape)
        return y + 1j * rng.standard_normal(x.shape) if np.iscomplexobj(x) else y

    return [like(x) for x in arrays]


# --------------------------------------------------------------------------------------------- values and rules


def value(case, x, reference):
    """Right, finite, of the input's kind, the same for non-contiguous input; and the input is left as it was."""
    xs, before = case.put(x), case.get(case.put(x))
    with case.runs("value"):
        ys = case.f(*xs)
        found = case.get(case.invariant(*ys))
    for y in ys:
        case.same_kind("the result", y, xs[0])
    case.unchanged("the forward function modified its inputs", before, case.get(xs))
    if not all(np.all(np.isfinite(v)) for v in case.get(ys)):
        case.fail("the value is not finite")
    if reference is not None:
        case.close("value against the reference", found, _as_tuple(reference(*x)), VALUE[case.precision])
    with case.runs("non-contiguous input"):
        strided = case.get(case.g(*[_non_contiguous(v) for v in xs]))
    case.close("non-contiguous input", strided, found, VALUE[case.precision])


def _non_contiguous(x):
    """The same values at every second place of the last axis of a larger array."""
    if len(x.shape) == 0:
        return x
    xp = namespace(x)
    return xp.reshape(xp.stack([x, x + 1.0], axis=-1), (*x.shape[:-1], 2 * x.shape[-1]))[..., ::2]


def rules(case, x, dx, ybar):
    """The rules themselves, without the engine: precision and device kept, arguments unchanged, None is zero."""
    xs, dxs, bars = case.put(x), case.put(dx), case.put(ybar)
    _, saved = case.op.forward(*xs, **case.params)
    # copies: what a backend hands out may share its memory
    before = [np.array(v) for v in case.get((*xs, *dxs, *bars, *_arrays(saved)))]
    with case.runs("variation"):
        dys = _apply(case.op.variation, saved, dxs, by_argument=True)
    with case.runs("adjoint"):
        xbars = _apply(case.op.adjoint, saved, bars, by_argument=False)
    case.unchanged("a rule modified its inputs", before, case.get((*xs, *dxs, *bars, *_arrays(saved))))
    for what, found in {"the variation": dys, "the adjoint": xbars}.items():
        for v in found:
            if v is not None:
                case.same_kind(what, v, xs[0])
    if len(dxs) > 1 and type(case.op.variation) is not tuple:
        with case.runs("variation with None tangents"):
            parts = [_apply(case.op.variation, saved, _only(dxs, i), by_argument=True) for i in range(len(dxs))]
        _sums_to(case, "variation with None tangents", parts, dys)
    if len(bars) > 1:
        with case.runs("adjoint with None cotangents"):
            parts = [_apply(case.op.adjoint, saved, _only(bars, i), by_argument=False) for i in range(len(bars))]
        _sums_to(case, "adjoint with None cotangents", parts, xbars)


def _arrays(saved):
    return [v for v in saved if hasattr(v, "dtype") and hasattr(v, "shape")]


def _apply(rule, saved, args, by_argument):
    if type(rule) is not tuple:
        return _as_tuple(rule(saved, *args))
    if by_argument:  # one tangent each
        return tuple(r(saved, v) for r, v in zip(rule, args) if r is not None)
    return tuple(None if r is None else r(saved, *args) for r in rule)


def _only(arrays, i):
    return [v if j == i else None for j, v in enumerate(arrays)]


def _sums_to(case, what, parts, whole):
    """``parts``, each for one argument alone, add up to ``whole``."""
    for k, v in enumerate(whole):
        if v is not None:
            found = [case.backend.get(p[k]) for p in parts if p[k] is not None]
            case.close(what, [sum(found)], [case.backend.get(v)], VALUE[case.precision])


# ------------------------------------------------------------------------------------------- derivatives, order 1


def identity(case, x, dx, ybar):
    """Re<ybar, variation(dx)> = Re<adjoint(ybar), dx>, to rounding error. Returns the relative violation."""
    xs = case.put(x)
    with case.runs("variation"):
        dy = case.get(case.push(case.f, xs, dx))
    with case.runs("adjoint"):
        xbar = case.get(case.pull(case.f, xs, ybar))
    left, right = inner(ybar, dy), inner(xbar, dx)
    scale = max(norm(ybar) * norm(dy), norm(xbar) * norm(dx), 1e-300)
    violation = abs(left - right) / scale
    if not violation <= IDENTITY[case.precision] * case.loss:
        case.fail(f"adjoint identity violated by {violation:.2e}: <ybar, dy> = {left:.17g}, <xbar, dx> = {right:.17g}")
    return violation


def _difference(case, f, x, dx):
    """Fourth-order central difference of ``f`` along ``dx``, per output, in NumPy."""
    h = STEP * max(1.0, norm(x)) / max(norm(dx), 1e-300) / max(1.0, np.sqrt(sum(np.size(v) for v in x)))

    def at(t):
        return [np.asarray(v) for v in case.get(f(*case.put([u + t * h * d for u, d in zip(x, dx)])))]

    return [(8.0 * (a - b) - (c - d)) / (12.0 * h) for a, b, c, d in zip(at(1), at(-1), at(2), at(-2))]


def variation(case, x, dx):
    """The variation is the derivative of the forward function."""
    dy = case.get(case.push(case.g, case.put(x), dx))
    floor = 1e-3 * norm(case.get(case.g(*case.put(x))))  # differences of a constant are rounding errors
    case.close("variation against finite differences", dy, _difference(case, case.g, x, dx), DIFFERENCE, floor)


def against_double(case, x, dx):
    """Derivatives in single precision are those in double precision."""
    double = Case(case.op, case.params, case.backend, "complex128" if case.complex else "float64", case.invariant, 1.0)
    single = [v.astype(case.get(case.put([v]))[0].dtype) for v in x]
    y = double.get(double.g(*double.put(single)))
    weights = random_like([np.asarray(v) for v in y], 3)
    # A directional derivative is a sum that may cancel, and has the rounding errors of its terms: errors are relative
    # to it, but to no less than a thousandth of the value, as in the differences above. The adjoint is not such a sum.
    floor = {"variation": 1e-3 * norm(y), "adjoint": 0.0}
    for what, run in {
        "variation": lambda c: c.get(c.push(c.g, c.put(single), dx)),
        "adjoint": lambda c: c.get(c.pull(c.g, c.put(single), weights)),
    }.items():
        case.close(f"{what} against double precision", run(case), run(double), VALUE["float32"], floor[what])


# ------------------------------------------------------------------------------------------- derivatives, order 2


def second_order(case, x, dx):
    """Products with the Hessian of a random projection: against differences of the gradient, in all four ways."""
    with case.runs("second order"):
        _second_order(case, x, dx)


def _second_order(case, x, dx):
    xs, dxs = case.put(x), case.put(dx)
    weights = case.put(random_like(case.get(case.g(*xs)), 3))
    everything = tuple(range(len(x)))

    def phi(*xs):
        return _projection(weights, case.g(*xs))

    gradient = transforms.grad(phi, argnums=everything)
    forward_reverse = case.get(transforms.jvp(gradient, xs, dxs)[1])
    difference = _difference(case, gradient, x, dx)
    scale = max(norm(case.get(gradient(*xs))) * norm(dx), 1e-300)
    error = norm([a - b for a, b in zip(forward_reverse, difference)]) / max(norm(difference), scale * 1e-3)
    if not error <= 10 * DIFFERENCE * case.loss:
        case.fail(f"second order against finite differences of the gradient: relative difference {error:.2e}")

    def slope(*vs):
        return transforms.jvp(phi, vs, dxs)[1]

    def along(*vs):
        return _projection(dxs, gradient(*vs))

    curvature = inner(forward_reverse, dx)
    tolerance = 1e-9 * case.loss * max(norm(forward_reverse) * norm(dx), scale)
    for what, other in {
        "reverse over reverse": lambda: inner(case.get(transforms.grad(along, argnums=everything)(*xs)), dx),
        "reverse over forward": lambda: inner(case.get(transforms.grad(slope, argnums=everything)(*xs)), dx),
        "forward over forward": lambda: float(case.backend.get(transforms.jvp(slope, xs, dxs)[1])),
    }.items():
        found = other()
        if not abs(found - curvature) <= tolerance:
            case.fail(f"second order, {what}: {found:.15g}, forward over reverse {curvature:.15g}")


def _projection(weights, ys):
    """Re<weights, ys>, a real 0-d array of the backend."""
    xp = namespace(*ys)
    total = 0.0
    for w, y in zip(weights, ys):
        total = total + xp.sum(real(xp.multiply(conj(w), xp.asarray(y))))
    return total


# ------------------------------------------------------------------------------------------------------- batches


def batch(case, x):
    """A batch is a loop over its first axis, in both directions; an empty one gives empty results."""
    xs = case.put(x)
    with case.runs("batch against loop"):
        ys = case.get(case.g(*xs))
    weights = random_like(ys, 3)
    bars = case.get(case.pull(case.g, xs, weights))
    for i in range(3):
        one = case.put([v[i] for v in x])
        case.close("batch against loop", [y[i] for y in ys], case.get(case.g(*one)), VALUE[case.precision])
        bar = case.get(case.pull(case.g, one, [w[i] for w in weights]))
        case.close("adjoint, batch against loop", [b[i] for b in bars], bar, VALUE[case.precision])
    with case.runs("empty batch"):
        empty = case.put([v[:0] for v in x])
        found = (*case.g(*empty), *case.pull(case.g, empty, [w[:0] for w in weights]))
    for v, u in zip(found, (*ys, *x)):
        if tuple(v.shape) != (0, *u.shape[1:]):
            case.fail(f"empty batch: shape {tuple(v.shape)}, expected {(0, *u.shape[1:])}")
