"""How the agent's calls leave a login node: through a proxy, and to a service whose certificate is a private one."""

from __future__ import annotations

import ipaddress
import ssl
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest
from agent_site import Service, Site
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with closing(Service()) as service, closing(Site(tmp_path, service)) as made:
        yield made


@contextmanager
def listening(handler: type, wrap: ssl.SSLContext | None = None) -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        if wrap is not None:
            server.socket = wrap.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


def serve_at(site: Site, url: str) -> None:
    site.config.write_text(site.config.read_text().replace(f'"{site.service.url}"', f'"{url}"'))


def once(site: Site) -> tuple[int, str]:
    agent = site.start("--once")
    _, words = agent.communicate(timeout=60)
    return agent.returncode, words


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate of 127.0.0.1, signed by itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "private authority")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    cert, private = folder / "cert.pem", folder / "key.pem"
    cert.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return cert, private


def test_a_proxy_carries_the_agents_calls(site: Site) -> None:
    asked: list[str] = []

    class Proxy(site.service.server.RequestHandlerClass):  # type: ignore[misc,name-defined]
        def do_POST(self) -> None:  # noqa: N802 - http.server's name
            asked.append(self.path)
            self.path = self.path.removeprefix("http://localhost:1")
            super().do_POST()

    serve_at(site, "http://localhost:1/api")
    with listening(Proxy) as port:
        site.environment = {"HTTP_PROXY": f"http://127.0.0.1:{port}", "NO_PROXY": ""}
        status, words = once(site)
    assert (status, asked) == (0, ["http://localhost:1/api/v1/sites/theta/sync"]), words
    assert site.service.holding == [set()]


def test_a_private_authority_is_trusted_where_its_file_is_named_and_else_the_cure_is(site: Site) -> None:
    cert, key = certificate(site.home)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    with listening(site.service.server.RequestHandlerClass, context) as port:
        serve_at(site, f"https://127.0.0.1:{port}/api")
        status, words = once(site)
        assert (status, "REQUESTS_CA_BUNDLE" in words) == (75, True), words
        assert site.service.holding == []
        site.environment = {"REQUESTS_CA_BUNDLE": str(cert)}
        status, words = once(site)
        assert (status, site.service.holding) == (0, [set()]), words


def test_plain_http_to_another_machine_is_refused_before_the_token_leaves(site: Site) -> None:
    serve_at(site, "http://qstage.example/api")
    status, words = once(site)
    assert status == 1
    assert "plain http to another machine" in words
