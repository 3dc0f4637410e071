"""How fast is phantom tissue drawn, on one core?

    python -m benchmarks.phantom_speed [--repeats 3]

Prints, for each preset, megapixels per second of processor time (drawing alone, and with files), and the seconds that
the data set of the quickstart takes.
"""

import argparse
import tempfile
import time
from pathlib import Path

from imbalance_bench.data.phantom import PRESETS, GroupCounts, PhantomSpec, generate_phantom
from imbalance_bench.data.phantom.plan import plan_images
from imbalance_bench.data.phantom.writer import draw_image


def megapixels(spec: PhantomSpec) -> float:
    """Return the size of a whole data set."""
    return spec.n_images * spec.size_px**2 / 1e6


def drawing_seconds(spec: PhantomSpec) -> float:
    """Return the processor time of planning and drawing a data set without writing it."""
    started = time.process_time()
    for plan in plan_images(spec):
        draw_image(spec, plan)
    return time.process_time() - started


def writing_seconds(spec: PhantomSpec) -> tuple[float, float]:
    """Return processor and clock time of a data set on disk, drawn in one process."""
    with tempfile.TemporaryDirectory() as folder:
        started, clock = time.process_time(), time.perf_counter()
        generate_phantom(spec, Path(folder) / "phantom")
        return time.process_time() - started, time.perf_counter() - clock


def main() -> None:
    """Parse the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3, help="the fastest counts")
    options = parser.parse_args()
    few = GroupCounts(train=2, val=1, test=1)
    print("| preset | images | Mpx/s, drawn | Mpx/s, on disk |\n|---|---|---|---|")
    for name, preset in PRESETS.items():
        spec = preset.model_copy(update={"groups": few, "images_per_group": 2})
        drawing_seconds(spec)  # stamps are rendered once per process
        drawn = min(drawing_seconds(spec) for _ in range(options.repeats))
        written = min(writing_seconds(spec)[0] for _ in range(options.repeats))
        size, total = f"{spec.n_images} x {spec.size_px}^2 px", megapixels(spec)
        print(f"| {name} | {size} | {total / drawn:.2f} | {total / written:.2f} |", flush=True)
    whole = PRESETS["tissue"]
    cpu, clock = writing_seconds(whole)
    print(
        f"\nquickstart data set: {whole.n_images} images, {megapixels(whole):.2f} Mpx in {cpu:.1f} s of processor time "
        f"({clock:.1f} s by the clock) in one process"
    )


if __name__ == "__main__":
    main()
