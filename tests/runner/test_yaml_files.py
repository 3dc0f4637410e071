"""Every YAML file goes through one reader: keys once, names as written, one line with the number of the line."""

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from imbalance_bench.cli.main import main
from imbalance_bench.config import StudyConfig, load_study
from imbalance_bench.data.converters.preparation import prepare_dataset
from imbalance_bench.data.converters.source import PrepareOptions
from imbalance_bench.data.dataset_file import DatasetInfo, read_dataset_info
from imbalance_bench.errors import UserError
from tests.data.converters import miniature_sources as mini
from tests.small_study import study_content

STUDY = "name: small\ndataset:\n  path: data\n  groups:\n    all: [a, b]\nmethods: [cross_entropy]\nseeds: [1, 2]\n"
STUDY += "model: {encoder_weights: none}\n"
DATASET = """name: tiny
mpp_um: 0.5
unlabelled_id: 255
groups_known: true
classes:
- id: 0
  name: a
  colour: '#00ff00'
- {id: 1, name: b, colour: '#ff0000'}
"""
LAYOUT = """name: tiny
mpp_um: 0.5
image: 'img/(?P<n>.+)\\.png'
mask: 'mask/{n}.png'
group: '{n}'
splits: {one: train}
classes:
- name: a
  labels: ['#00ff00']
- {name: b, labels: ['#ff0000'], colour: '#0000ff'}
"""


def read_study(path: Path) -> StudyConfig:
    return load_study(path)


def read_dataset(path: Path) -> DatasetInfo:
    return read_dataset_info(path)


def read_layout(path: Path) -> DatasetInfo:
    source = path.parent / "source"
    for number, code in enumerate(((0, 255, 0), (255, 0, 0))):
        mask = mini.stripes((number,))[..., None].repeat(3, axis=2)
        mask[:] = code
        mini.save(source / "img" / f"i{number}.png", mini.picture(number))
        mini.save(source / "mask" / f"i{number}.png", mask)
    options = PrepareOptions(config=path)
    return prepare_dataset("folder", source, path.parent / "prepared", options, workers=1).dataset.info


Reader = Callable[[Path], StudyConfig | DatasetInfo]
FILES: dict[str, tuple[str, Reader]] = {
    "study": (STUDY, read_study),
    "dataset": (DATASET, read_dataset),
    "layout": (LAYOUT, read_layout),
}


def message_of(tmp_path: Path, kind: str, content: str | bytes) -> str:
    """Read a file of this kind and return the one line that refuses it."""
    path = tmp_path / f"{kind}.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError) as caught:
        FILES[kind][1](path)
    line = str(caught.value)
    assert "\n" not in line
    assert line.startswith(str(path))
    assert len(line) < 600
    return line.removeprefix(str(path))


@pytest.mark.parametrize(
    ("kind", "old", "new", "expected"),
    [
        (
            "study",
            "seeds: [1, 2]\n",
            "seeds: [1, 2]\nseeds: [3]\n",
            " line 8: the key `seeds` must occur once. Got it in line 7",
        ),
        (
            "study",
            "  path: data\n",
            "  path: data\n  path: other\n",
            " line 4: the key `path` must occur once. Got it in line 3",
        ),
        (
            "study",
            "    all: [a, b]\n",
            "    all: [a]\n    all: [b]\n",
            " line 6: the key `all` must occur once. Got it in line 5",
        ),
        (
            "study",
            "[cross_entropy]",
            "[{name: focal, gamma: 1, gamma: 2}]",
            " line 6: the key `gamma` must occur once. Got it in line 6",
        ),
        (
            "dataset",
            "mpp_um: 0.5\n",
            "mpp_um: 0.5\nmpp_um: 1\n",
            " line 3: the key `mpp_um` must occur once. Got it in line 2",
        ),
        ("dataset", "name: b,", "name: b, name: c,", " line 9: the key `name` must occur once"),
        ("layout", "{one: train}", "{one: train, one: test}", " line 6: the key `one` must occur once"),
        ("layout", "group:", "mask: x\ngroup:", " line 5: the key `mask` must occur once. Got it in line 4"),
    ],
)
def test_a_key_written_twice_is_refused(kind: str, old: str, new: str, expected: str, tmp_path: Path) -> None:
    content = FILES[kind][0]
    assert old in content
    assert message_of(tmp_path, kind, content.replace(old, new)).startswith(expected)


