"""Table of the plug-ins: what each framework's own checks of derivatives say, over every public function.

    python benchmarks/plugin_checks.py torch [table.md]

FRAMEWORKS lists the functions that return the columns of a framework: torch, chainer, jax. Rows are functions, columns
the checks. "yes" says that the framework's own check passed, as it did where there is a number. Numbers are relative
errors: of the gradient against central differences of fourth order, of the second derivative against such differences
of the gradient, of the change in forward mode and of a batch under vmap against the same in a plain loop.
"""

import pathlib
import sys
import warnings

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "tests"))
from cases import CASES

import arrmb


def torch():
    """The columns of PyTorch: functions of a case, each of which raises, or returns an error or None."""
    import torch
    from torch.autograd import gradcheck, gradgradcheck

    import arrmb.plugins.torch as plugin

    def arguments(case, seed=0):
        found = [torch.tensor(np.asarray(a)) for a in case.make(np.random.default_rng(seed))]
        return [x.requires_grad_(x.is_floating_point()) for x in found]

    def outputs(case):
        return lambda *args: tuple(arrmb.tree.flatten(case.call(plugin, *args))[0])

    def real(y):
        return torch.view_as_real(y) if y.is_complex() else y

    def loss(case):
        def f(*args):
            ys = [real(y) for y in outputs(case)(*args)]
            return sum((torch.linspace(0.5, 1.5, y.numel(), dtype=y.dtype) * (y + y * y).flatten()).sum() for y in ys)

        return f

    def gradients(f, args, graph=False):
        inputs = [x for x in args if x.requires_grad]
        return torch.autograd.grad(f(*args), inputs, create_graph=graph)

    def directions(args):
        rng = np.random.default_rng(1)
        return [torch.tensor(rng.standard_normal(x.shape)) if x.requires_grad else None for x in args]

    def moved(args, step, t):
        return [x if d is None else (x.detach() + t * d).requires_grad_() for x, d in zip(args, step)]  # constants stay

    def slope(f, args, step, h=3e-4):
        """The change of f in a direction, by differences: (8 (f(h) - f(-h)) - (f(2h) - f(-2h))) / 12 h."""
        one, two = ([f(*moved(args, step, s * t)) for s in (1, -1)] for t in (h, 2 * h))
        return (8 * (one[0] - one[1]) - (two[0] - two[1])) / (12 * h)

    def worst(pairs):
        return max(float((a - b).abs().max() / (1e-300 + b.abs().max().clamp(min=1.0))) for a, b in pairs)

    def first(case):
        args = arguments(case)
        gradcheck(outputs(case), args)
        step = directions(args)
        found = sum((g * d).sum() for g, d in zip(gradients(loss(case), args), filter(lambda d: d is not None, step)))
        return worst([(found, slope(loss(case), args, step).detach())])

    def second(case):
        if case.order < 2:
            return None
        args = arguments(case)
        gradgradcheck(outputs(case), args, fast_mode=True)
        step, other = directions(args), [d for d in directions(args)[::-1] if d is not None][::-1]

        def along(*args):
            return sum((g * d).sum() for g, d in zip(gradients(loss(case), args, graph=True), other))

        found = sum((g * d).sum() for g, d in zip(gradients(along, args), filter(lambda d: d is not None, step)))
        return worst([(found, slope(along, args, step).detach())])

    def forward(case):
        args = arguments(case)
        gradcheck(outputs(case), args, check_forward_ad=True, check_backward_ad=False, check_undefined_grad=False)
        step = [torch.zeros_like(x) if d is None else d for x, d in zip(args, directions(args))]
        chosen = [i for i, x in enumerate(args) if x.requires_grad]

        def f(*values):
            full = [x.detach() for x in args]
            for i, v in zip(chosen, values):
                full[i] = v
            return loss(case)(*full)

        found = torch.func.jvp(f, tuple(args[i].detach() for i in chosen), tuple(step[i] for i in chosen))[1]
        return worst([(found, sum((g * step[i]).sum() for g, i in zip(gradients(loss(case), args), chosen)))])

    def vmap(case):
        each = [arguments(case, seed) for seed in range(3)]
        stacked = [torch.stack(parts).detach() for parts in zip(*each)]
        chosen = tuple(i for i, x in enumerate(each[0]) if x.requires_grad)
        found = torch.func.vmap(torch.func.grad(loss(case), chosen))(*stacked)
        return worst((g[k], e) for k in range(3) for g, e in zip(found, gradients(loss(case), each[k])))

    return {"gradcheck": first, "gradgradcheck": second, "forward mode": forward, "vmap of grad": vmap}


