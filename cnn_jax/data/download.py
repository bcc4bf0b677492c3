"""Fetch the original files of a dataset: the one module that uses the network.

It runs only when it is asked for (``cnn-jax data download``). What was fetched of a file
waits in ``NAME.part``; the file gets its name when its SHA-256 is right. Proxies are those
of the environment (``http_proxy``, ``https_proxy``, ``no_proxy``).
"""

import errno
import hashlib
import http.client
import os
import re
import shutil
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, NamedTuple

from cnn_jax.data.partial_file import (
    begin_anew,
    open_part,
    origin_of,
    remember,
    validator_of,
)
from cnn_jax.data.published_files import IMAGENET, PUBLISHED, PublishedFile
from cnn_jax.errors import UserError
from cnn_jax.registry import lookup

ATTEMPTS = 5
"""Failures in a row, none of which brought a byte, after which to give up."""
TIMEOUT = 60.0  # seconds without a byte
CHUNK = 1 << 20
PASSING = (408, 425, 429, 500, 502, 503, 504)  # answers that another attempt may not get

Progress = Callable[[int, int | None, str], object]
"""(bytes done, of how many, what is being done)."""


class Downloaded(NamedTuple):
    """What ``download`` left behind.

    Attributes:
        directory: that holds the files.
        files: their paths.
        fetched: bytes that came over the network.
    """

    directory: Path
    files: tuple[Path, ...]
    fetched: int


class _UnfinishedError(Exception):
    """An attempt that ended too early; another one may do better."""


def download(
    name: str,
    out: Path,
    *,
    mirror: str | None = None,
    progress: Progress | None = None,
    pause: Callable[[float], object] = time.sleep,
) -> Downloaded:
    """Fetch the original files of a dataset and check them.

    A file that is there already is checked and not fetched again. A server that stops is
    asked again, after 1, 2, 4 and 8 seconds, for what is missing; so is another server, or
    the next call. If-Range sees to it that an address whose content has changed gives the
    whole of it. A server that knows no ranges begins anew.

    Args:
        name: one of ``PUBLISHED``.
        out: directory for the files; made if need be.
        mirror: address of a folder that holds the same files.
        progress: is told how many bytes of a file are there.
        pause: waits for so many seconds.

    Raises:
        UserError: an unknown name, or ImageNet, which needs an account; no such address;
            a server that stops for good (what came stays for the next call); a wrong
            checksum (the file is set aside as ``NAME.wrong-sha256``); a full disk.
    """
    if name == "imagenet2012":
        raise _needs_an_account()
    published = lookup(PUBLISHED, name, what="dataset to download")
    base = _base(published.base if mirror is None else mirror)
    told = progress or (lambda _done, _total, _what: None)
    paths, fetched = [], 0
    try:
        out.mkdir(parents=True, exist_ok=True)
        for file in published.files:
            path = out / file.name
            if path.exists():
                told(file.size, file.size, f"checking {file.name}")
                _check(path, path, file, "")
            else:
                fetched += _fetch(base + file.name, path, file, told, pause)
            paths.append(path)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise UserError(
                f"{out}: the disk is full; what was fetched stays: make room and give the"
                " same command again"
            ) from None
        raise UserError(f"{error.filename or out}: {error.strerror or error}") from None
    return Downloaded(out, tuple(paths), fetched)


def _needs_an_account() -> UserError:
    files = " and ".join(f"{file.name} ({file.size:,} bytes)" for file in IMAGENET)
    return UserError(
        "imagenet2012 is given to registered users only: register at"
        f" https://image-net.org/download-images, fetch {files}, and say where they lie:"
        " cnn-jax data prepare imagenet2012 --from DIR"
    )


def _base(address: str) -> str:
    if urllib.parse.urlsplit(address).scheme not in ("http", "https"):
        raise UserError(f"{address}: not an address; expected http://... or https://...")
    return address.rstrip("/") + "/"


def _fetch(
    url: str,
    path: Path,
    file: PublishedFile,
    told: Progress,
    pause: Callable[[float], object],
) -> int:
    """Fetch one file, as often as it takes, and return the bytes that came."""
    part = path.with_name(f"{path.name}.part")
    # Read the environment now: urlopen would keep the proxies of its first call.
    opener = urllib.request.build_opener()
    fetched, failures = 0, 0
    with open_part(part) as storage:
        most = have = storage.seek(0, os.SEEK_END)
        _check_space(path.parent, file.size - have)
        while have != file.size:
            try:
                fetched += _attempt(opener, url, storage, file, told)
                reason = "the server stopped"
            except (_UnfinishedError, OSError, http.client.HTTPException) as error:
                if isinstance(error, OSError) and error.errno in (
                    errno.ENOSPC,
                    errno.EDQUOT,
                ):
                    raise
                reason = _reason(error)
            have = storage.seek(0, os.SEEK_END)
            # A server that knows no ranges begins anew, so only more than ever counts.
            failures = 0 if have > most else failures + 1
            most = max(most, have)
            if have != file.size:
                if failures == ATTEMPTS:
                    raise UserError(
                        f"{url}: {reason} at {have:,} of {file.size:,} bytes; they stay:"
                        " the same command goes on there"
                    )
                told(have, file.size, f"{file.name}: {reason}, trying again")
                pause(2.0 ** max(failures - 1, 0))
        storage.flush()
        os.fsync(storage.fileno())
    origin_of(part).unlink(missing_ok=True)
    _check(part, path, file, f" from {url}")
    os.replace(part, path)
    return fetched


