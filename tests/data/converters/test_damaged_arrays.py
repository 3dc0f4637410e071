"""Damaged or foreign files of published data sets are refused in one line, whatever their decoder raises."""

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import loadmat, savemat

from imbalance_bench.data.converters import consep, matlab_file, pannuke
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


def matlab(*, compressed: bool) -> bytes:
    """Two label maps of 8 x 8 px."""
    file, types = BytesIO(), np.ones((8, 8), np.uint8)
    savemat(file, {"type_map": types, "inst_map": types.astype(np.int32)}, do_compression=compressed)
    return file.getvalue()


def stream_cut(content: bytes) -> bytes:
    """End the first compressed element 7 bytes early, in its middle: SciPy reads on and ends the process."""
    size = int.from_bytes(content[132:136], "little")
    cut = content[136 : 136 + size - 7]
    return content[:132] + len(cut).to_bytes(4, "little") + cut + content[136 + size :]


def changed(place: int, new: bytes) -> bytes:
    content = matlab(compressed=False)
    return content[:place] + new + content[place + len(new) :]


MATLAB_DAMAGES = {  # several of which end the process in scipy.io.loadmat
    "a stream that is cut": stream_cut(matlab(compressed=True)),
    "another version": b"A" * 128,
    "an element beyond the end": matlab(compressed=False)[:-8],
    "a tag that is cut": matlab(compressed=False) + b"\x0e",
    "a short element that is long": matlab(compressed=False) + b"\x01\x00\xff\x00aaaa",
    "an unknown type": changed(184, bytes(8)),
    "no name": changed(168, b"\x09"),
    "a size below zero": changed(160, b"\xff\xff\xff\xff"),
    "another size": changed(160, b"\x07"),
}


@pytest.mark.parametrize("content", MATLAB_DAMAGES.values(), ids=MATLAB_DAMAGES)
def test_damaged_matlab_files_are_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "labels.mat"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"labels\.mat must be a complete MATLAB file"):
        matlab_file.read_maps(path, "type_map", "inst_map")


def test_a_complex_map_without_its_second_part_is_none(tmp_path: Path) -> None:
    path = tmp_path / "labels.mat"
    path.write_bytes(changed(145, b"\x08"))
    with pytest.raises(UserError, match="Got no 'type_map'"):
        matlab_file.read_maps(path, "type_map", "inst_map")


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("dtype", ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8"])
def test_matlab_maps_are_those_that_scipy_reads(dtype: str, compressed: bool, tmp_path: Path) -> None:
    path, numbers = tmp_path / "labels.mat", np.random.default_rng(0).integers(0, 100, (7, 5))
    others = {
        "text": "a",
        "cell": np.array([1, "b"], dtype=object),
        "struct": {"x": 1},
        "complex": 1j * numbers,
        "n": 3,
    }
    savemat(path, {"type_map": numbers.astype(dtype), **others, "deep": np.ones((2, 3, 4))}, do_compression=compressed)
    names = ("type_map", "n", "deep")
    expected = loadmat(path, variable_names=list(names))
    for name, found in zip(names, matlab_file.read_maps(path, *names), strict=True):
        assert found.dtype == expected[name].dtype
        np.testing.assert_array_equal(found, expected[name])
    for name in ("text", "cell", "struct", "complex", "none"):
        with pytest.raises(UserError, match=f"Got no '{name}'"):
            matlab_file.read_maps(path, name)
