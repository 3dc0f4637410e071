"""What libraries that decode files raise for damaged content: they share no class of errors."""

import pickle
import struct
import tokenize
import zipfile
import zlib

# without OSError, for readers that say apart what cannot be opened
CONTENT_ERRORS = (
    ArithmeticError, AssertionError, AttributeError, EOFError, LookupError, MemoryError, RuntimeError, SyntaxError,
    TypeError, ValueError, pickle.UnpicklingError, struct.error, tokenize.TokenError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip
DECODER_ERRORS = (OSError, *CONTENT_ERRORS)
