"""The guard: arrmb's speed relative to a peer, measured in the same run, must not fall far below the recorded one.

Ratios, never absolute times: PyTorch's time divided by arrmb's, on one thread, in processor time, which counts little
of what else the machine does. ``recorded.json`` has them by machine; a machine that is not in it is held to the lowest
recorded ratio of all machines.
"""

import argparse
import json
import pathlib

import layers
import layers_report
from layers_workers import Missing, Worker

RECORDED = pathlib.Path(__file__).parent / "recorded.json"
SLACK = 0.25
MODE = "forward + backward"
CELLS = (
    ("pooling, log", (64, 49, 32), "float32"),
    ("pooling, log", (16, 196, 128), "float32"),
    ("pooling, power ½", (16, 196, 64), "float32"),
    ("pooling, Newton–Schulz", (16, 196, 64), "float32"),
    ("training step", (16, 196, 64), "float32"),
    ("normalized cuts", (16, 196, 64), "float32"),
    ("eigh", (64, 49, 32), "float32"),
    ("logmh", (64, 49, 32), "float64"),
    ("sqrtmh", (64, 49, 32), "float64"),
    ("invsqrtmh", (64, 49, 32), "float64"),
    ("svd", (16, 196, 64), "float32"),
    ("projector", (16, 196, 64), "float32"),
    ("cholesky", (16, 196, 64), "float32"),
)
ENGINE = "engine"


def name_of(case, size, dtype):
    return f"{case}, {layers.label(size)}, {dtype}"


def measure(names, cells=CELLS, rounds=15, engine_rounds=30):
    """The ratios of those cells that are named."""
    found = {}
    if any(name_of(*cell) in names for cell in cells):
        workers, reasons = layers.start(("arrmb", "torch"), "numpy", "cpu", 1)
        if reasons:
            raise Missing("; ".join(reasons.values()))
        options = argparse.Namespace(rounds=rounds, seconds=2.0, clock="cpu")
        try:
            for cell in cells:
                if name_of(*cell) in names:
                    ready, _ = layers.prepare(workers, *cell)
                    rows, _ = layers.measure(ready, MODE, options)
                    seconds = {row["library"]: row["seconds"] for row in rows}
                    found[name_of(*cell)] = seconds["torch"] / seconds["arrmb"]
        finally:
            for worker in workers.values():
                worker.close()
    if ENGINE in names:
        worker = Worker("arrmb", "numpy", "cpu", 1)
        try:
            found[ENGINE] = worker.engine(engine_rounds)
        finally:
            worker.close()
    return found


def expected(recorded, machine):
    """The ratios to hold: this machine's, or the lowest of all."""
    if machine in recorded:
        return recorded[machine]
    names = dict.fromkeys(name for ratios in recorded.values() for name in ratios)
    return {name: min(ratios[name] for ratios in recorded.values() if name in ratios) for name in names}


def fallen(found, held):
    return [name for name, ratio in found.items() if name in held and not ratio >= (1.0 - SLACK) * held[name]]


def guard(options, measure=measure, path=RECORDED):
    """Exit status: 0, or 1 where a ratio has fallen by more than a quarter, twice."""
    every = [*(name_of(*cell) for cell in CELLS), ENGINE]
    machine = options.machine or layers_report.machine(options)["processor"]
    recorded = json.loads(path.read_text()) if path.exists() else {}
    try:
        found = measure(every)
        if options.record:
            again = measure(every)  # the lower of two: what a machine reaches on a bad day
            recorded[machine] = {name: round(min(found[name], again[name]), 3) for name in every}
            path.write_text(json.dumps(recorded, indent=1, ensure_ascii=False) + "\n")
            print(f"recorded {len(every)} ratios for {machine} in {path.name}")
            return 0
        held = expected(recorded, machine)
        below = fallen(found, held)
        if below:
            print(f"again: {', '.join(below)}")
            found |= {name: max(ratio, found[name]) for name, ratio in measure(below).items()}
            below = fallen(found, held)
    except Missing as reason:
        print(f"nothing to compare with: {reason}")
        return 1
    where = machine if machine in recorded else f"{machine}, which has no record: held to the lowest of all machines"
    print(f"PyTorch's time divided by arrmb's, one thread, {MODE}; {where}")
    print(f"{'':44}{'now':>8}{'recorded':>10}")
    for name, ratio in found.items():
        mark = f"   fallen by more than {SLACK:.0%}" if name in below else ""
        print(f"{name:44}{ratio:8.2f}{f'{held[name]:.2f}' if name in held else 'none':>10}{mark}")
    if not held:
        print(f"{path.name} has no ratios: record some with --quick --record")
        return 1
    if below:
        print(f"arrmb has become slower: {', '.join(below)}. If that is meant, record the new ratios with --record.")
    return int(bool(below))