def _check_space(directory: Path, missing: int) -> None:
    free = shutil.disk_usage(directory).free
    if missing > free:
        raise UserError(f"{directory} has {free:,} bytes free; {missing:,} more are needed")


def _attempt(
    opener: urllib.request.OpenerDirector,
    url: str,
    storage: IO[bytes],
    file: PublishedFile,
    told: Progress,
) -> int:
    """Ask once for what is missing, and return the bytes that came."""
    have = storage.seek(0, os.SEEK_END)
    if have > file.size:
        have = begin_anew(storage)
    origin = origin_of(Path(storage.name))
    request = urllib.request.Request(url)
    if have:
        request.add_header("Range", f"bytes={have}-")
        if validator := validator_of(origin, url):
            request.add_header("If-Range", validator)
    answer = _answer(opener, request, storage)
    with answer:
        start = _begins_at(answer)
        if start not in (0, have):
            raise _UnfinishedError("the server sends another part than the one asked for")
        _check_length(answer, url, file.size - start, file)
        if start == 0:
            have = begin_anew(storage)
            remember(origin, url, answer.headers)
        fetched = 0
        while chunk := answer.read1(CHUNK):
            fetched += len(chunk)
            if have + fetched > file.size:
                raise _other_file(url, f"more than {file.size:,}", file)
            storage.write(chunk)
            storage.flush()  # what came is there, whatever happens next
            told(have + fetched, file.size, f"fetching {file.name}")
        return fetched


def _answer(
    opener: urllib.request.OpenerDirector,
    request: urllib.request.Request,
    storage: IO[bytes],
) -> Any:
    """Return the server's answer to a request for a file, or for the rest of it."""
    try:
        return opener.open(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        error.close()
        said = f"the server answers {error.code} {error.reason}"
        if error.code in PASSING:
            raise _UnfinishedError(said) from None
        past_the_end = error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE
        if past_the_end and request.has_header("Range"):
            begin_anew(storage)
            raise _UnfinishedError("the server has fewer bytes than are here") from None
        raise UserError(
            f"{request.full_url}: {said}; --mirror URL takes the files from elsewhere"
        ) from None


def _begins_at(answer: Any) -> int:
    """Return the position in the file of the first byte of an answer."""
    if answer.status != http.HTTPStatus.PARTIAL_CONTENT:
        return 0
    found = re.match(r"bytes (\d+)-", answer.headers.get("Content-Range", ""))
    if found is None:
        raise _UnfinishedError("the server doesn't say which part it sends")
    return int(found[1])


def _check_length(answer: Any, url: str, missing: int, file: PublishedFile) -> None:
    length = answer.headers.get("Content-Length")
    if length is not None and length.isdigit() and int(length) != missing:
        raise _other_file(url, f"{int(length) + file.size - missing:,}", file)


def _other_file(url: str, size: str, file: PublishedFile) -> UserError:
    return UserError(
        f"{url} has {size} bytes, expected {file.size:,}: it is not the published"
        f" {file.name}"
    )


def _reason(error: Exception) -> str:
    if isinstance(error, urllib.error.URLError):
        cause: Any = error.reason
        return f"no connection ({getattr(cause, 'strerror', None) or cause})"
    if isinstance(error, TimeoutError):
        return f"nothing came for {TIMEOUT:.0f} seconds"
    if isinstance(error, http.client.HTTPException | ConnectionError):
        return "the connection broke"
    return str(error)


def _check(found: Path, path: Path, file: PublishedFile, origin: str) -> None:
    """Refuse, and set aside, a file that has not the published content."""
    with found.open("rb") as content:
        sha256 = hashlib.file_digest(content, "sha256").hexdigest()
    if sha256 != file.sha256:
        aside = path.with_name(f"{path.name}.wrong-sha256")
        os.replace(found, aside)
        raise UserError(
            f"{path.name}{origin} has SHA-256 {sha256}, expected {file.sha256}; it is set"
            f" aside as {aside}, and the same command fetches it anew"
        )
