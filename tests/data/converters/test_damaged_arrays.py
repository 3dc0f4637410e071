"""Damaged or foreign files of published data sets are refused in one line, whatever their decoder raises."""

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from imbalance_bench.data.converters import consep, pannuke
from imbalance_bench.data.converters.source import SourceImage
from imbalance_bench.errors import UserError
from imbalance_bench.foreign.masks import read_probabilities


def npy(header: str, version: bytes = b"\x01\x00") -> bytes:
    """A NumPy file with any header."""
    text = header.encode().ljust(117) + b"\n"
    return b"\x93NUMPY" + version + len(text).to_bytes(2, "little") + text + bytes(768)


HEADERS = {
    "a header that does not end": "{'descr': '|u1', (",
    "no header": "x y",
    "a shape beyond memory": "{'descr': '|u1', 'fortran_order': False, 'shape': (1000000000000000000, 8, 8, 6), }",
    "a shape beyond integers": "{'descr': '|u1', 'fortran_order': False, 'shape': (10**30, 8, 8, 6), }",
    "keys that are no text": "{b'descr': '|u1', 'fortran_order': False, 'shape': (2, 8, 8, 6), }",
    "three axes": "{'descr': '|u1', 'fortran_order': False, 'shape': (2, 64, 6), }",
    "no image": "{'descr': '|u1', 'fortran_order': False, 'shape': (0, 8, 8, 6), }",
    "no numbers": "{'descr': '|V1', 'fortran_order': False, 'shape': (2, 8, 8, 6), }",
}


@pytest.mark.parametrize("header", HEADERS.values(), ids=HEADERS)
def test_a_damaged_array_of_pannuke_is_refused(header: str, tmp_path: Path) -> None:
    images, masks = tmp_path / "images.npy", tmp_path / "masks.npy"
    np.save(images, np.zeros((2, 8, 8, 3), np.uint8))
    masks.write_bytes(npy(header))
    with pytest.raises(UserError, match=r"masks\.npy must") as refused:
        pannuke.read_row(SourceImage("a", "a", images, masks))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("content", [b"img_id,fold\na,-1\n" * 3, b"damaged"], ids=["a table", "damaged data"])
def test_damaged_labels_of_consep_are_refused(content: bytes, tmp_path: Path) -> None:
    labels, image = tmp_path / "labels.mat", tmp_path / "image.png"
    Image.new("RGB", (8, 8)).save(image)
    if content == b"damaged":
        file, types = BytesIO(), np.zeros((64, 64), np.uint8)
        savemat(file, {"type_map": types, "inst_map": types}, do_compression=True)
        whole = file.getvalue()
        content = whole[:140] + bytes([whole[140] ^ 0xFF]) + whole[141:]
    labels.write_bytes(content)
    with pytest.raises(UserError, match=r"labels\.mat must be a complete MATLAB file"):
        consep.read_image(SourceImage("a", "a", image, labels))


def test_an_archive_that_is_packed_otherwise_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "p.npz"
    np.savez_compressed(path, probabilities=np.zeros((3, 4, 5), np.float32))
    whole = bytearray(path.read_bytes())
    place = whole.rindex(b"PK\x01\x02")  # the directory of the archive
    whole[place + 8] |= 1  # says: encrypted
    path.write_bytes(whole)
    with pytest.raises(UserError, match=r"p\.npz must be a NumPy file of probabilities"):
        read_probabilities(path, None, 3, (4, 5))  # pyright: ignore[reportArgumentType] - refused before it is used
