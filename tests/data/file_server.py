"""A server of a few bytes on loopback that can misbehave as it is told."""

import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Served:
    """What is served, how, and what was asked.

    Attributes:
        files: by path.
        ranges: whether a part can be asked for.
        stops: for each request in turn, after how many bytes of the answer to hang up.
        statuses: for each request in turn, an error to answer with; 0 for none.
        etag: version of all files.
        length: whether Content-Length is sent.
        asked: (path, Range, If-Range) of each request.
        address: of the server.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    ranges: bool = True
    stops: list[int] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    etag: str = '"one"'
    length: bool = True
    asked: list[tuple[str, str | None, str | None]] = field(default_factory=list)
    address: str = ""


@contextmanager
def serve():
    """Serve on a free port of loopback."""
    served = Served()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def do_GET(self):
            wanted, version = self.headers.get("Range"), self.headers.get("If-Range")
            served.asked.append((self.path, wanted, version))
            status = served.statuses.pop(0) if served.statuses else 0
            content = served.files.get(self.path)
            if status or content is None:
                self.send_error(status or 404)
                return
            start = 0
            if wanted and served.ranges and version in (None, served.etag):
                start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            if start >= len(content) and start:
                self.send_error(416)
                return
            self.send_response(206 if start else 200)
            if start:
                total = len(content)
                self.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
            if served.length:
                self.send_header("Content-Length", str(len(content) - start))
            self.send_header("ETag", served.etag)
            self.end_headers()
            stop = served.stops.pop(0) if served.stops else len(content)
            self.wfile.write(content[start : start + stop])

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served.address = f"http://127.0.0.1:{server.server_port}"
    # The default looks for a call to shut down every half second.
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
