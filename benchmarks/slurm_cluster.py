"""A real Slurm cluster of one node on this machine, where Debian's slurm-wlm and munge are installed."""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SCRIPT = Path(__file__).parents[1] / "tests" / "clusters" / "one_node_slurm.sh"


def why_no_cluster() -> str | None:
    """Say what is missing for a cluster; None where one can be started."""
    missing = [tool for tool in ("munged", "slurmctld", "slurmd", "sbatch") if shutil.which(tool) is None]
    if missing:
        return f"{', '.join(missing)} not installed (Debian: slurm-wlm, munge)"
    return None if os.geteuid() == 0 else "only root can start slurmd"


@contextmanager
def one_node_cluster() -> Iterator[None]:
    """Start a cluster that this process and its children submit to; a context manager."""
    before = os.environ.get("SLURM_CONF")
    with tempfile.TemporaryDirectory(prefix="slurm", ignore_cleanup_errors=True) as folder:
        ports = {"IMBALANCE_BENCH_TEST_PORT": str(_free_ports())}
        subprocess.run([SCRIPT, "start", folder], check=True, stdout=subprocess.DEVNULL, env=os.environ | ports)
        os.environ["SLURM_CONF"] = str(Path(folder) / "slurm.conf")
        try:
            yield
        finally:
            subprocess.run([SCRIPT, "stop", folder], check=True)
            if before is None:
                del os.environ["SLURM_CONF"]
            else:
                os.environ["SLURM_CONF"] = before


def _free_ports() -> int:
    """The first of two ports in a row that nobody listens on."""
    while True:
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            try:
                second.bind(("127.0.0.1", first.getsockname()[1] + 1))
            except OSError:
                continue
            return first.getsockname()[1]
