"""Read and write the Parquet files of a run's tables; files that do not fit their schema are refused. No torch."""

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from imbalance_bench.errors import UserError
from imbalance_bench.file_access import refusal
from imbalance_bench.manifest import write_atomically
from imbalance_bench.record_checks import TRAIN_AGAIN, require_sound_rows
from imbalance_bench.table_schemas import TABLES, TABLES_VERSION

_MAY_PREDICT_NONE = "imbalance_bench.may_predict_none"  # key of a file's metadata


def as_table(name: str, rows: pd.DataFrame) -> pa.Table:
    """Return `rows` with exactly the schema of the table called `name`.

    Raises:
        ValueError: A column is missing, unknown, or does not convert without loss.
    """
    schema = TABLES[name]
    if set(rows.columns) != set(schema.names):
        raise ValueError(f"{name} must have the columns {schema.names}. Got {list(rows.columns)}.")
    return pa.Table.from_pandas(rows[schema.names], schema=schema, preserve_index=False, safe=True)


def write_table(path: Path, name: str, rows: pd.DataFrame, *, may_predict_none: bool = False) -> None:
    """Write `rows` as the table called `name` (a key of TABLES), atomically, with exactly its schema.

    Args:
        path: The file.
        name: Of the table.
        rows: Its rows.
        may_predict_none: A pixel may have been predicted as none of the classes; the file says so, and then not every
            false negative of a class is a false positive of another.

    Raises:
        ValueError: A column is missing, unknown, or does not convert without loss.
    """
    table = as_table(name, rows)
    metadata = {"imbalance_bench.schema": f"{name}/{TABLES_VERSION}"}
    if may_predict_none:
        metadata[_MAY_PREDICT_NONE] = "1"
    table = table.replace_schema_metadata(metadata)
    write_atomically(path, lambda file: pq.write_table(table, file, compression="zstd"))


def read_table(path: Path, name: str) -> pd.DataFrame:
    """Read the table called `name`.

    Raises:
        UserError: The file is damaged or of another schema, or its rows contradict one another.
    """
    table = read_arrow(path, name)
    rows = table.to_pandas()
    require_sound_rows(path, name, rows, may_predict_none=may_predict_none(table))
    return rows


def read_arrow(path: Path, name: str, content: bytes | None = None) -> pa.Table:
    """Read the table called `name` as it is stored; what its rows say is not checked.

    Args:
        path: The file.
        name: A key of TABLES.
        content: The file's bytes, where they have been read already.

    Raises:
        UserError: The file is damaged or of another schema.
    """
    try:
        # several times as fast as `pq.read_table`, which prepares to read many files
        table = pq.ParquetFile(pa.BufferReader(path.read_bytes() if content is None else content)).read()
        table.validate(full=True)  # text is UTF-8, too
        names = table.schema.names
    except (OSError, pa.ArrowException, ValueError) as error:  # damaged text is a UnicodeDecodeError
        if isinstance(error, OSError) and (refused := refusal(error, path)) is not None:
            raise refused from error
        raise UserError(
            f"{path}: not a readable {name} table ({error}). {TRAIN_AGAIN}",
            exit_code=1,
        ) from error
    if not table.schema.equals(TABLES[name]):
        raise UserError(f"{path}: columns {names} are not those of schema {TABLES_VERSION}.", exit_code=1)
    return table


def may_predict_none(table: pa.Table) -> bool:
    """Return whether pixels of a table that was read may have been predicted as none of the classes."""
    return _MAY_PREDICT_NONE.encode() in (table.schema.metadata or {})
