"""A real Slurm cluster of one node on this machine, where Debian's slurm-wlm and munge are installed."""

import os
import shutil
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
        subprocess.run([SCRIPT, "start", folder], check=True, stdout=subprocess.DEVNULL)
        os.environ["SLURM_CONF"] = str(Path(folder) / "slurm.conf")
        try:
            yield
        finally:
            subprocess.run([SCRIPT, "stop", folder], check=True)
            if before is None:
                del os.environ["SLURM_CONF"]
            else:
                os.environ["SLURM_CONF"] = before
