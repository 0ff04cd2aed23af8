"""Second derivatives in every mixture of the two modes, of every differentiable function: they agree to 1e-9.

That each is right, not only alike, `check_op` and `check_grads` test beside the functions, against differences.
"""

import cases
import numpy as np
import pytest
from namespace_cases import CASES as NAMESPACE
from namespace_cases import points

import arrmb
from arrmb import tree
from arrmb._lapack import to_host
from arrmb._xp import conj, device, is_complex, is_inexact, raw, raw_namespace
from arrmb.tape import functions
from arrmb.tape.functions import special

TOLERANCE = 1e-9

# name -> (function of the inexact ones of the arguments, arguments made for a backend)
FUNCTIONS = {}


def add(name, call, make):
    FUNCTIONS[name] = call, make


for _name, _calls in NAMESPACE.items():
    for _i, _call in enumerate(_calls):
        add(f"{_name}-{_i}", lambda x, y, call=_call: call(arrmb.namespace(x), x, y), points)

for _name, _case in cases.CASES.items():
    add(
        _name,
        lambda *arrays, case=_case: case.call(arrmb, *arrays),
        lambda backend, case=_case: [backend.put(a, "float64") for a in case.make(np.random.default_rng(5))],
    )

for _name in arrmb.fft.__all__:
    _complex = _name in ("fft", "ifft", "fftn", "ifftn", "irfft", "irfftn", "hfft")

    def _array(backend, complex=_complex):
        x = np.random.default_rng(5).standard_normal((2, 3, 4))
        return (backend.put(x[0] + 1j * x[1] if complex else x[0], "float64"),)

    # a linear function has no second derivative: of its values' fourth powers
    add(f"fft.{_name}", lambda x, name=_name: squares(squares(getattr(arrmb.fft, name)(x))), _array)

WITH_PARAMETERS = {
    "polygamma": (1,),
    "gammainc": (1.7,),
    "gammaincc": (1.7,),
    "betainc": (1.7, 2.6),
    "fdtrc": (3.0, 4.0),
    "stdtr": (3.4,),
    "stdtrit": (3.4,),
}
for _name in special.__all__:
    add(
        f"special.{_name}",
        lambda x, y, name=_name: getattr(arrmb.namespace(x).special, name)(*WITH_PARAMETERS.get(name, ()), x),
        points,
    )


def squares(x):
    return arrmb.namespace(x).real(x * conj(x)) if is_complex(x) else x * x


def weighted_sum(out, weights):
    """Re Σ <c, y> over the outputs, with an array c of weights per output."""
    total = 0.0
    for y, c in zip(tree.flatten(out)[0], weights):
        xp = arrmb.namespace(y)
        product = conj(xp.asarray(c)) * y
        total = total + xp.sum(xp.real(product) if is_complex(product) else product)
    return total


def random_like(arrays, seed):
    rng, found = np.random.default_rng(seed), []
    for x in arrays:
        x = raw(x)
        v = rng.standard_normal(x.shape)
        v = v + 1j * rng.standard_normal(x.shape) if is_complex(x) else v
        found.append(raw_namespace(arrmb.namespace(x)).asarray(v, dtype=x.dtype, device=device(x)))
    return found


def inner(a, b):
    return weighted_sum(b, a)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_modes_agree(backend, name):
    call, make = FUNCTIONS[name]
    arguments = list(make(backend))
    places = [i for i, a in enumerate(arguments) if is_inexact(a)]
    x = tuple(arguments[i] for i in places)

    def f(*leaves):
        full = list(arguments)
        for i, v in zip(places, leaves):
            full[i] = v
        return call(*full)

    weights = random_like([y for y in tree.flatten(arrmb.vjp(f, *x)[0])[0] if is_inexact(y)], 1)
    d, e = random_like(x, 2), random_like(x, 3)
    everything = tuple(range(len(x)))

    def phi(*x):
        return weighted_sum([y for y in tree.flatten(f(*x))[0] if is_inexact(y)], weights)

    gradient = arrmb.grad(phi, argnums=everything)

    def slope(*x):
        return arrmb.jvp(phi, x, tuple(d))[1]

    products = {
        "reverse over reverse": arrmb.grad(lambda *x: inner(d, gradient(*x)), argnums=everything)(*x),
        "forward over reverse": arrmb.jvp(gradient, x, tuple(d))[1],
        "reverse over forward": arrmb.grad(slope, argnums=everything)(*x),
    }
    curvatures = {mode: float(to_host(inner(e, product))) for mode, product in products.items()}
    curvatures["forward over forward"] = float(to_host(arrmb.jvp(slope, x, tuple(e))[1]))

    reference = [to_host(p) for p in products["reverse over reverse"]]
    norm = np.sqrt(sum(np.sum(np.abs(p) ** 2) for p in reference))
    for mode, product in products.items():
        difference = np.sqrt(sum(np.sum(np.abs(to_host(p) - q) ** 2) for p, q in zip(product, reference)))
        assert difference <= TOLERANCE * max(norm, 1.0), f"{mode}: {difference / max(norm, 1.0):.1e}"
    size = max(norm, 1.0) * np.sqrt(sum(float(to_host(inner([v], [v]))) for v in e))
    for mode, curvature in curvatures.items():
        difference = abs(curvature - curvatures["reverse over reverse"])
        assert difference <= TOLERANCE * size, f"{mode}: {difference / size:.1e}"


def test_every_function_is_there():
    assert cases.missing() == set()
    assert {name.partition("-")[0] for name in FUNCTIONS if "-" in name} >= set(functions.BY_NAME)


def test_a_wrong_mixture_would_be_found(backend, monkeypatch):
    """The comparison itself: a rule whose derivative is cut (its saved values taken off the trace) fails it."""
    from arrmb.ops import elementwise

    sin = elementwise.sin
    monkeypatch.setattr(sin, "adjoint", lambda saved, ybar: ybar * arrmb.namespace(raw(saved[0])).cos(raw(saved[0])))
    with pytest.raises(AssertionError, match="over"):
        test_modes_agree(backend, "sin-0")
