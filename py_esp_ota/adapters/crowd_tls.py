"""TLS for a crowd of clients in one process: few contexts, and handshakes that go on from an earlier one.

A context with the system's authorities takes most of a megabyte, so the crowd shares one, which has the certificate of
whoever connects at this moment: OpenSSL copies it into the connection that is made of it.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from pathlib import Path

from cryptography import x509

from py_esp_ota.adapters.certificates import CertificateFiles
from py_esp_ota.adapters.line import Wrap


class CrowdContexts:
    """The TLS context of a client id, good until the next one is asked for; what ``CrowdMqtt`` takes as ``tls``.

    Args:
        ca_file: the authority to trust; those of the system when not given.
        files: whose certificate and key a client shows.
        alpn: the protocol to offer.
    """

    def __init__(
        self, ca_file: Path | None, files: Callable[[str], CertificateFiles], *, alpn: str | None = None
    ) -> None:
        self._ca_file = ca_file
        self._files = files
        self._alpn = alpn
        # A context has room for one certificate of each kind of key, and shows the one that the server likes better.
        self._contexts: dict[str, ssl.SSLContext] = {}

    def __call__(self, client_id: str) -> ssl.SSLContext:
        """Raises ``OSError`` for files that cannot be read or are no pair, ``ValueError`` for no certificate."""
        files = self._files(client_id)
        kind = _kind_of(files.cert)
        if kind not in self._contexts:
            self._contexts[kind] = self._made()
        self._contexts[kind].load_cert_chain(files.cert, files.key)
        return self._contexts[kind]

    def _made(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self._ca_file)
        context.options |= ssl.OP_NO_RENEGOTIATION  # in the middle of which a write would wait for a read
        if self._alpn is not None:
            context.set_alpn_protocols([self._alpn])
        return context


def _kind_of(cert: Path) -> str:
    try:
        return type(x509.load_pem_x509_certificate(cert.read_bytes()).public_key()).__name__
    except ValueError as error:
        raise ValueError(f"{cert} is no certificate: {error}") from None


class Handshakes:
    """How the connections of a crowd get their TLS: a client that was there before goes on from its last session.

    The server believes whoever goes on from a session to be who began it, so each client has its own.

    Args:
        contexts: gives the context of a client id; it is used at once.
        resume: whether to go on from earlier sessions at all; chips do not by themselves.
    """

    def __init__(self, contexts: Callable[[str], ssl.SSLContext], *, resume: bool) -> None:
        self.full = 0
        self.resumed = 0
        self._contexts = contexts
        self._resume = resume
        self._sessions: dict[str, tuple[ssl.SSLContext, ssl.SSLSession]] = {}

    def wrap(self, client_id: str) -> Wrap:
        """For one connection of a client."""

        def wrapped(sock: socket.socket, host: str) -> ssl.SSLSocket:
            context = self._contexts(client_id)
            owner, session = self._sessions.pop(client_id, (None, None))  # one that fails is not tried again
            return context.wrap_socket(
                sock,
                server_hostname=host,
                do_handshake_on_connect=False,
                session=session if owner is context else None,
            )

        return wrapped

    def done(self, client_id: str, sock: ssl.SSLSocket) -> None:
        """A connection was made and the server has said its first word, behind which its tickets have come."""
        if sock.session_reused:
            self.resumed += 1
        else:
            self.full += 1
        if self._resume and (session := sock.session) is not None:
            self._sessions[client_id] = sock.context, session
