"""Square roots by matrix products: accuracy against the condition number, and time relative to eigh.

Accuracy: matrices 16 × 16 with random eigenvectors and eigenvalues spaced evenly in logarithm from 1 down to 1/κ, in
double and in single precision; the truth is the root, and the gradient of <G, root> for a random G, of the same
rounded matrix in 40 digits. Medians over three matrices of relative errors in the Frobenius norm. Runs on PyTorch.

Time: the median of one pass, forward and backward, the methods taking turns, one thread.

``python benchmarks/square_roots.py`` prints the tables; ``--write`` puts them into ``docs/square_roots.md`` and draws
``docs/square_roots.png``.
"""

import argparse
import os
import pathlib
import re
import statistics
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("MKL_NUM_THREADS", "1")

import mpmath
import numpy as np
import torch

import arrmb
from arrmb.linalg import invsqrtmh, roots, sqrtmh
from arrmb.ops.newton_schulz import newton_schulz
from arrmb.ops.pade_sqrt import pade_root
from arrmb.ops.sign_iteration import sign_root

N = 16
CONDITIONS = [10.0**k for k in range(1, 7)]
ITERATIONS = {"newton-schulz": (5, 10, 20, 30), "sign": (5, 10, 18), "pade": (1, 3, 5, 7)}
OPS = {"newton-schulz": newton_schulz, "sign": sign_root, "pade": pade_root}
FUNCTIONS = {"root": sqrtmh, "inverse": invsqrtmh}
DOCS = pathlib.Path(__file__).parents[1] / "docs"


def contestants():
    """(name, which) -> function of a matrix; ``which`` is the root or the inverse root."""
    found = {}
    for i, which in enumerate(("root", "inverse")):
        found["eigh", which] = FUNCTIONS[which]
        for method, counts in ITERATIONS.items():
            for k in counts:  # the ops: they return what they have, converged or not
                found[f"{method}, {k}", which] = lambda x, op=OPS[method], k=k, i=i: op(x, iterations=k)[i]
    return found


def matrix(condition, seed):
    rng = np.random.default_rng(seed)
    q = np.linalg.qr(rng.standard_normal((N, N)))[0]
    x = (q * np.geomspace(1.0, 1.0 / condition, N)) @ q.T
    g = rng.standard_normal((N, N))
    return 0.5 * (x + x.T), 0.5 * (g + g.T)


def truth(x, g):
    """Value and gradient of <G, root> for root and inverse root, in 40 digits."""
    with mpmath.workdps(40):
        w, v = mpmath.eigsy(mpmath.matrix(x.tolist()))
        v = np.asarray(v.tolist(), dtype=object)
        r = np.asarray([mpmath.sqrt(u) for u in w], dtype=object)
        core = (v.T @ g.astype(object) @ v) / (r[:, None] + r)
        found = {
            "root": ((v * r) @ v.T, v @ core @ v.T),
            "inverse": ((v / r) @ v.T, v @ (-core / (r[:, None] * r)) @ v.T),
        }
        return {k: [y.astype(float) for y in pair] for k, pair in found.items()}


def accuracy(seeds=(0, 1, 2)):
    """(dtype, name, which, condition) -> relative errors of value and gradient."""
    errors = {}
    functions = contestants()
    for dtype in ("float64", "float32"):
        for condition in CONDITIONS:
            for seed in seeds:
                x, g = (v.astype(dtype) for v in matrix(condition, seed))
                exact = truth(x.astype(float), g.astype(float))
                for (name, which), f in functions.items():
                    y, pullback = arrmb.vjp(f, torch.asarray(x))
                    pair = [v.numpy().astype(float) for v in (y, pullback(torch.asarray(g))[0])]
                    found = [np.linalg.norm(a - b) / np.linalg.norm(b) for a, b in zip(pair, exact[which])]
                    errors.setdefault((dtype, name, which, condition), []).append(found)
    return {k: np.median(v, axis=0) for k, v in errors.items()}


