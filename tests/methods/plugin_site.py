"""A folder on the import path whose distributions offer methods."""

from pathlib import Path

import pytest


def install(site: Path, offers: dict[str, str], *, name: str = "other-package", version: str = "1.0") -> None:
    """Write the metadata that an installer would."""
    info = site / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    lines = [f"{method} = {where}" for method, where in offers.items()]
    (info / "entry_points.txt").write_text("\n".join(["[imbalance_bench.methods]", *lines, ""]))


def add_site(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a folder in `folder` from which modules and distributions are found."""
    site = folder / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(site)
    return site
