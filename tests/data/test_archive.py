import gzip
import io
import lzma
import tarfile

import pytest

from cnn_jax.data.archive import first_file, is_archive, read_archive, read_inner_archive
from cnn_jax.data.stored_files import Stretch, read_stored
from cnn_jax.errors import UserError

FORMATS = [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]
PACKERS = {"": bytes, ".gz": gzip.compress, ".xz": lzma.compress}


def member(name, **fields):
    info = tarfile.TarInfo(name)
    for field, value in fields.items():
        setattr(info, field, value)
    return info


def tar_bytes(members, format=tarfile.GNU_FORMAT):
    """A tar of (name, content) pairs and ready-made member heads."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=format) as tar:
        for entry in members:
            if isinstance(entry, tarfile.TarInfo):
                tar.addfile(entry)
            else:
                name, content = entry
                tar.addfile(member(name, size=len(content)), io.BytesIO(content))
    return packed.getvalue()


def loaded(path):
    return {
        parts: None if content is None else read_stored(content)
        for parts, content in read_archive(path).items()
    }


def refusal(tmp_path, content):
    path = tmp_path / "a.tar"
    path.write_bytes(content)
    with pytest.raises(UserError) as caught:
        read_archive(path)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    return message


@pytest.mark.parametrize("suffix", PACKERS)
@pytest.mark.parametrize("format", FORMATS)
def test_every_tar_format_reads_as_the_standard_library_reads_it(tmp_path, format, suffix):
    names = [
        "train/cat/a.png",
        "./train/dog//b.png",
        "train/bär/ä€.png",
        "/".join(["train", "y" * 90, "z" * 60 + ".png"]),  # 161 letters: the prefix
    ]
    if format != tarfile.USTAR_FORMAT:
        names.append("train/" + "x" * 120 + "/" + "y" * 150)
    contents = [bytes([i]) * (i * 511) for i in range(len(names))]  # 0, 511, 1022, ...
    members = [
        member("train", type=tarfile.DIRTYPE),
        member("empty/", type=tarfile.DIRTYPE),
        *zip(names, contents, strict=True),
    ]
    path = tmp_path / "archive"
    path.write_bytes(PACKERS[suffix](tar_bytes(members, format)))
    expected = {
        tuple(part for part in name.split("/") if part not in ("", ".")): content
        for name, content in zip(names, contents, strict=True)
    }
    expected |= {("train",): None, ("empty",): None}
    assert loaded(path) == expected
    assert is_archive(path)
    assert first_file(path) == ("train", "cat", "a.png")


def test_the_last_of_two_members_with_one_name_counts(tmp_path):
    path = tmp_path / "a.tar"
    path.write_bytes(tar_bytes([("a", b"old"), ("b", b"x"), ("a", b"new")]))
    assert loaded(path) == {("a",): b"new", ("b",): b"x"}


def test_global_pax_headers_are_passed_over(tmp_path):
    packed = io.BytesIO()
    with tarfile.open(
        fileobj=packed,
        mode="w",
        format=tarfile.PAX_FORMAT,
        pax_headers={"comment": "x" * 40},
    ) as tar:
        tar.addfile(member("a", size=1), io.BytesIO(b"1"))
    (tmp_path / "a.tar").write_bytes(packed.getvalue())
    assert loaded(tmp_path / "a.tar") == {("a",): b"1"}


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (("train/../../out.png", b"1"), "the name with '..'"),
        (("..", b"1"), "the name with '..'"),
        (("/train/cat/a.png", b"1"), "the absolute name"),
        (member("l", type=tarfile.SYMTYPE, linkname="/etc/passwd"), "the symbolic link"),
        (member("l", type=tarfile.LNKTYPE, linkname="ok"), "the hard link"),
        (member("d", type=tarfile.CHRTYPE), "the device"),
        (member("d", type=tarfile.BLKTYPE), "the device"),
        (member("p", type=tarfile.FIFOTYPE), "the named pipe"),
        (member("s", type=b"S"), "the sparse file"),
        (member("s", type=b"V"), "the member of unknown type"),
    ],
)
def test_a_dangerous_member_anywhere_refuses_the_whole_archive(
    tmp_path, format, bad, reason
):
    message = refusal(tmp_path, tar_bytes([("ok", b"1"), bad, ("ok2", b"2")], format))
    assert f"is refused because of {reason}" in message
    assert "only plain files and folders" in message
    assert [p.name for p in tmp_path.iterdir()] == ["a.tar"]  # nothing was written


@pytest.mark.parametrize("format", FORMATS[1:])
def test_a_dangerous_long_name_is_refused(tmp_path, format):
    for bad in (
        ("../" + "x" * 200, b"1"),
        ("/" + "x" * 200, b"1"),
        member("l", type=tarfile.SYMTYPE, linkname="x" * 200),
    ):
        assert "is refused" in refusal(tmp_path, tar_bytes([bad], format))


def test_a_plain_archive_cut_anywhere_is_an_error(tmp_path):
    whole = tar_bytes([("a", b"1" * 700), ("b", b"2" * 10)])
    # a: head 0, content 512..1212 (padded 1536); b: head 1536, content 2048; end 2560.
    for cut in (0, 100, 512, 1000, 1536, 1600, 2048, 2050, 2560, 2800):
        message = refusal(tmp_path, whole[:cut])
        assert "truncated or damaged" in message, cut
    (tmp_path / "a.tar").write_bytes(whole[:3072])  # one zero block is enough of an end
    assert len(read_archive(tmp_path / "a.tar")) == 2


@pytest.mark.parametrize("suffix", [".gz", ".xz"])
def test_a_packed_archive_cut_or_changed_is_an_error(tmp_path, suffix):
    noise = bytes(i * i % 251 for i in range(5000))
    whole = PACKERS[suffix](tar_bytes([("a", noise)]))
    for cut in (7, len(whole) // 2, len(whole) - 1):
        assert "truncated or damaged" in refusal(tmp_path, whole[:cut]), cut
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 0xFF
    assert "truncated or damaged" in refusal(tmp_path, flipped)


def test_a_damaged_head_in_the_middle_is_an_error_and_no_early_end(tmp_path):
    content = bytearray(tar_bytes([("a", b"1"), ("b", b"2"), ("c", b"3")]))
    content[1024] ^= 1  # the name of b
    assert "no tar header at byte 1024" in refusal(tmp_path, content)


def test_a_size_that_is_no_number_is_an_error(tmp_path):
    for text in (b"-0000000001\0", b"zzz\0", b"\xff" * 12):
        content = bytearray(tar_bytes([("a", b"1")]))
        content[124 : 124 + len(text)] = text
        content[148:156] = b" " * 8
        content[148:156] = b"%06o\0 " % sum(content[:512])
        assert "truncated or damaged" in refusal(tmp_path, content)


def test_a_size_in_base_256_is_read(tmp_path):
    content = bytearray(tar_bytes([("a", b"123")]))
    content[124:136] = b"\x80" + (3).to_bytes(11, "big")
    content[148:156] = b" " * 8
    content[148:156] = b"%06o\0 " % sum(content[:512])
    (tmp_path / "a.tar").write_bytes(content)
    assert loaded(tmp_path / "a.tar") == {("a",): b"123"}


def test_other_files_are_no_archives(tmp_path):
    others = {
        "text": b"hello " * 200,
        "short": b"x",
        "none": b"",
        "zeros": bytes(1024),
        "gz": gzip.compress(b"hello " * 200),
        "xz": lzma.compress(b"hello " * 200),
        "cut.gz": gzip.compress(b"hello " * 200)[:12],
        "bad.xz": b"\xfd7zXZ\x00" + b"?" * 30,
    }
    for name, content in others.items():
        (tmp_path / name).write_bytes(content)
        assert not is_archive(tmp_path / name), name
    assert not is_archive(tmp_path)
    with pytest.raises(UserError, match=r"text is .*no tar archive \(expected"):
        read_archive(tmp_path / "text")
    assert first_file(tmp_path / "text") is None


def test_a_plain_archive_is_read_where_it_lies(tmp_path):
    path = tmp_path / "a.tar"
    path.write_bytes(tar_bytes([("a", b"123"), ("b", b"4" * 600)]))
    found = read_archive(path)
    assert found == {
        ("a",): Stretch(str(path), 512, 3),
        ("b",): Stretch(str(path), 1536, 600),
    }
    path.write_bytes(path.read_bytes()[:1600])
    with pytest.raises(UserError, match="shorter than it was"):
        read_stored(found["b",])
    path.unlink()
    with pytest.raises(UserError, match=r"a\.tar can't be read: No such file"):
        read_stored(found["a",])


def test_an_archive_in_an_archive_is_read_and_held_to_its_end(tmp_path):
    path = tmp_path / "a.tar"
    inner = tar_bytes([("x", b"12"), ("y/z", b"3")])
    path.write_bytes(tar_bytes([("first", b"0"), ("inner.tar", inner), ("last", b"9")]))
    place = read_archive(path)["inner.tar",]
    found = read_inner_archive(place, "a.tar!inner.tar")
    assert {p: read_stored(c) for p, c in found.items()} == {
        ("x",): b"12",
        ("y", "z"): b"3",
    }
    cut = place._replace(size=600)  # what follows in the file is not the inner archive's
    with pytest.raises(UserError, match=r"a\.tar!inner\.tar is truncated or damaged"):
        read_inner_archive(cut, "a.tar!inner.tar")
