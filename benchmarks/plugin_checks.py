"""Table of the plug-ins: what each framework's own checks of derivatives say, over every public function.

    python benchmarks/plugin_checks.py torch [table.md]

Rows are functions, columns the checks. The errors are relative: of the gradient against central differences of fourth
order, of the second derivative against such differences of the gradient, of the change in forward mode and of a batch
under vmap against the same in a plain loop. FRAMEWORKS lists the functions that return the columns of a framework.
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


FRAMEWORKS = {"torch": torch}  # the columns of another framework: a function like that above, and its name here


def cell(check, case):
    try:
        error = check(case)
    except Exception as problem:  # it is what the table is there to show
        return f"**{type(problem).__name__}**"
    return "–" if error is None else f"{error:.0e}"


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
