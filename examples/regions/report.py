"""The table of accuracies, and a picture of how the networks learned."""

import sys

import numpy as np

COLOURS = ("#0072b2", "#e69f00", "#009e73")


def print_table(found, first_seed):
    print(f"\n{'accuracy of regions':22}{'fixed features':>18}{'trained':>18}    by seed: fixed, trained")
    for pooling, rows in found.items():
        cells = [f"{np.mean(v):.3f} ± {np.std(v):.3f}" if len(v) > 1 else f"{v[0]:.3f}" for v in rows.values()]
        seeds = "   ".join(
            f"{first_seed + i}: {rows['fixed'][min(i, len(rows['fixed']) - 1)]:.3f}, {trained:.3f}"
            for i, trained in enumerate(rows["trained"])
        )
        print(f"{pooling + ' pooling':22}" + "".join(f"{cell:>18}" for cell in cells) + f"    {seeds}")


def peak_memory():
    """The most memory that this process has had, in MiB; None where the system does not say."""
    try:
        import resource
    except ImportError:  # not on Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10))


def draw(path, found, curves):
    """Training loss and validation accuracy by epoch, mean and deviation over the seeds; dashed: fixed features."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    for (pooling, runs), colour in zip(curves.items(), COLOURS):
        for axis, key in zip(axes, ("loss", "accuracy")):
            epochs, values = runs[0]["epoch"], np.asarray([run[key] for run in runs])
            mean, deviation = values.mean(axis=0), values.std(axis=0)
            axis.plot(epochs, mean, color=colour, label=f"{pooling} pooling")
            axis.fill_between(epochs, mean - deviation, mean + deviation, color=colour, alpha=0.2, linewidth=0)
        axes[1].axhline(np.mean(found[pooling]["fixed"]), color=colour, linestyle="--", linewidth=1)
    axes[0].set(xlabel="epoch", ylabel="training loss", yscale="log")
    axes[1].set(xlabel="epoch", ylabel="accuracy of regions, validation")
    axes[1].plot([], [], color="grey", linestyle="--", linewidth=1, label="fixed features")
    for axis in axes:
        axis.grid(alpha=0.3)
        axis.legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100)
    plt.close(figure)
