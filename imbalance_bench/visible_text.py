"""Text of any origin in a form that steers no terminal."""

import re

# C0 and C1 controls but tab and line feed, marks that change the direction of writing, halves of surrogate pairs
_STEERING = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def visible(text: str) -> str:
    r"""Return a text that steers no terminal: an escape character becomes `\x1b`.

    Args:
        text: Of any origin.
    """
    return _STEERING.sub(lambda match: ascii(match[0])[1:-1], text)
