"""Name the regions of photographs: mean, second-order and log second-order pooling of learned features, compared.

    python examples/regions_o2p.py --train MSRC --json out/regions.json --picture out/regions.png
    python examples/regions_o2p.py --train MSRC --test OTHER --pooling log --json out/log.json
    python examples/regions_o2p.py --train MSRC --features ACTIVATIONS --json out/backbone.json
    python examples/regions_o2p.py --dataset coco --train COCO --json out/coco.json

The folders are in the layout of PASCAL VOC (`arrmb.data.VOC`) or MSCOCO. 20 descriptors are measured at each pixel:
colour at two scales, edges and texture, place; or, with --features, the activations of another network are read from
files (docs/backbones.md). A small network adds 12 features of its own, the features of a region's pixels are pooled,
and a linear classifier names the region; everything is trained end to end, through the pooling, by AdamW, on random
pixels of each region with random changes of the descriptors. Beside each network stands its fixed counterpart:
logistic regression on the same pooling of the descriptors.

Without --test, the images are split into halves, anew for each seed, the second of which is for validation: it has no
influence on what is trained. Results, times: docs/experiments.md.
"""

import argparse
import json
import time
from pathlib import Path

from backends import array_namespace
from regions.network import POOLINGS, accuracy, fixed, train
from regions.pixels import halves, open_images, prepared, read
from regions.report import draw, peak_memory, print_table


def load(options, folder):
    images = open_images(options.dataset, folder, options.classes, options.limit)
    return read(images, folder, options.features)


def run(xp, options):
    """Accuracies ``{pooling: {"fixed": [...], "trained": [...]}}``, one per seed; seconds likewise; learning curves."""
    regions = load(options, options.train)
    others = load(options, options.test) if options.test else None
    if others and others.table.shape[1] != regions.table.shape[1]:
        raise SystemExit(
            f"{options.features}: activations of {regions.table.shape[1]} channels for {options.train}, of "
            f"{others.table.shape[1]} for {options.test}"
        )
    found = {pooling: {"fixed": [], "trained": []} for pooling in options.pooling}
    seconds = {pooling: {"fixed": [], "trained": []} for pooling in options.pooling}
    curves = {pooling: [] for pooling in options.pooling}
    for seed in range(options.first_seed, options.first_seed + options.seeds):
        parts = halves(regions, seed) if others is None else (regions, others)
        (training, testing), classes, reduction = prepared(*parts)
        for pooling, rows in found.items():
            start = time.perf_counter()
            network, standard, learned = train(xp, training, testing, classes, reduction, pooling, seed, options.epochs)
            rows["trained"].append(accuracy(xp, network, standard, testing))
            curves[pooling].append(learned)
            seconds[pooling]["trained"].append(time.perf_counter() - start)
            if others is None or not rows["fixed"]:  # it knows no seed but that of the halves
                start = time.perf_counter()
                rows["fixed"].append(fixed(training, testing, reduction, pooling))
                seconds[pooling]["fixed"].append(time.perf_counter() - start)
    return found, seconds, curves


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", type=Path, required=True, help="folder to learn from")
    parser.add_argument("--test", type=Path, help="folder to test on; default: the other half of the images of --train")
    parser.add_argument("--dataset", choices=["voc", "coco"], default="voc", help="layout of the folders")
    parser.add_argument(
        "--classes", choices=["msrc", "pascal"], default="msrc", help="names of the classes of --dataset voc"
    )
    parser.add_argument(
        "--features", type=Path, help="folder of activations (h, w, channels), an .npz or .safetensors for each image"
    )
    parser.add_argument("--pooling", choices=POOLINGS, action="append", help="one or several; default: all")
    parser.add_argument("--seeds", type=int, default=5, help="how many")
    parser.add_argument(
        "--first-seed", type=int, default=0, help="with others than those reported, options can be chosen"
    )
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--backend", choices=["numpy", "cupy"], default="numpy")
    parser.add_argument("--limit", type=int, help="only so many images, to try")
    parser.add_argument("--json", type=Path, required=True, help="file for accuracies, seconds, learning curves")
    parser.add_argument("--picture", type=Path, help="file for a picture of the learning curves")
    options = parser.parse_args(arguments)
    for name in ("seeds", "epochs"):
        if getattr(options, name) < 1:
            parser.error(f"--{name} must be 1 or more, got {getattr(options, name)}")
    options.pooling = list(dict.fromkeys(options.pooling or POOLINGS))
    start = time.perf_counter()
    found, seconds, curves = run(array_namespace(options.backend), options)
    total, processor, memory = time.perf_counter() - start, time.process_time(), peak_memory()
    print_table(found, options.first_seed)
    said = f", at most {memory} MiB of memory" if memory else ""
    print(f"{total:.0f} s, {processor:.0f} s of the processor{said}")
    options.json.parent.mkdir(parents=True, exist_ok=True)
    everything = {
        "accuracy": found,
        "seeds": list(range(options.first_seed, options.first_seed + options.seeds)),
        "epochs": options.epochs,
        "seconds": {"all": total, "processor": processor, **seconds},
        "peak memory, MiB": memory,
        "curves": curves,
    }
    options.json.write_text(json.dumps(everything, indent=1))
    if options.picture:
        draw(options.picture, found, curves)
    return found


if __name__ == "__main__":
    main()
