"""The ray engine without Ray."""

import socket
import time
from pathlib import Path

import pytest

from imbalance_bench.config import ComputeSection, RaySection
from imbalance_bench.engines import ray
from imbalance_bench.engines.base import RunJob
from imbalance_bench.errors import UserError
from tests.faults.listener import Told


@pytest.mark.parametrize("form", ["127.0.0.1:{port}", "ray://127.0.0.1:{port}"])
def test_an_address_without_a_cluster_is_refused_at_once(
    form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = form.format(port=server.getsockname()[1])  # free again once the server is closed
    engine = ray.RayEngine(1, ComputeSection(ray=RaySection(address=address)))
    monkeypatch.setattr(ray, "_ray", lambda: None)  # Ray itself would try for 20 minutes
    began = time.monotonic()
    with pytest.raises(UserError, match=f"running Ray cluster. Got {address}"):
        engine.execute([RunJob(tmp_path, "run0", "fine", tmp_path, steps=2)], Told())
    assert time.monotonic() - began < 30
