"""Time and memory of the structured layers and matrix functions, beside the peers and beside the floor.

    python benchmarks/layers.py --cases "pooling, log" --sizes 16x196x128 --dtypes float32     # seconds: while working
    python benchmarks/layers.py --write                       # everything: RESULTS.md, JSON, plot (as `make bench`)
    python benchmarks/layers.py --quick                       # fails if arrmb falls behind (`make bench-quick`)

Each library runs in a process of its own, with its number of threads; they take turns, in rounds, so that whatever
else the machine does meets all alike. A cell is the median over the rounds. Before anything is timed, values and
gradients are compared with arrmb's; a library that differs is left out, and named. The *floor* is the bare calls of
the backend that no implementation can avoid (`layers_floors.py`).

Memory is what one call needs at its peak beyond what is there before it: on a CPU, the rise of the process's resident
memory (Linux); on a GPU, that of the library's allocator.
"""

import argparse
import json
import pathlib
import sys

import numpy as np
from layers_cases import CASES, SIZES
from layers_workers import Missing, Worker, cores
from tqdm import tqdm

MODES = ("forward", "forward + backward")
DTYPES = ("float32", "float64")
NAMES = ("arrmb", "floor", "torch", "torch.compile", "jax", "autograd")
TOLERANCE = {"float32": 1e-2, "float64": 1e-6}  # relative, of gradients that peers divide by gaps for
UPDATE = 0.3  # the first update of AdamW is the sign of the gradient; rounding decides about some, and wrong is above 1
PATIENCE = 2.0  # seconds of one call of autograd; it does not take part beyond
TURN = 0.01  # seconds: short calls are repeated until a turn is that long


def start(names, backend, device, threads):
    """The workers, and for the others the reason."""
    workers, reasons = {}, {}
    for name in names:
        if name == "floor" and threads > 1:
            reasons[f"floor, {threads} threads"] = "its bare calls leave the threads to BLAS, in each other's way"
            continue
        try:
            workers[name] = Worker(name, backend, device, threads)
        except Missing as reason:
            reasons[name] = str(reason)
    return workers, reasons


def difference(found, expected):
    """Largest relative difference of two results in the Frobenius norm."""
    if [y.shape for y in found] != [y.shape for y in expected]:
        return float("inf")
    errors = [np.linalg.norm(a - b) / max(np.linalg.norm(b), 1e-30) for a, b in zip(found, expected)]
    return float(max(errors))


def prepare(workers, case, size, dtype):
    """The workers that can do the case and agree with arrmb, and reasons of the others."""
    ready, reasons, expected, wrong = {}, {}, None, []
    tolerance = UPDATE if case == "training step" else TOLERANCE[dtype]
    for name, worker in workers.items():
        try:
            found = worker.prepare(case, size, dtype)
        except Missing as reason:
            reasons[name] = str(reason)
            continue
        except RuntimeError as error:  # of a peer; arrmb's own ends the run
            if name in ("arrmb", "floor"):
                raise
            reasons[name] = str(error).strip().splitlines()[-1]
            continue
        if name == "arrmb":
            expected = found
        elif found is not None and expected is not None:
            error = difference(found, expected)
            if not error <= tolerance:
                wrong.append(name)
                reasons[name] = f"its values or gradients differ from arrmb's by {error:.1e}: not timed"
                continue
        ready[name] = worker
    if wrong and not set(ready) - {"arrmb", "floor"}:
        sys.exit(f"{case}, {label(size)}, {dtype}: {' and '.join(wrong)} and arrmb differ; nothing was timed")
    return ready, reasons


def measure(ready, mode, options, memory=False):
    """Rows of one cell, a dictionary per library, and reasons of what is left out."""
    repeats, taking_part, reasons, one_round = {}, {}, {}, 0.0
    for name, worker in ready.items():
        once = max(worker.first(mode), 1e-6)
        if name == "autograd" and once > PATIENCE:
            reasons[name] = f"more than {PATIENCE:g} s a call"
            continue
        repeats[name], taking_part[name] = max(1, min(100, round(TURN / once))), worker
        one_round += (repeats[name] + 1) * once
    rounds = max(3, min(options.rounds, round(options.seconds / max(one_round, 1e-6))))
    times = {name: [] for name in taking_part}
    for _ in range(rounds):
        for name, worker in taking_part.items():
            times[name].append(worker.turn(mode, repeats[name], options.clock))
    rows = []
    for name, worker in taking_part.items():
        low, middle, high = np.quantile(times[name], (0.25, 0.5, 0.75)).tolist()
        row = {"library": name, "seconds": middle, "low": low, "high": high, "rounds": rounds}
        if memory:
            try:
                row["bytes"] = worker.memory(mode)
            except Missing as reason:
                row["no memory"] = str(reason)
        rows.append(row)
    return rows, reasons


def label(size):
    return "×".join(map(str, size))


