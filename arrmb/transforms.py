"""Transformations of functions: grad, value_and_grad, vjp, jvp, hvp, jacobian, hessian. All nest, in any order."""

from __future__ import annotations

import functools
import math

from . import _arguments, tree
from ._xp import broadcast_like, device, is_complex, is_inexact, namespace, raw, raw_namespace
from .tape.core import Forward, Reverse, Traced, add, any_traced, below, lift, rebox, unlift


def vjp(f, *args):
    """Value of ``f(*args)`` and the pullback of cotangents through it.

    Parameters
    ----------
    f : callable
        Function of pytrees of arrays; its result is an array or a pytree of arrays.
    *args : pytrees of arrays
        Real or complex floating-point arrays of one backend, raw or traced.

    Returns
    -------
    y : pytree
        ``f(*args)``.
    pullback : callable
        ``pullback(ybar)``, with ``ybar`` of the structure and shapes of ``y``, returns a tuple with one cotangent per
        argument, such that ``Re<ybar, dy> = Re<xbar, dx>``. It may be called any number of times. Cotangents may share
        memory with ``ybar`` and with each other: do not update them in place.

    Raises
    ------
    TypeError
        ``f`` is not a function, a leaf is not a floating-point array, or the leaves belong to different backends. Of
        the pullback: a leaf of ``ybar`` is not an array, or is complex where the result is real.
    ValueError
        Of the pullback: ``ybar`` does not have the structure or the shapes of the result.
    """
    _arguments.function("vjp", f)
    y, trace, leaves, structure, (outputs, out_structure) = _record(f, args)

    def pullback(ybar):
        bars = _arguments.matching(ybar, out_structure, outputs, "cotangent", "the result")
        return structure.unflatten(_pull(trace, leaves, outputs, bars))

    return y, pullback


def _record(f, args, has_aux=False):
    """Run ``f`` on a new reverse trace. Returns its value, the trace, the traced leaves, and the traced outputs."""
    leaves, structure = _arguments.leaves(args, "argument")
    trace = Reverse()
    inputs = [trace.input(x) for x in leaves]
    out = _call(f, structure.unflatten([rebox(x) for x in inputs]))  # f may update its arguments
    aux = None
    if has_aux:
        if not (isinstance(out, tuple) and len(out) == 2):
            raise TypeError("has_aux=True: the function must return a pair (value, auxiliary data)")
        out, aux = out
    outputs, out_structure = tree.flatten(out)
    nested = any_traced(leaves)
    y = out_structure.unflatten([below(trace, v, nested) for v in outputs])
    if has_aux:
        y = (y, tree.map(lambda v: below(trace, v, nested), aux))
    return y, trace, inputs, structure, (outputs, out_structure)


def _pull(trace, inputs, outputs, bars, release=False):
    cotangents = {}
    for y, bar in zip(outputs, bars):
        if type(y) is Traced and y.trace is trace and bar is not None:
            number = y.link[0]
            before = cotangents.get(number)
            cotangents[number] = bar if before is None else add(before, bar)
    trace.pull(cotangents, release)
    found = [cotangents.get(x.link[0]) for x in inputs]
    found = [namespace(x.value).zeros_like(x.value) if bar is None else bar for x, bar in zip(inputs, found)]
    nested = any_traced([x.value for x in inputs]) or any_traced(bars)
    return [lift(bar) if nested else unlift(bar) for bar in found]


def value_and_grad(f, argnums=0, has_aux=False):
    """A function that returns ``(f(*args), gradient)``, the gradient with the structure of the argument.

    See `grad`; with ``has_aux``, returns ``((value, aux), gradient)``.
    """
    _arguments.function("grad", f)
    try:
        chosen = [_arguments.index(i) for i in (argnums if isinstance(argnums, tuple) else (argnums,))]
    except TypeError:
        raise TypeError(f"grad: argnums must be an int or a tuple of ints, got {argnums!r}") from None
    _arguments.distinct("grad", chosen)

    @functools.wraps(f)
    def value_and_gradient(*args, **kwargs):
        for i in chosen:
            if not 0 <= i < len(args):
                raise ValueError(f"grad: argnums={argnums} with {len(args)} positional arguments")

        def of_chosen(*values):
            full = list(args)
            for i, value in zip(chosen, values):
                full[i] = value
            return f(*full, **kwargs)

        y, trace, inputs, structure, (outputs, _) = _record(of_chosen, tuple(args[i] for i in chosen), has_aux)
        seed = _scalar_seed(outputs)
        grads = structure.unflatten(_pull(trace, inputs, outputs, [seed], release=True))
        return y, grads if isinstance(argnums, tuple) else grads[0]

    return value_and_gradient


