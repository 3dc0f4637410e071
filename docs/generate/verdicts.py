"""docs/verdicts.md: every word that a verdict may be, what it means, and what each topic asks."""

from analysis.answers import method_answer
from analysis.verdicts import DECISIVE, UNMEASURED_RULE, Tone, Topic, Word

HEAD = """\
# What the verdicts mean

A verdict is one word about one question, with a sentence that is complete without the rest, the numbers that it
rests on and the rule by which they gave the word. `imbalance-bench analyze` prints them, `analysis/verdicts.json`
holds them, and the report shows them with a mark. The thresholds belong to the analysis plan
([`analysis:`](study_file.md)), which is fixed and hashed before anything is trained.

This page is written by `make pages` from `analysis/verdicts.py`.
"""
MARKS = {
    Tone.BETTER: "in favour of the method",
    Tone.WORSE: "against the method",
    Tone.EQUAL: "no difference that matters",
    Tone.FOUND: "something was shown",
    Tone.OPEN: "nothing was shown, or a remark",
}


def page() -> str:
    """Return the page."""
    lines = [HEAD, "## Words", "", "| word | mark | meaning |", "|---|---|---|"]
    lines += [f"| `{word}` | {MARKS[word.tone]} | {word.meaning} |" for word in Word]
    lines += [
        "",
        "No word says that there is no effect: *undecided* and *not supported* are absence of evidence. Only "
        "*equivalent* says that a difference is small, within a margin that was fixed beforehand.",
        "",
        "## Topics",
        "",
        "| topic | question | decided by |",
        "|---|---|---|",
    ]
    for topic in Topic:
        numbers = ", ".join(f"`{name}`" for name in DECISIVE.get(topic, ()))
        lines.append(f"| `{topic}` | {topic.question} | {numbers} |")
    lines += [
        "",
        f"Whatever the topic: {UNMEASURED_RULE}.",
        "",
        "The answer on the methods, with which a report begins, is chosen from the comparisons on macro Dice by this "
        f"rule: {method_answer([], {}).rule}.",
        "",
    ]
    return "\n".join(lines)