def timing(shapes=((256, 16), (64, 64), (8, 256)), rounds=7):
    """(shape, backend, name) -> median milliseconds of a root, forward and backward."""
    torch.set_num_threads(1)
    functions = {name: f for (name, which), f in contestants().items() if which == "root"}
    found = {}
    for batch, n in shapes:
        rng = np.random.default_rng(0)
        f = rng.standard_normal((batch, 4 * n, n)).astype("float32")
        x = np.swapaxes(f, -1, -2) @ f / (4 * n)
        for backend, put in (("torch", torch.asarray), ("numpy", np.asarray)):
            xs = put(x)
            times = {name: [] for name in functions}
            for _ in range(rounds):
                for name, function in functions.items():
                    start = time.perf_counter()
                    y, pullback = arrmb.vjp(function, xs)
                    pullback(y)
                    times[name].append(1e3 * (time.perf_counter() - start))
            found[f"{batch} × {n} × {n}", backend] = {k: statistics.median(t) for k, t in times.items()}
    return found


def accuracy_tables(errors):
    names = list(dict.fromkeys(name for _, name, _, _ in errors))
    lines = []
    for dtype in ("float64", "float32"):
        for which in ("root", "inverse"):
            lines += [
                f"**{'Square root' if which == 'root' else 'Inverse square root'}, {dtype}**: value / gradient",
                "",
            ]
            lines += ["| κ | " + " | ".join(f"1e{round(np.log10(c))}" for c in CONDITIONS) + " |"]
            lines += ["|---" * (len(CONDITIONS) + 1) + "|"]
            for name in names:
                cells = [" / ".join(f"{e:.0e}" for e in errors[dtype, name, which, c]) for c in CONDITIONS]
                lines.append(f"| {name} | " + " | ".join(cells) + " |")
            lines.append("")
    return lines


def timing_table(times):
    names = list(next(iter(times.values())))
    heads = [f"{shape}, {backend}" for shape, backend in times]
    lines = ["| | " + " | ".join(heads) + " |", "|---" * (len(heads) + 1) + "|"]
    for name in names:
        cells = [f"{t[name]:.1f} ms ({t[name] / t['eigh']:.2f})" for t in times.values()]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return [*lines, ""]


def plot(errors, path):
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    styles = {"eigh": ("black", "-", "o")}
    colours = {"newton-schulz": "tab:blue", "sign": "tab:orange", "pade": "tab:green"}
    for method, counts in ITERATIONS.items():
        for k, line, marker in zip(reversed(counts), ("-", "--", ":", "-."), ("o", "s", "^", "v")):
            styles[f"{method}, {k}"] = (colours[method], line, marker)
    figure, axes = plt.subplots(2, 4, figsize=(15, 7.5), sharex=True, sharey="row", constrained_layout=True)
    for row, dtype in zip(axes, ("float64", "float32")):
        columns = [(which, part) for which in ("root", "inverse") for part in (0, 1)]
        for axis, (which, part) in zip(row, columns):
            for name, (colour, line, marker) in styles.items():
                y = [max(errors[dtype, name, which, c][part], 1e-17) for c in CONDITIONS]
                axis.loglog(CONDITIONS, y, line, color=colour, marker=marker, markersize=3.5, lw=1.4, label=name)
            what = "square root" if which == "root" else "inverse square root"
            axis.set_title(f"{what}, {'gradient' if part else 'value'}, {dtype}", fontsize=10)
            axis.grid(alpha=0.3)
            axis.set_ylim(1e-17 if dtype == "float64" else 1e-8, 3.0)
    for axis in axes[1]:
        axis.set_xlabel("condition number")
    for row in axes:
        row[0].set_ylabel("relative error")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=6, fontsize=9)
    figure.savefig(path, dpi=100)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help="put the tables into docs/square_roots.md, draw the plot")
    options = parser.parse_args()
    defaults = {method: steps for method, (_, steps) in roots._METHODS.items()}
    assert all(defaults[method] == counts[-1] for method, counts in ITERATIONS.items())
    errors, times = accuracy(), timing()
    tables = {"accuracy": accuracy_tables(errors), "time": timing_table(times)}
    for lines in tables.values():
        print("\n".join(lines))
    if options.write:
        page = DOCS / "square_roots.md"
        text = page.read_text()
        for name, lines in tables.items():
            pattern = re.compile(f"(<!-- {name} -->\n).*?(<!-- end -->)", re.S)
            text = pattern.sub(lambda m, lines=lines: m[1] + "\n" + "\n".join(lines) + "\n" + m[2], text)
        page.write_text(text)
        plot(errors, DOCS / "square_roots.png")


if __name__ == "__main__":
    main()