def chainer():
    """The columns of Chainer: its checkers pass or raise."""
    from arrmb.plugins import chainer_compat

    chainer_compat.install()
    from chainer import gradient_check

    import arrmb.plugins.chainer as plugin

    def problem(case):
        rng = np.random.default_rng(0)
        args = case.make(rng)
        floats = [i for i, a in enumerate(args) if np.asarray(a).dtype.kind == "f"]

        def f(*values):
            full = list(args)
            for i, v in zip(floats, values):
                full[i] = v
            return tuple(arrmb.tree.flatten(plugin.function(lambda *full: real(case.call(arrmb, *full)))(*full))[0])

        x = tuple(args[i] for i in floats)
        return f, x, tuple(rng.standard_normal(y.shape) for y in f(*x)), rng

    def real(y):
        """Chainer has no complex Variables in its graph: real and imaginary parts of what is complex."""
        parts = []
        for v in arrmb.tree.flatten(y)[0]:
            xp = arrmb.namespace(v)
            parts += [xp.real(v), xp.imag(v)] if arrmb._xp.is_complex(v) else [v]
        return parts

    def first(case):
        np.random.seed(0)  # of the checker's directions
        f, x, bars, _ = problem(case)
        gradient_check.check_backward(f, x, bars, eps=1e-4, atol=1e-6, rtol=1e-6)
        return "yes"

    def second(case):
        np.random.seed(0)
        f, x, bars, rng = problem(case)
        steps = tuple(rng.standard_normal(v.shape) for v in x)
        gradient_check.check_double_backward(f, x, bars, steps, eps=1e-4, atol=1e-6, rtol=1e-6)
        return "yes"

    return {"check_backward": first, "check_double_backward": second}


def jax():
    """The columns of JAX: its checker passes or raises, in both modes."""
    import jax
    from jax.test_util import check_grads

    import arrmb.plugins.jax as plugin

    jax.config.update("jax_enable_x64", True)
    jax.config.update("jax_disable_most_optimizations", True)  # they take longer than they save

    def checked(case, order, tolerance):
        args = case.make(np.random.default_rng(0))
        floats = [i for i, a in enumerate(args) if np.asarray(a).dtype.kind == "f"]

        def f(*values):
            full = list(args)
            for i, v in zip(floats, values):
                full[i] = v
            ys = arrmb.tree.flatten(case.call(plugin, *full))[0]
            parts = [part for y in ys for part in ((y.real, y.imag) if jax.numpy.iscomplexobj(y) else (y,))]
            weights = np.random.default_rng(1)
            return sum(jax.numpy.vdot(weights.standard_normal(y.shape), y + y * y) for y in parts)

        x = [jax.numpy.asarray(args[i]) for i in floats]
        check_grads(jax.jit(f), x, order=order, modes=("fwd", "rev"), atol=tolerance, rtol=tolerance)
        return "yes"

    def second(case):
        if case is CASES["linalg.logm"]:
            return "not run: it takes minutes to compile"
        return checked(case, 2, 1e-4)

    return {"check_grads, order 1": lambda case: checked(case, 1, 1e-5), "order 2": second}


FRAMEWORKS = {"torch": torch, "chainer": chainer, "jax": jax}


def cell(check, case):
    try:
        error = check(case)
    except Exception as problem:  # it is what the table is there to show
        return f"**{type(problem).__name__}**"
    return error if isinstance(error, str) else "–" if error is None else f"{error:.0e}"


def table(framework):
    checks = FRAMEWORKS[framework]()
    yield f"| | {' | '.join(checks)} |"
    yield "|---" * (1 + len(checks)) + "|"
    for name, case in CASES.items():
        yield f"| `{name}` | {' | '.join(cell(check, case) for check in checks.values())} |"


if __name__ == "__main__":
    warnings.simplefilter("ignore")  # of the frameworks about themselves
    lines = list(table(sys.argv[1]))
    if len(sys.argv) > 2:
        pathlib.Path(sys.argv[2]).write_text("\n".join(lines) + "\n")
    print("\n".join(lines))
