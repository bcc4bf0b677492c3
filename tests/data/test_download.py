"""Downloads from a server on loopback: whole, resumed, broken, wrong."""

import errno
import hashlib
import os
import re
from pathlib import Path

import pytest

import cnn_jax
from cnn_jax.data import download as module
from cnn_jax.data.download import ATTEMPTS, download
from cnn_jax.data.partial_file import open_part
from cnn_jax.data.published_files import IMAGENET, PUBLISHED, Published, PublishedFile
from cnn_jax.errors import UserError
from tests.data.file_server import serve

CONTENT = {
    "a.gz": bytes(range(256)) * 4,
    "b.gz": b"second",
}


@pytest.fixture
def server(monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    with serve() as served:
        served.files = {f"/set/{name}": content for name, content in CONTENT.items()}
        files = tuple(
            PublishedFile(name, len(content), hashlib.sha256(content).hexdigest())
            for name, content in CONTENT.items()
        )
        monkeypatch.setitem(PUBLISHED, "mnist", Published(served.address + "/set/", files))
        yield served


@pytest.fixture
def pauses():
    return []


@pytest.fixture
def fetch(server, tmp_path, pauses):
    """Download ``mnist`` into tmp_path / "out" without waiting."""

    def call(**options):
        return download("mnist", tmp_path / "out", pause=pauses.append, **options)

    return call


def contents(directory):
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def test_all_files_come_and_are_not_fetched_again(fetch, server, pauses):
    told = []
    done = fetch(progress=lambda *numbers: told.append(numbers))
    assert contents(done.directory) == CONTENT
    assert done.files == tuple(done.directory / name for name in CONTENT)
    assert done.fetched == sum(map(len, CONTENT.values()))
    assert (1024, 1024, "fetching a.gz") in told
    assert [path for path, *_ in server.asked] == ["/set/a.gz", "/set/b.gz"]
    assert fetch().fetched == 0
    assert len(server.asked) == 2
    assert pauses == []


def test_a_server_that_stops_is_asked_for_the_rest(fetch, server, pauses):
    server.stops = [300, 200]
    done = fetch()
    assert contents(done.directory) == CONTENT
    assert done.fetched == sum(map(len, CONTENT.values()))
    assert server.asked[:3] == [
        ("/set/a.gz", None, None),
        ("/set/a.gz", "bytes=300-", '"one"'),
        ("/set/a.gz", "bytes=500-", '"one"'),
    ]
    assert pauses == [1.0, 1.0]


def test_a_server_that_stops_for_good_leaves_what_came_for_the_same_command(
    fetch, server, pauses, tmp_path
):
    server.stops = [300, *[0] * ATTEMPTS]
    with pytest.raises(UserError, match="the server stopped at 300 of 1,024 bytes"):
        fetch()
    assert pauses == [1.0, 1.0, 2.0, 4.0, 8.0]
    assert contents(tmp_path / "out")["a.gz.part"] == CONTENT["a.gz"][:300]
    asked = len(server.asked)
    done = fetch()
    assert contents(done.directory) == CONTENT
    assert server.asked[asked] == ("/set/a.gz", "bytes=300-", '"one"')
    assert done.fetched == 724 + 6


def test_a_server_without_ranges_begins_anew(fetch, server):
    server.ranges, server.stops = False, [1000, 900]
    done = fetch()
    assert contents(done.directory) == CONTENT
    assert done.fetched == 1000 + 900 + 1024 + 6


def test_a_server_without_ranges_that_always_stops_is_given_up(fetch, server):
    server.ranges, server.stops = False, [1000] * 20
    with pytest.raises(UserError, match="stopped at 1,000 of 1,024 bytes"):
        fetch()
    assert len(server.asked) == 1 + ATTEMPTS


def test_a_version_that_has_changed_is_fetched_whole(fetch, server, tmp_path):
    server.statuses, server.stops = [0, *[503] * ATTEMPTS], [300]
    with pytest.raises(UserError, match="answers 503 Service Unavailable at 300"):
        fetch()
    server.etag = '"two"'
    part = tmp_path / "out" / "a.gz.part"
    part.write_bytes(b"x" * 300)  # of the old version
    assert contents(fetch().directory) == CONTENT
    assert server.asked[-2] == ("/set/a.gz", "bytes=300-", '"one"')


def test_more_bytes_than_the_server_has_are_given_up(fetch, server, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.gz.part").write_bytes(b"x" * 1000)
    server.files["/set/a.gz"] = CONTENT["a.gz"][:900]
    with pytest.raises(UserError, match="has 900 bytes, expected 1,024"):
        fetch()
    assert [asked for _, asked, _ in server.asked] == ["bytes=1000-", None]


def test_a_mirror_goes_on_where_another_server_stopped(fetch, server):
    server.stops = [300, *[0] * ATTEMPTS]
    with pytest.raises(UserError, match="stopped"):
        fetch()
    server.files = {f"/elsewhere/{name}": content for name, content in CONTENT.items()}
    server.etag, asked = '"of the mirror"', len(server.asked)
    done = fetch(mirror=f"{server.address}/elsewhere")
    assert contents(done.directory) == CONTENT
    # The old server's version says nothing here; the checksum does.
    assert server.asked[asked] == ("/elsewhere/a.gz", "bytes=300-", None)


def test_a_partial_file_that_is_whole_or_too_long(fetch, server, tmp_path):
    (tmp_path / "out").mkdir()
    part = tmp_path / "out" / "a.gz.part"
    part.write_bytes(CONTENT["a.gz"])  # killed before it got its name
    assert fetch().fetched == 6
    (tmp_path / "out" / "a.gz").unlink()
    part.write_bytes(CONTENT["a.gz"] + b"more")
    assert contents(fetch().directory) == CONTENT


@pytest.mark.parametrize("length", [True, False])
def test_a_wrong_checksum_sets_the_file_aside(fetch, server, tmp_path, length):
    server.length, server.files["/set/a.gz"] = length, b"\0" * 1024
    wrong = hashlib.sha256(b"\0" * 1024).hexdigest()
    right = hashlib.sha256(CONTENT["a.gz"]).hexdigest()
    with pytest.raises(UserError, match=f"has SHA-256 {wrong}, expected {right}"):
        fetch()
    assert contents(tmp_path / "out") == {"a.gz.wrong-sha256": b"\0" * 1024}
    server.files["/set/a.gz"] = CONTENT["a.gz"]
    assert contents(fetch().directory) == CONTENT | {"a.gz.wrong-sha256": b"\0" * 1024}


def test_a_wrong_file_that_was_there_is_set_aside_too(fetch, server, tmp_path):
    fetch()
    (tmp_path / "out" / "b.gz").write_bytes(b"edited")
    with pytest.raises(UserError, match=r"b\.gz has SHA-256 .* set aside"):
        fetch()
    assert contents(fetch().directory) == CONTENT | {"b.gz.wrong-sha256": b"edited"}


@pytest.mark.parametrize("length", [True, False])
def test_another_file_at_the_address_is_refused_by_its_size(fetch, server, length):
    server.length, server.files["/set/a.gz"] = length, bytes(5000)
    found = "5,000" if length else "more than 1,024"
    with pytest.raises(UserError, match=f"has {found} bytes, expected 1,024"):
        fetch()


def test_no_such_address_is_one_line_that_names_the_way_out(fetch, server):
    with pytest.raises(UserError, match=r"404 Not Found; --mirror URL") as told:
        fetch(mirror=f"{server.address}/nowhere/")
    assert f"{server.address}/nowhere/a.gz" in str(told.value)
    assert len(server.asked) == 1
    with pytest.raises(UserError, match="ftp://a/b: not an address"):
        fetch(mirror="ftp://a/b")


def test_passing_errors_are_tried_again(fetch, server, pauses):
    server.statuses = [503, 500, 429]
    assert contents(fetch().directory) == CONTENT
    assert pauses == [1.0, 2.0, 4.0]


def test_no_server_at_all(fetch, server, pauses):
    with pytest.raises(UserError, match=r"no connection \(Connection refused\)"):
        fetch(mirror="http://127.0.0.1:9")  # discard: nobody listens there
    assert pauses == [1.0, 2.0, 4.0, 8.0]


def test_the_proxy_of_the_environment_is_used(fetch, server, monkeypatch):
    monkeypatch.setenv("http_proxy", server.address)
    # A proxy is asked for the whole address; .invalid has none of its own (RFC 2606).
    server.files = {f"http://data.invalid/{n}": c for n, c in CONTENT.items()}
    assert contents(fetch(mirror="http://data.invalid").directory) == CONTENT
    assert server.asked[0][0] == "http://data.invalid/a.gz"


def test_a_full_disk_is_said_and_nothing_is_lost(fetch, server, monkeypatch, tmp_path):
    monkeypatch.setattr(module, "CHUNK", 256)
    written = []

    def full(done, *_):
        written.append(done)
        if done >= 512:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(UserError, match="the disk is full; what was fetched stays"):
        fetch(progress=full)
    kept = contents(tmp_path / "out")["a.gz.part"]
    assert kept == CONTENT["a.gz"][: len(kept)]
    assert len(kept) == written[-1] >= 512
    assert contents(fetch().directory) == CONTENT


def test_too_little_space_is_said_at_once(fetch, server, monkeypatch):
    usage = module.shutil.disk_usage("/")._replace(free=100)
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(UserError, match="100 bytes free; 1,024 more are needed"):
        fetch()
    assert server.asked == []


def test_two_processes_do_not_write_one_file(fetch, tmp_path):
    (tmp_path / "out").mkdir()
    with (
        open_part(tmp_path / "out" / "a.gz.part"),
        pytest.raises(UserError, match="being fetched by another process"),
    ):
        fetch()


def test_imagenet_and_unknown_names_are_refused_with_what_to_do(tmp_path):
    with pytest.raises(UserError, match=r"register at https://image-net\.org") as told:
        download("imagenet2012", tmp_path)
    assert all(file.name in str(told.value) for file in IMAGENET)
    with pytest.raises(UserError, match="did you mean mnist"):
        download("mnits", tmp_path)


def test_the_table_is_whole():
    assert set(PUBLISHED) == {
        *("mnist", "fashion_mnist", "cifar10", "cifar100", "svhn_cropped")
    }
    files = [f for p in PUBLISHED.values() for f in p.files] + list(IMAGENET)
    assert len({file.sha256 for file in files}) == len(files) == 14
    for file in files:
        assert re.fullmatch("[0-9a-f]{64}", file.sha256)


def test_no_other_module_can_reach_the_network():
    modules = "urllib|http|socket|ssl|ftplib|requests|httpx|aiohttp"
    imports = re.compile(rf"^\s*(?:import|from)\s+(?:{modules})\b", re.MULTILINE)
    package = Path(cnn_jax.__file__).parent
    using = {
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        if imports.search(path.read_text(encoding="utf-8"))
    }
    assert using == {"data/download.py"}