def run(options, progress=True):
    """All cells: rows with case, size, dtype, mode, threads, library, seconds; versions; reasons of what is absent."""
    cells = [(c, s, d) for c in options.cases for s in options.sizes for d in options.dtypes]
    rows, absent, versions = [], {}, {}
    with tqdm(total=len(cells) * len(options.threads), unit="cell", disable=not progress, smoothing=0.1) as bar:
        for threads in options.threads:
            workers, reasons = start(options.libraries, options.backend, options.device, threads)
            absent |= reasons
            versions |= {name: worker.version for name, worker in workers.items()}
            try:
                for case, size, dtype in cells:
                    bar.set_description(f"{case}, {label(size)}, {dtype}, {threads} thr.")
                    ready, reasons = prepare(workers, case, size, dtype)
                    absent |= {f"{name}, {case}, {label(size)}, {dtype}": why for name, why in reasons.items()}
                    for mode in options.modes:
                        found, reasons = measure(ready, mode, options, options.memory and threads == options.threads[0])
                        absent |= {f"{n}, {case}, {label(size)}, {dtype}, {mode}": w for n, w in reasons.items()}
                        key = {"case": case, "size": size, "dtype": dtype, "mode": mode, "threads": threads}
                        rows += [{**key, **row} for row in found]
                    if options.json:  # what is there so far, in case that something ends the run
                        options.json.parent.mkdir(parents=True, exist_ok=True)
                        options.json.write_text(json.dumps({"rows": rows, "versions": versions, "absent": absent}))
                    bar.update()
            finally:
                for worker in workers.values():
                    worker.close()
    return {"rows": rows, "versions": versions, "absent": absent}


def size(text):
    try:
        b, n, d = map(int, text.replace("×", "x").split("x"))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"a size is batch x locations x channels, such as 16x196x128, not {text!r}"
        ) from None
    return b, n, d


def thread_count(text):
    found = len(cores()) if text == "all" else int(text)
    if not 1 <= found <= len(cores()):
        raise argparse.ArgumentTypeError(f"from 1 to {len(cores())} threads, or all; not {text!r}")
    return found


def options_of(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    some = {"nargs": "+", "metavar": "X"}
    parser.add_argument("--cases", **some, choices=list(CASES), default=list(CASES), help=", ".join(CASES))
    parser.add_argument("--sizes", **some, type=size, default=list(SIZES), help="batch x locations x channels")
    parser.add_argument("--dtypes", **some, choices=DTYPES, default=list(DTYPES), help=", ".join(DTYPES))
    parser.add_argument("--modes", **some, choices=MODES, default=list(MODES), help=", ".join(MODES))
    parser.add_argument("--libraries", **some, choices=NAMES, default=list(NAMES), help=", ".join(NAMES))
    parser.add_argument("--threads", **some, type=thread_count, help="1, all, or a number; default: 1 and all")
    parser.add_argument("--rounds", type=int, default=9, help="at most so many rounds a cell, at least 3")
    parser.add_argument("--seconds", type=float, default=0.4, help="that all rounds of a cell should take")
    parser.add_argument("--clock", choices=["wall", "cpu"], default="wall", help="cpu: one thread, busy machine")
    parser.add_argument("--memory", action="store_true", help="measure the peak of memory too")
    parser.add_argument(
        "--backend",
        choices=["numpy", "torch", "cupy", "torch-cuda"],
        default="numpy",
        help="arrays of arrmb and the floor; with cupy and torch-cuda, the peers run on the GPU as well",
    )
    parser.add_argument("--growth", action="store_true", help="fit the growth with locations, channels and batch")
    parser.add_argument("--json", type=pathlib.Path, help="file for what was measured")
    parser.add_argument("--write", action="store_true", help="all of it, into results/, RESULTS.md and the plot")
    parser.add_argument("--machine", help="name of this machine in the results; default: its processor and cores")
    parser.add_argument("--quick", action="store_true", help="compare a few ratios with those of recorded.json")
    parser.add_argument("--record", action="store_true", help="with --quick: record them")
    options = parser.parse_args(arguments)
    options.device = "cuda" if options.backend in ("cupy", "torch-cuda") else "cpu"
    options.threads = options.threads or list(dict.fromkeys([1, len(cores())] if options.device == "cpu" else [1]))
    if options.clock == "cpu" and (options.device == "cuda" or options.threads != [1]):
        parser.error("--clock cpu is for --threads 1 on a CPU")
    return options


def main(arguments=None):
    options = options_of(arguments)
    import layers_report as report

    if options.quick:
        import layers_guard

        return layers_guard.guard(options)
    if options.growth:
        import layers_growth

        return print("\n".join(layers_growth.table(layers_growth.growth(options))))
    options.memory |= options.write
    found = run(options)
    if options.write:
        import layers_growth

        found["growth"] = layers_growth.growth(options)
    found["machine"] = report.machine(options)
    for name, reason in found["absent"].items():
        if name in NAMES:
            print(f"without {name}: {reason}")
    if not found["rows"]:
        sys.exit("nothing was measured")
    print("\n".join(report.details(found, options.modes)))
    if options.json:
        options.json.write_text(json.dumps(found, indent=1))
    if options.write:
        report.write(found)


if __name__ == "__main__":
    sys.exit(main())
