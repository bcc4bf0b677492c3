"""The SHA-256 of a dataset's content, independent of how it is packed."""

import hashlib
from collections.abc import Iterable


def fingerprint(parts: Iterable[tuple[str, bytes]]) -> str:
    """Return SHA-256 (hex) over named pieces of content, in the order of their names.

    Each piece enters as name, length of the content, content; the separators keep two
    different lists of pieces from giving one stream.

    Args:
        parts: (name, content) with unique names. Names that are not valid UTF-8 on disk
            carry Python's surrogate escapes.
    """
    digest = hashlib.sha256()
    for name, content in sorted(parts):
        digest.update(name.encode("utf-8", "surrogateescape"))
        digest.update(b"\0%d\0" % len(content))
        digest.update(content)
    return digest.hexdigest()
