"""TLS in front of a real Redis: certificates of the tests' own, and a proxy that speaks TLS.

The server that comes with the environment has no TLS. What the processes of the ring do is real:
they verify the certificate of whoever answers, here a thread that hands the bytes on to Redis.
"""

import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from openrs_core.ring.address import address

PIECE = 1 << 16


@dataclass(frozen=True)
class Certificates:
    """Files: a certificate authority, and what it signed for `localhost`."""

    ca: Path
    cert: Path
    key: Path


def make_certificates(directory: Path) -> Certificates:
    """Made with the openssl command; skips where there is none."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl command to make certificates with")
    made = Certificates(*(directory / name for name in ("ca.pem", "server.pem", "server.key")))
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc"]
    _openssl(
        "req", "-x509", *curve, "-days", "2", "-subj", "/CN=openrs tests", "-out", made.ca,
        "-keyout", directory / "ca.key",
    )  # fmt: skip
    _openssl(
        "req", *curve, "-subj", "/CN=localhost", "-keyout", made.key, "-out", directory / "csr",
    )  # fmt: skip
    (directory / "names").write_text("subjectAltName=DNS:localhost\n")
    _openssl(
        "x509", "-req", "-in", directory / "csr", "-CA", made.ca, "-CAkey", directory / "ca.key",
        "-CAcreateserial", "-days", "2", "-extfile", directory / "names", "-out", made.cert,
    )  # fmt: skip
    return made


@contextmanager
def tls_port(redis_url: str, made: Certificates, *, mutual: bool = False) -> Iterator[int]:
    """A port of 127.0.0.1 that speaks TLS and leads to a Redis on a unix socket."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(made.cert, made.key)
    if mutual:
        context.verify_mode = ssl.CERT_REQUIRED
        # with TLS 1.3 a refused client learns the reason, or of a broken pipe, whichever is first
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.load_verify_locations(made.ca)
    with port_to(redis_url, context) as port:
        yield port


@contextmanager
def port_to(redis_url: str, context: ssl.SSLContext | None = None) -> Iterator[int]:
    """A port of 127.0.0.1 that leads to a Redis on a unix socket, in the clear or through TLS."""
    path = address(redis_url, {}).shown.removeprefix("unix://")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=_accept, args=(listener, path, context), daemon=True).start()
        yield listener.getsockname()[1]
        with suppress(OSError):  # wakes the thread, which a close alone would not
            listener.shutdown(socket.SHUT_RDWR)


def _accept(listener: socket.socket, path: str, context: ssl.SSLContext | None) -> None:
    while True:
        try:
            client, _ = listener.accept()
        except OSError:  # the test is over
            return
        threading.Thread(target=_serve, args=(client, path, context), daemon=True).start()


def _serve(client: socket.socket, path: str, context: ssl.SSLContext | None) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        try:
            if context:
                client = context.wrap_socket(client, server_side=True)
            server.connect(path)
        except OSError:  # no handshake: the client has its reason
            client.close()
            return
        back = threading.Thread(target=_pump, args=(server, client), daemon=True)
        back.start()
        _pump(client, server)
        back.join()
    client.close()


def _pump(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while piece := source.recv(PIECE):
            target.sendall(piece)
    for end in (source, target):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


def _openssl(*arguments: str | Path) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)