def test_keys_of_one_name_in_two_unicode_forms_are_one_key(tmp_path: Path) -> None:
    both = "    \u00e4: [a]\n    a\u0308: [b]\n"
    assert "must occur once" in message_of(tmp_path, "study", STUDY.replace("    all: [a, b]\n", both))


def test_a_merge_key_is_no_second_key(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    training = "training: {<<: &base {steps: 3, batch_size: 2}, steps: 5}\n"
    path.write_text(STUDY + training)
    assert (load_study(path).training.steps, load_study(path).training.batch_size) == (5, 2)


NAMES = [
    "no",
    "Yes",
    "on",
    "null",
    "NA",
    "nan",
    "01",
    "010",
    "0o17",
    "1_000",
    "1:30",
    "1e3",
    "2024-01-05",
    ".inf",
    "0x1F",
]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_stays_as_it_is_written(name: str, tmp_path: Path) -> None:
    path = tmp_path / "dataset.yaml"
    path.write_text(DATASET.replace("name: a\n", f"name: {name}\n"))
    assert read_dataset_info(path).classes[0].name == name


@pytest.mark.parametrize("name", NAMES)
def test_a_name_stays_as_it_is_written_in_a_study_and_a_layout(name: str, tmp_path: Path) -> None:
    study, layout = tmp_path / "study.yaml", tmp_path / "layout.yaml"
    study.write_text(STUDY.replace("all: [a, b]", f"{name}: [a, {name}]"))
    assert load_study(study).dataset.groups == {name: ["a", name]}
    layout.write_text(LAYOUT.replace("name: a\n", f"name: {name}\n"))
    assert read_layout(layout).classes[0].name == name


WRONG_VALUES = {
    "octal to some": (
        "study",
        "seeds: [1, 2]",
        "seeds: [1, 010]",
        " line 7: `seeds.1`",
        "010, which some programs read as octal",
    ),
    "base 60 to some": ("dataset", "mpp_um: 0.5", "mpp_um: 1:30.5", " line 2: `mpp_um`", "1:30.5, which some"),
    "octal label": ("layout", "['#00ff00']", "[010]", " line 9: `classes.0.labels.0", "010, which some"),
    "yes for a number": ("dataset", "mpp_um: 0.5", "mpp_um: yes", " line 2: `mpp_um`", "Got True"),
    "yes for an id": ("dataset", "- id: 0", "- id: no", " line 6: `classes.0.id`", "Got False"),
    "infinite resolution": ("layout", "mpp_um: 0.5", "mpp_um: .inf", " line 2: `mpp_um`", "Got inf"),
    "resolution that is none": ("layout", "mpp_um: 0.5", "mpp_um: .nan", " line 2: `mpp_um`", "Got nan"),
    "colour as a comment": (
        "dataset",
        "colour: '#00ff00'",
        "colour: #00ff00",
        " line 8: `#00ff00` begins a comment",
        "quotation marks",
    ),
    "colour in a list": (
        "layout",
        "['#00ff00']",
        "[#00ff00]",
        " line 9: `#00ff00` begins a comment",
        "quotation marks",
    ),
    "colour in a long list": (
        "layout",
        "['#00ff00']",
        "[\n    #00ff00\n  , 1]",
        " line 10: `#00ff00` begins a comment",
        "",
    ),
    "optional colour": (
        "layout",
        "colour: '#0000ff'}",
        "colour: #0000ff\n  }",
        " line 10: `#0000ff` begins a comment",
        "",
    ),
    "unknown key deep down": (
        "study",
        "  path: data",
        "  path: data\n  tile: 64",
        " line 4: unknown key `dataset.tile`",
        "Did you mean 'tile_px'",
    ),
    "wrong number deep down": (
        "study",
        "  path: data",
        "  path: data\n  tile_px: 33",
        " line 4: `dataset.tile_px`",
        "multiple of 32",
    ),
    "empty name": ("dataset", "name: a\n", "name:\n", " line 7: `classes.0.name`", "Got None"),
    "huge integer": (
        "study",
        "seeds: [1, 2]",
        f"seeds: [1, {'9' * 5000}]",
        " line 7 holds an integer beyond 64 bits",
        "5000 characters",
    ),
    "large integer": ("dataset", "id: 1,", "id: 99999999999999999999,", " line 9 holds an integer beyond 64 bits", ""),
    "deep nesting": (
        "study",
        "[cross_entropy]",
        "[" * 3000,
        " line 6 must be YAML. Got: more than 40 levels of nesting",
        "",
    ),
    "open bracket": ("study", "[cross_entropy]", "[cross_entropy", " line 7 must be YAML", ""),
    "tabulator": ("study", "  path: data", "\tpath: data", " line 3 must be YAML. Got: found character '\\t'", ""),
    "tag": ("study", "name: small", "name: !!python/object:os.system small", " line 1 holds the tag", "python/object"),
    "set": ("study", "seeds: [1, 2]", "seeds: !!set {1, 2}", " line 7 holds the tag", "set"),
    "two documents": ("study", "seeds", "---\nseeds", " line 7 must be YAML", "another document"),
    "unknown alias": ("study", "[cross_entropy]", "*nobody", " line 6 must be YAML", "undefined alias"),
    "control character": ("study", "small", "sm\x07all", " must be YAML. Got: a control character (U+0007)", ""),
    "key that is a list": ("study", "seeds: [1, 2]", "[a]: 1", " line 7 holds a key that is no text", ""),
    "impossible date as a number": (
        "study",
        "seeds: [1, 2]",
        "seeds: [2024-13-45]",
        " line 7: `seeds.0`",
        "2024-13-45",
    ),
}


@pytest.mark.parametrize("case", WRONG_VALUES)
def test_a_wrong_value_is_refused_with_its_line(case: str, tmp_path: Path) -> None:
    kind, old, new, start, part = WRONG_VALUES[case]
    content = FILES[kind][0]
    assert old in content
    line = message_of(tmp_path, kind, content.replace(old, new, 1))
    assert line.startswith(start)
    assert part in line


@pytest.mark.parametrize("kind", FILES)
def test_what_is_no_yaml_mapping_is_refused(kind: str, tmp_path: Path) -> None:
    assert "byte 0xe4 in line 1" in message_of(tmp_path, kind, "name: K\u00e4se\n".encode("latin-1"))
    assert "NUL character in line 2" in message_of(tmp_path, kind, b"name: a\n\0\n")
    assert "must be a mapping of `key: value` lines. Got nothing" in message_of(tmp_path, kind, "")
    assert "Got list" in message_of(tmp_path, kind, "[a, b]")
    with pytest.raises(UserError, match="must be a readable file"):
        FILES[kind][1](tmp_path)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_a_byte_order_mark_is_understood(encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_bytes(STUDY.encode(encoding))
    assert load_study(path).name == "small"


@pytest.mark.parametrize("place", ["name", "seeds", "methods", "unknown"])
def test_nested_aliases_do_not_explode(place: str, tmp_path: Path) -> None:
    levels = "".join(f"  - &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]\n" for n in range(1, 20))
    bomb = f"{place}:\n  - &l0 [a]\n{levels}"
    rest = "".join(line for line in STUDY.splitlines(keepends=True) if not line.startswith(place))
    assert "holds more than 100000 values, with its aliases" in message_of(tmp_path, "study", bomb + rest)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("[cross_entropy]", "&a [*a]", "a method must be a name or a mapping"),
        ("small", "&a [*a]", " line 1: `name`: should be a valid string"),
        ("  path: data", "  path: &a {path: *a}", " line 3: `dataset.path`"),
        ("name: small", "<<: &a {<<: *a}", "`name` is required"),
    ],
)
def test_a_value_that_holds_itself_is_refused(old: str, new: str, expected: str, tmp_path: Path) -> None:
    assert expected in message_of(tmp_path, "study", STUDY.replace(old, new))


def test_a_value_of_set_is_read_by_the_same_reader(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(STUDY)
    with pytest.raises(UserError, match=r"--set training=.* the key `steps` must occur once"):
        load_study(path, ["training={steps: 1, steps: 2}"])
    with pytest.raises(UserError, match=r"`seeds.0`.*010, which some programs read as octal"):
        load_study(path, ["seeds=[010]"])


def test_a_study_survives_being_written_and_read(tmp_path: Path) -> None:
    content = study_content(tmp_path)
    content["dataset"]["groups"] = {"010": ["no", "1:30"], "null": ["2024-01-05", "~"]}
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(content))
    config = load_study(path)
    assert config.dataset.groups == content["dataset"]["groups"]
    path.write_text(yaml.safe_dump(config.dump(), sort_keys=False, allow_unicode=True))
    assert load_study(path) == config


def test_the_command_refuses_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(STUDY + "seeds: [9]\n")
    result = CliRunner().invoke(main, ["run", str(path), "--dry-run"])
    assert result.exit_code == 2
    assert result.output.splitlines() == [
        f"Error: {path} line 9: the key `seeds` must occur once. Got it in line 7, too. Remove one of them."
    ]
