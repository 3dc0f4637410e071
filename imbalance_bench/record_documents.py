"""JSON files of a study: a key that is missing, or a value of another kind, is one line that names the file."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, Strict

from imbalance_bench.config_errors import validated
from imbalance_bench.errors import UserError
from imbalance_bench.file_access import refusal
from imbalance_bench.names import ClassName, Colour

SCHEMA_VERSION = 2  # of plan and manifest: 2 has run ids without labels, and digests of a run's files
READABLE_SCHEMAS = (1, 2)
NOT_SHARED = "not shared"  # path of the data set in records that came as a bundle
_FIX = "Restore the file, or run the study again in another folder."


class Document(dict[str, Any]):
    """An object of a JSON file that knows its file: asking for a key that it lacks is a `UserError`."""

    source: str = ""

    def __missing__(self, key: str) -> Any:
        """Say which file lacks what."""
        raise UserError(f"{self.source} must hold `{key}`. Got {_listed(self)}. {_FIX}", exit_code=1)


class _Record(BaseModel):
    """Named keys are checked; others belong to whoever reads them."""

    model_config = ConfigDict(extra="allow", allow_inf_nan=False)


Count = Annotated[int, Strict(), Field(ge=0, lt=2**63)]


class PlannedRow(_Record):
    """A run of plan.json."""

    run_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")]  # the name of a folder
    method: str
    fold: Count
    seed: Annotated[int, Strict()]
    model: str | None = None


Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
ThreeNumbers = Annotated[list[float], Field(min_length=3, max_length=3)]  # of red, green and blue


class EncoderRow(_Record):
    """An encoder of plan.json or manifest.json, as files and libraries resolved it."""

    name: str
    mean: ThreeNumbers
    std: ThreeNumbers
    weights: Sha256 | None
    features: Sha256 | None = None  # key of the cached features that a run read; None: it read images


class ManifestDocument(_Record):
    """manifest.json of a run."""

    encoders: list[EncoderRow] = []


class PlanDocument(_Record):
    """plan.json."""

    name: str = ""
    runs: list[PlannedRow] = []
    analysis: dict[str, Any] = {}
    identity: dict[str, Any] = {}
    methods: dict[str, Any] = {}
    hashes: dict[str, str] = {}
    encoders: dict[str, list[EncoderRow]] = {}


class ClassRow(_Record):
    """A class of dataset.json."""

    id: Count
    name: ClassName
    colour: Colour


class TrainingCounts(_Record):
    """What the training part of a fold holds of each class."""

    pixels: list[Count]


class FoldRow(_Record):
    """A fold of dataset.json."""

    train: TrainingCounts


class DatasetDocument(_Record):
    """dataset.json of a study."""

    name: str
    path: str
    classes: Annotated[list[ClassRow], Field(min_length=1)]
    folds: list[FoldRow]
    mpp_um: Annotated[float, Field(gt=0)] | None = None
    merging: dict[str, Any] = {}


def read_document(path: Path, model: type[BaseModel] | None = None) -> Document:
    """Read a JSON object.

    Args:
        path: The file.
        model: What its values must be; None: any object.

    Raises:
        UserError: It is missing, damaged, no object, names a key twice, or holds something else.
    """
    try:
        text = path.read_text(encoding="utf-8")
        content = json.loads(text, object_pairs_hook=lambda pairs: _document(path, pairs))
    except FileNotFoundError as error:
        raise UserError(f"{path} does not exist. Is this a study directory made by `imbalance-bench run`?") from error
    except OSError as error:
        refused = refusal(error, path)
        if refused is None:
            raise
        raise refused from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: not readable as JSON ({error}). {_FIX}", exit_code=1) from error
    if not isinstance(content, Document):
        raise UserError(f"{path} must hold a JSON object. Got {type(content).__name__}. {_FIX}", exit_code=1)
    if model is not None:
        validated(model, content, str(path))
    return content


def require_known_schema(path: Path, schema: object) -> None:
    """Refuse records of a version that this one does not know."""
    if schema in READABLE_SCHEMAS and not isinstance(schema, bool):
        return
    newer = isinstance(schema, int) and schema > SCHEMA_VERSION
    fix = "Update imbalance-bench." if newer else "The file is damaged, or was not written by imbalance-bench."
    raise UserError(f"{path}: `schema` must be at most {SCHEMA_VERSION}. Got {schema!r}. {fix}", exit_code=1)


def document_of(text: str, path: Path) -> Document:
    """Return the object that the text of a JSON file holds, where the file was read and found right before."""
    return json.loads(text, object_pairs_hook=lambda pairs: _document(path, pairs))


def _document(path: Path, pairs: Iterable[tuple[str, Any]]) -> Document:
    document = Document(pairs := list(pairs))
    document.source = str(path)
    if len(document) < len(pairs):
        raise ValueError("a key occurs twice")
    return document


def _listed(content: dict[str, Any]) -> str:
    return ", ".join(sorted(content)[:8]) or "an empty object"
