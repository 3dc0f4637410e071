"""Reading a text file that a person wrote: any UTF with its byte-order mark, or one line that says what is wrong."""

import codecs
from pathlib import Path

from imbalance_bench.errors import UserError

_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


def read_text(path: Path, fix: str = "Check the path.") -> str:
    """Read a text file: UTF-8, or what its byte-order mark says. The mark is removed, line ends stay as they are.

    Args:
        path: The file.
        fix: What to do where there is no such file.

    Raises:
        UserError: It is missing, cannot be read, or is no text.
    """
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise UserError(f"{path} must exist. Got no such file. {fix}") from None
    except OSError as error:
        raise UserError(f"{path} must be a readable file. Got: {error.strerror}. {fix}") from None
    except ValueError as error:  # a NUL in the path
        raise UserError(f"{str(path)!r} must be a path. Got: {error}. {fix}") from None
    mark, encoding = next((pair for pair in _BYTE_ORDER_MARKS if raw.startswith(pair[0])), (b"", "utf-8"))
    body = raw[len(mark) :]
    try:
        text = body.decode(encoding)
    except UnicodeDecodeError as error:
        line = line_of(body[: error.start].decode(encoding, "replace"))
        raise UserError(
            f"{path} must be UTF-8 text. Got byte 0x{body[error.start]:02x} in line {line}, which is not valid "
            "UTF-8 (Latin-1 and Windows-1252 write such bytes). Save the file as UTF-8."
        ) from None
    if "\0" in text:
        line = line_of(text[: text.index("\0")])
        raise UserError(f"{path} must be UTF-8 text. Got a NUL character in line {line}. Save the file as UTF-8.")
    return text


def line_of(text_before: str) -> int:
    """Return the number, from 1, of the line in which a text ends; any of the three line ends counts."""
    return text_before.count("\n") + text_before.replace("\r\n", "").count("\r") + 1
