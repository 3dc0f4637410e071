"""A frame as a Markdown table."""

import pandas as pd


def markdown(frame: pd.DataFrame, *, digits: int = 2) -> str:
    """Return a Markdown table; numbers with so many digits, missing values empty.

    Args:
        frame: Any frame; its index is left out.
        digits: After the point, of numbers that are not whole.
    """
    lines = ["| " + " | ".join(map(str, frame.columns)) + " |", "|" + "---|" * len(frame.columns)]
    lines += ["| " + " | ".join(_cell(value, digits) for value in row) + " |" for row in frame.itertuples(index=False)]
    return "\n".join(lines)


def _cell(value: object, digits: int) -> str:
    if isinstance(value, float):
        return "" if pd.isna(value) else f"{value:.{digits}f}"
    return str(value).replace("|", "\\|")
