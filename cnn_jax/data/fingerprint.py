"""The SHA-256 of a dataset's content, independent of how it is packed."""

import hashlib
from collections.abc import Iterable

import numpy as np

from cnn_jax.data.stored_files import StoredFiles

WHOLE = 1 << 30
"""Bytes up to which the content of files is read to make a fingerprint (1 GiB)."""

CONTENT = "names and content of all files"
NAMES = "names and sizes of all files (more than 1 GiB, so their content is not read)"


def fingerprint(parts: Iterable[tuple[str, bytes]]) -> str:
    """Return SHA-256 (hex) over named pieces of content, in the order of their names.

    Each piece enters as name, length of the content, content; the separators keep two
    different lists of pieces from giving one stream.

    Args:
        parts: (name, content) with unique names. Names that are not valid UTF-8 on disk
            carry Python's surrogate escapes.
    """
    return _digest(sorted(parts))


def fingerprint_of_files(*files: StoredFiles) -> tuple[str, str]:
    """Return the SHA-256 (hex) of files, and by which rule it was made.

    Up to 1 GiB, it is the ``fingerprint`` of names and contents; of more, that of names
    and sizes.

    Raises:
        UserError: a file can't be read.
    """
    named = sorted(
        (some.name(i), s, i) for s, some in enumerate(files) for i in range(len(some))
    )
    if sum(int(some.sizes.sum()) for some in files) > WHOLE:
        sizes = ((name, b"%d" % files[s].sizes[i]) for name, s, i in named)
        return _digest(sizes), NAMES
    return _digest((name, files[s].read(i).content) for name, s, i in named), CONTENT


def fingerprint_of_arrays(**arrays: np.ndarray) -> str:
    """Return the ``fingerprint`` of named arrays of uint8 or int32."""
    return fingerprint(
        (name, np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes())
        for name, array in arrays.items()
    )


def _digest(ordered: Iterable[tuple[str, bytes]]) -> str:
    digest = hashlib.sha256()
    for name, content in ordered:
        digest.update(name.encode("utf-8", "surrogateescape"))
        digest.update(b"\0%d\0" % len(content))
        digest.update(content)
    return digest.hexdigest()
