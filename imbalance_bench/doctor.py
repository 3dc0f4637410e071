"""What is installed, which devices there are, what is missing and how to get it."""

import os
import shutil
from importlib import import_module, metadata

import torch
from rich.table import Table
from rich.text import Text

from imbalance_bench.data.prepared import usable_cores
from imbalance_bench.errors import first_line
from imbalance_bench.manifest import RECORDED_LIBRARIES, code_version
from imbalance_bench.terminal import Terminal, styled


def print_diagnosis() -> None:
    """Print versions, devices and disk space; say how to solve each problem."""
    console, table = Terminal(), Table(box=None, show_header=False, pad_edge=False)
    code = code_version()
    commit = f", commit {code['commit'][:12]}{' with changes' if code['dirty'] else ''}" if code["commit"] else ""
    table.add_row(styled(("imbalance-bench", "bold")), f"{code['version']}{commit}")
    for name in RECORDED_LIBRARIES:
        table.add_row(styled((name, "bold")), _state_of(name))
    table.add_row(styled(("processor", "bold")), f"{usable_cores()} cores usable, {os.cpu_count()} in all")
    table.add_row(styled(("CUDA", "bold")), _cuda())
    table.add_row(styled(("disk", "bold")), f"{shutil.disk_usage('.').free / 2**30:.1f} GiB free here")
    console.print(table, highlight=False)


def _state_of(name: str) -> Text:
    """Version, or what is wrong; importing finds a torchvision that does not fit torch."""
    try:
        version = metadata.version(name)
        import_module(name.replace("-", "_"))
    except metadata.PackageNotFoundError:
        return styled((f"missing: pip install {name}", "red"))
    except (ImportError, RuntimeError, AttributeError) as error:
        problem = f"does not import ({first_line(error)}): install torch and torchvision together, from one place"
        return styled((problem, "red"))
    return styled(version)


def _cuda() -> str:
    if not torch.cuda.is_available():
        return "none; runs use the CPU"
    devices = (torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count()))
    return "; ".join(f"{device.name}, {device.total_memory / 2**30:.0f} GiB" for device in devices)