def _scalar_seed(outputs):
    if len(outputs) != 1 or not hasattr(outputs[0], "dtype"):
        raise TypeError(
            f"grad: the function must return one real scalar array, got {len(outputs)} leaves"
            if len(outputs) != 1
            else f"grad: the function must return one real scalar array, got {type(outputs[0]).__name__}"
        )
    y = raw(outputs[0])
    if y.shape != () or is_complex(y) or not is_inexact(y):
        raise TypeError(
            f"grad: the function must return one real scalar array, got shape {tuple(y.shape)} and dtype {y.dtype}; "
            "reduce it with xp.sum or xp.mean, or use arrmb.vjp or arrmb.jacobian"
        )
    return namespace(y).ones_like(y)


def grad(f, argnums=0, has_aux=False):
    """A function that returns the gradient of ``f``.

    Parameters
    ----------
    f : callable
        Function of pytrees of arrays that returns a real 0-d array (with ``has_aux``, a pair of it and anything).
    argnums : int or tuple of int
        The positional argument(s) with respect to which the gradient is taken.
    has_aux : bool
        Whether ``f`` returns ``(value, aux)``; then the result is ``(gradient, aux)``.

    Returns
    -------
    callable
        Takes what ``f`` takes. The gradient has the structure, shapes, dtypes and device of the argument; for complex
        arrays it is the direction of steepest ascent, ``df = Re<gradient, dx>``. Its leaves may share memory with each
        other: do not update them in place.

    Raises
    ------
    TypeError
        ``f`` is not a function, ``argnums`` is neither an int nor a tuple of ints, the result is not a real scalar, or
        a leaf is not a floating-point array.
    ValueError
        There is no argument of a number in ``argnums``, or one is named twice.
    """
    both = value_and_grad(f, argnums, has_aux)

    @functools.wraps(f)
    def gradient(*args, **kwargs):
        y, grads = both(*args, **kwargs)
        return (grads, y[1]) if has_aux else grads

    return gradient


def jvp(f, args, tangents):
    """Value of ``f(*args)`` and its first-order change in the direction ``tangents`` (forward mode).

    Parameters
    ----------
    f : callable
    args, tangents : tuples of pytrees of arrays
        Of one structure, with equal shapes.

    Returns
    -------
    y, dy : pytrees

    Raises
    ------
    TypeError
        ``f`` is not a function, ``args`` or ``tangents`` is not a tuple, a leaf of ``args`` is not a floating-point
        array, one of ``tangents`` not an array, or complex where the argument is real, or backends are mixed.
    ValueError
        ``tangents`` does not have the structure or the shapes of ``args``.
    """
    _arguments.function("jvp", f)
    _arguments.pair("jvp", args, tangents)
    leaves, structure = _arguments.leaves(tuple(args), "argument")
    directions = _arguments.matching(tuple(tangents), structure, leaves, "tangent", "the arguments")
    trace = Forward()
    inputs = [Traced(x, trace, broadcast_like(dx, x)) for x, dx in zip(leaves, directions)]
    outputs, out_structure = tree.flatten(_call(f, structure.unflatten(inputs)))
    nested = any_traced(leaves) or any_traced(directions)

    def tangent(y):
        if type(y) is Traced and y.trace is trace:
            return below(trace, y.link, nested)
        return below(trace, namespace(y).zeros_like(y), nested) if hasattr(y, "dtype") else 0.0

    return (
        out_structure.unflatten([below(trace, y, nested) for y in outputs]),
        out_structure.unflatten([tangent(y) for y in outputs]),
    )


def hvp(f, args, tangents):
    """Product of the Hessian of the scalar function ``f`` with ``tangents`` (forward over reverse mode).

    Parameters
    ----------
    f : callable
        Function of pytrees of arrays that returns a real 0-d array.
    args, tangents : tuples of pytrees of arrays

    Returns
    -------
    tuple of pytrees
        The first-order change of the gradient, one entry per argument.

    Raises
    ------
    TypeError, ValueError
        As `jvp` and `grad`.
    """
    _arguments.function("hvp", f)
    _arguments.pair("hvp", args, tangents)
    return jvp(grad(f, argnums=tuple(range(len(args)))), args, tangents)[1]


