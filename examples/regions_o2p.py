"""Name the regions of photographs: mean, second-order and log second-order pooling of learned features, compared.

    python examples/regions_o2p.py --train MSRC --json out/regions.json --picture out/regions.png
    python examples/regions_o2p.py --train MSRC --test OTHER --pooling log --json out/log.json
    python examples/regions_o2p.py --train MSRC --features ACTIVATIONS --json out/backbone.json
    python examples/regions_o2p.py --dataset coco --train COCO --json out/coco.json
    python examples/regions_o2p.py --classes pascal --train VOC2012 --train-set train --test-set val --json out/voc.json

The folders are in the layout of PASCAL VOC (`arrmb.data.VOC`) or MSCOCO. 20 descriptors are measured at each pixel:
colour at two scales, edges and texture, place; or, with --features, the activations of another network are read from
files (docs/backbones.md). A small network adds 12 features of its own, the features of a region's pixels are pooled,
and a linear classifier names the region; everything is trained end to end, through the pooling, by AdamW, on random
pixels of each region with random changes of the descriptors. Beside each network stands its fixed counterpart:
logistic regression on the same pooling of the descriptors.

Without --test or --test-set, the images are split into halves, anew for each seed, the second of which is for
validation: it has no influence on what is trained. Results, times: docs/experiments.md.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
from arguments import at_least, file_to_write
from backends import array_namespace
from regions.network import POOLINGS, accuracy, fixed, train
from regions.pixels import halves, open_images, prepared, read
from regions.report import draw, peak_memory, print_table


def load(options):
    """The regions to learn from, and those to test on, if they are of another folder or list."""
    sets = [(options.train, options.train_set)]
    if options.test or options.test_set:
        sets.append((options.test or options.train, options.test_set or options.train_set))
    opened = [open_images(options.dataset, *where, options.classes, options.limit) for where in sets]
    if len({folder.resolve() for folder, _ in sets}) < len(sets):
        both = set(opened[0].names) & set(opened[1].names)
        if both:
            raise SystemExit(f"{len(both)} images to test on are among those to learn from, which makes it no test")
    parts = [read(images, folder, options.features) for images, (folder, _) in zip(opened, sets)]
    regions, others = parts if len(parts) > 1 else (parts[0], None)
    if others and others.table.shape[1] != regions.table.shape[1]:
        raise SystemExit(
            f"{options.features}: activations of {regions.table.shape[1]} channels for the images to learn from, of "
            f"{others.table.shape[1]} for those to test on"
        )
    return regions, others


def run(xp, options, regions, others):
    """Accuracies ``{pooling: {"fixed": [...], "trained": [...]}}``, one per seed; seconds likewise; learning curves."""
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
    parser.add_argument("--train-set", help="list of images to learn from; default: all, of MSCOCO train2017")
    parser.add_argument("--test-set", help="list of images to test on; default: that of --train-set")
    parser.add_argument("--dataset", choices=["voc", "coco"], default="voc", help="layout of the folders")
    parser.add_argument(
        "--classes", choices=["msrc", "pascal"], default="msrc", help="names of the classes of --dataset voc"
    )
    parser.add_argument(
        "--features", type=Path, help="folder of activations (h, w, channels), an .npz or .safetensors for each image"
    )
    parser.add_argument("--pooling", choices=POOLINGS, action="append", help="one or several; default: all")
    parser.add_argument("--seeds", type=at_least(1), default=5, help="how many")
    parser.add_argument("--first-seed", type=at_least(0), default=0, help="the first of them")
    parser.add_argument("--epochs", type=at_least(1), default=60)
    parser.add_argument("--backend", choices=["numpy", "cupy"], default="numpy")
    parser.add_argument("--limit", type=at_least(1), help="only so many images, to try")
    parser.add_argument(
        "--json", type=file_to_write, required=True, help="file for accuracies, seconds, learning curves"
    )
    parser.add_argument("--picture", type=file_to_write, help="file for a picture of the learning curves")
    options = parser.parse_args(arguments)
    options.train_set = options.train_set or ("train2017" if options.dataset == "coco" else "all")
    options.pooling = list(dict.fromkeys(options.pooling or POOLINGS))
    start = time.perf_counter()
    xp = array_namespace(options.backend)
    regions, others = load(options)
    found, seconds, curves = run(xp, options, regions, others)
    total, processor, memory = time.perf_counter() - start, time.process_time(), peak_memory()
    print_table(found, options.first_seed)
    said = f", at most {memory} MiB of memory" if memory else ""
    print(f"{total:.0f} s, {processor:.0f} s of the processor{said}")
    options.json.parent.mkdir(parents=True, exist_ok=True)
    everything = {
        "accuracy": found,
        "seeds": list(range(options.first_seed, options.first_seed + options.seeds)),
        "options": vars(options),
        "data": {  # damaged images and empty regions are not among them
            name: {"images": len(np.unique(part.images)), "regions": len(part.classes)}
            for name, part in (("train", regions), ("test", others))
            if part is not None
        },
        "seconds": {"all": total, "processor": processor, **seconds},
        "peak memory, MiB": memory,
        "curves": curves,
    }
    options.json.write_text(json.dumps(everything, indent=1, default=str))
    if options.picture:
        draw(options.picture, found, curves)
    return found


if __name__ == "__main__":
    main()
