"""Cost of the engine: 40 elementwise operations on 4 numbers, forward and backward, the whole call.

On arrays this small the time is bookkeeping and little else. All libraries run interleaved in one process on one
thread; the table has medians. Run with ``python benchmarks/engine.py``; PyTorch and autograd take part where they are
installed.
"""

import argparse
import os
import statistics
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

import arrmb

STEPS = 10  # of four operations each
NODES = 4 * STEPS + 1  # and the sum


def chain(xp, x):
    """sin, multiply by a number, add to itself, tanh; ten times over, and summed."""
    for _ in range(STEPS):
        x = xp.sin(x)
        x = x * 1.5
        x = x + x
        x = xp.tanh(x)
    return xp.sum(x)


def contestants():
    """A function without arguments for each library that is installed, and its result for comparison."""
    numbers = [0.1, 0.2, 0.3, 0.4]
    x = np.asarray(numbers)
    found = {"numpy, forward only": lambda: chain(np, x)}
    gradient = arrmb.grad(lambda x: chain(arrmb.namespace(x), x))
    found["arrmb"] = lambda: gradient(x)
    found["arrmb, recording only"] = lambda: arrmb.vjp(lambda x: chain(arrmb.namespace(x), x), x)[0]
    try:
        import torch

        torch.set_num_threads(1)
        t = torch.tensor(numbers, dtype=torch.float64, requires_grad=True)
        found["torch"] = lambda: torch.autograd.grad(chain(torch, t), t)[0]
    except ImportError:
        pass
    try:
        import autograd
        import autograd.numpy

        autograd_gradient = autograd.grad(lambda x: chain(autograd.numpy, x))
        found["autograd"] = lambda: autograd_gradient(x)
    except ImportError:
        pass
    return found


def measure(functions, rounds, repeats):
    """Median time of one call in microseconds, per function, all taking turns."""
    times = {name: [] for name in functions}
    for _ in range(rounds):
        for name, f in functions.items():
            start = time.perf_counter()
            for _ in range(repeats):
                f()
            times[name].append((time.perf_counter() - start) / repeats * 1e6)
    return {name: statistics.median(t) for name, t in times.items()}


def run(rounds=60, repeats=20):
    functions = contestants()
    gradients = {name: np.asarray(f()) for name, f in functions.items() if not name.endswith("only")}
    for name, g in gradients.items():
        np.testing.assert_allclose(g, gradients["arrmb"], rtol=1e-12, err_msg=name)
    measure(functions, 5, repeats)
    return measure(functions, rounds, repeats)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--repeats", type=int, default=20)
    options = parser.parse_args()
    found = run(options.rounds, options.repeats)
    raw, torch = found["numpy, forward only"], found.get("torch")
    print(f"{4 * STEPS} elementwise operations on 4 numbers, forward + backward, one thread, medians")
    print(f"{'':24}{'µs a call':>10}{'µs a node above raw NumPy':>28}{'against torch':>15}")
    for name, t in found.items():
        above = "" if t is raw else f"{(t - raw) / NODES:.2f}"
        ratio = "" if torch is None or name.endswith("only") else f"{t / torch:.2f}"
        print(f"{name:24}{t:10.1f}{above:>28}{ratio:>15}")


if __name__ == "__main__":
    main()