def jacobian(f):
    """A function that returns the Jacobian of ``f`` with respect to its first argument.

    ``f`` maps a pytree of real arrays to a pytree of real arrays. The result has the structure of the output, with the
    structure of the argument in place of each leaf, and in it arrays of shape ``y.shape + x.shape``. It is built by
    rows (reverse mode) or by columns (forward mode), whichever are fewer.

    Raises
    ------
    TypeError
        ``f`` is not a function; a leaf of the argument or of the result is not a floating-point array, or is complex.
    """
    _arguments.function("jacobian", f)

    @functools.wraps(f)
    def jacobian_of_f(x, *args, **kwargs):
        inputs, structure = _arguments.leaves(x, "argument")
        y, pullback = vjp(lambda v: f(v, *args, **kwargs), x)
        outputs, out_structure = tree.flatten(y)
        _arguments.inexact_result("jacobian", outputs)
        if any(is_complex(v) for v in (*inputs, *outputs)):
            raise TypeError("jacobian: real arrays only; for complex ones use arrmb.jvp or arrmb.vjp")
        if sum(math.prod(v.shape) for v in outputs) <= sum(math.prod(v.shape) for v in inputs):
            rows = [tree.flatten(pullback(unit)[0])[0] for unit in _units(outputs, out_structure)]
            table = _split(outputs, rows, inputs, axis=0)  # table[output][input]
        else:
            columns = [
                tree.flatten(jvp(lambda v: f(v, *args, **kwargs), (x,), (unit,))[1])[0]
                for unit in _units(inputs, structure)
            ]
            table = [list(row) for row in zip(*_split(inputs, columns, outputs, axis=-1))]
        blocks = [
            structure.unflatten([namespace(j).reshape(j, (*v.shape, *u.shape)) for j, u in zip(row, inputs)])
            for v, row in zip(outputs, table)
        ]
        return out_structure.unflatten(blocks)

    return jacobian_of_f


def hessian(f):
    """A function that returns the Hessian of the scalar function ``f`` with respect to its first argument.

    ``f`` maps a pytree of real arrays to a real 0-d array. The result has the structure of the argument twice: that of
    the gradient, with the structure of the argument in place of each leaf, and in it arrays of shape ``u.shape +
    v.shape``, the second derivatives with respect to the leaves u and v. The gradient is recorded once and pulled back
    once per entry; where a product with vectors is enough, `hvp` costs one.

    Raises
    ------
    TypeError
        ``f`` is not a function, or does not return a real scalar; a leaf of the argument is not a floating-point array,
        or is complex.
    """
    _arguments.function("hessian", f)
    return jacobian(grad(f))


def _units(leaves, structure):
    """Trees that are one at one entry and zero elsewhere, entry by entry."""
    zeros = [_raw_zeros(v) for v in leaves]
    for i, v in enumerate(leaves):
        xp, n = raw_namespace(namespace(v)), math.prod(v.shape)
        basis = xp.eye(n, dtype=v.dtype, device=device(v))
        for k in range(n):
            yield structure.unflatten([*zeros[:i], xp.reshape(basis[k, :], v.shape), *zeros[i + 1 :]])


def _raw_zeros(v):
    return raw_namespace(namespace(v)).zeros(v.shape, dtype=v.dtype, device=device(v))


def _split(leaves, vectors, others, axis):
    """The results for `_units(leaves)` stacked along ``axis``: per leaf, a list of one array per leaf of ``others``."""
    parts, start = [], 0
    for v in leaves:
        n = math.prod(v.shape)
        rows = vectors[start : start + n]
        start += n
        if rows:
            parts.append([namespace(*column).stack(list(column), axis=axis) for column in zip(*rows)])
        else:
            parts.append([namespace(u).zeros((0,), dtype=u.dtype, device=device(u)) for u in others])
    return parts


def _call(f, args):
    try:
        return f(*args)
    except TypeError as error:
        if "'Traced' does not support ufuncs" not in str(error):
            raise
        raise TypeError(
            "a function of numpy met a traced array: take it from the arrays' namespace, xp = arrmb.namespace(x), "
            "then xp.exp(x), xp.matmul(x, y)"
        ) from error
