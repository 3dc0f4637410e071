"""Generated pages are what their command prints, and say what the code does."""

from pathlib import Path

import pytest
from pydantic import BaseModel, Field

from analysis.verdicts import Topic, Word
from docs.generate import commands, study_file, verdicts
from docs.generate.pages import PAGES
from imbalance_bench.config import StudyConfig, parse_study

DOCS = Path(__file__).parents[2] / "docs"
ROUNDED = {"conformance.md"}  # its floating-point numbers have a test of their own


@pytest.mark.parametrize("name", sorted(PAGES.keys() - ROUNDED))
def test_the_committed_page_is_what_the_command_writes(name: str) -> None:
    assert (DOCS / name).read_text(encoding="utf-8") == PAGES[name](), "run `make pages`"


def test_every_key_of_a_study_file_is_listed_with_its_default() -> None:
    page = study_file.page()
    content = {"name": "x", "dataset": {"path": "d"}, "model": {"encoder_weights": "none"}, "methods": ["focal"]}
    shortest = parse_study(content, source="test")
    for section, keys in shortest.dump().items():
        for key in keys if isinstance(keys, dict) else ():
            assert f"| `{section}.{key}` |" in page, f"{section}.{key}"
    assert "| `training.steps` | integer >= 1 | `600` | optimiser steps |" in page
    assert "| `compute.slurm.minutes` | integer >= 1 | `240` |" in page


class Sample(BaseModel):
    """A section."""

    # above, in two
    # lines
    first: int = 1  # behind
    second: float | None = Field(
        default=None,
        gt=0,
    )  # behind the parenthesis
    third: str = "a # b"


def test_the_meaning_of_a_key_is_its_comment() -> None:
    assert study_file.comments(Sample) == {
        "first": "above, in two lines; behind",
        "second": "behind the parenthesis",
        "third": "",
    }


def test_types_are_put_into_words() -> None:
    schema = Sample.model_json_schema()
    kinds = {name: study_file.kind_of(content, schema) for name, content in schema["properties"].items()}
    assert kinds == {"first": "integer", "second": "number > 0 or null", "third": "text"}


def test_every_section_has_a_table() -> None:
    page = study_file.page()
    for name, field in StudyConfig.model_fields.items():
        if study_file.section_of(field.annotation) and name not in ("models", "methods"):
            assert f"## `{field.alias or name}:`" in page


def test_every_command_has_its_help() -> None:
    page = commands.page()
    names = [" ".join(words) for words, _ in commands.commands()]
    assert {"run", "data prepare", "cache clean", "score"} <= set(names)
    for name in names:
        assert f"Usage: imbalance-bench {name} " in page
    assert "--dry-run" in page


def test_every_word_and_topic_is_explained() -> None:
    page = verdicts.page()
    for word in Word:
        assert f"| `{word}` |" in page
        assert word.meaning in page
    for topic in Topic:
        assert topic.question.endswith("?")
        assert f"| `{topic}` | {topic.question} |" in page
