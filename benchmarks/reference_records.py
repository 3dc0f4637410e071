"""Copy what can be analysed of a finished study into a folder small enough to commit.

    python -m benchmarks.reference_records STUDY TARGET

Weights, predicted masks and attention maps stay behind, and an absolute path becomes its last part. `analyze` reads the
copy as it reads the study; what it takes from the data itself (measures of difficulty) needs the data set at hand.
"""

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

import yaml

from imbalance_bench.records import StudyRecords
from imbalance_bench.table_schemas import TABLES

STUDY_FILES = ("plan.json", "dataset.json", "splits.json")
RUN_FILES = ("manifest.json", "status.json")


def without_folders(value: Any) -> Any:
    """Return JSON content in which every absolute path is only a name."""
    if isinstance(value, dict):
        return {key: without_folders(each) for key, each in value.items()}
    if isinstance(value, list):
        return [without_folders(each) for each in value]
    if isinstance(value, str) and Path(value).is_absolute():
        return Path(value).name
    return value


def copy_json(source: Path, target: Path) -> None:
    """Copy a JSON file without folders."""
    content = without_folders(json.loads(source.read_text(encoding="utf-8")))
    target.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def copy_records(study: Path, target: Path) -> None:
    """Copy the records of a study's finished runs.

    Args:
        study: Made by `imbalance-bench run`.
        target: Made anew; must not exist.
    """
    records = StudyRecords.open(study)
    target.mkdir(parents=True)
    for name in STUDY_FILES:
        copy_json(study / name, target / name)
    settings = without_folders(yaml.safe_load((study / "study.yaml").read_text(encoding="utf-8")))
    (target / "study.yaml").write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")
    for run in records.finished():
        folder = target / "runs" / run.run_id
        folder.mkdir(parents=True)
        for name in RUN_FILES:
            copy_json(run.path / name, folder / name)
        for name in TABLES:
            table = run.path / f"{name}.parquet"
            if table.exists():
                shutil.copyfile(table, folder / table.name)


def main() -> None:
    """Copy and say how large it became."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("study", type=Path)
    parser.add_argument("target", type=Path)
    options = parser.parse_args()
    copy_records(options.study, options.target)
    files = [path for path in options.target.rglob("*") if path.is_file()]
    print(f"{options.target}: {len(files)} files, {sum(path.stat().st_size for path in files) / 2**20:.1f} MiB")


if __name__ == "__main__":
    main()
