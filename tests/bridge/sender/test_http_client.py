"""One POST: every response and every network error, over real sockets."""

from __future__ import annotations

import select
import socket
import ssl
import threading
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Self

import pytest

from bridge.sender.http_client import HttpClient
from tests.fake_pulsora import Fault, Reply, ScriptedPulsora, page

TOKEN = "sec_test_fake"
BODY = (
    b'{"type":"revenue","token":"sec_test_fake","data":{"visitor_fingerprint":"fp","session_id":"s",'
    b'"customer_id":"cus_1","amount":49.99,"transaction_id":"in_1"}}'
)


def test_an_accepted_event_is_a_202(pulsora: ScriptedPulsora, client: HttpClient) -> None:
    response = client.post(pulsora.endpoint, TOKEN, BODY)

    assert (response.status, response.reason, response.is_page) == (202, "", False)


def test_the_request_is_what_the_reference_asks_for(pulsora: ScriptedPulsora, client: HttpClient) -> None:
    client.post(pulsora.endpoint, TOKEN, BODY)

    (request,) = pulsora.received
    assert request.body == BODY
    assert request.headers["x-api-token"] == TOKEN
    assert request.headers["content-type"] == "application/json"
    assert request.headers["user-agent"].startswith("pulsora-bridge/")


def test_posts_of_one_thread_share_a_connection(pulsora: ScriptedPulsora, client: HttpClient) -> None:
    for _ in range(3):
        client.post(pulsora.endpoint, TOKEN, BODY)

    assert pulsora.connections == 1


@pytest.mark.parametrize(
    ("reply", "status", "reason"),
    [
        (Reply(status=200), 200, ""),
        (Reply(status=204, body=b""), 204, ""),
        (Reply(status=400, body=b'{"message": "amount is required"}'), 400, "amount is required"),
        (Reply(status=401, body=b'{"error": "Invalid API token"}'), 401, "Invalid API token"),
        (Reply(status=500, body=b"Internal Server Error"), 500, ""),
        (Reply(status=500, body=b"\xff\xfe" * 300_000), 500, ""),
        (Reply(status=502, body=b"[" * 100_000), 502, ""),
        (Reply(status=503, body=b'{"message": 7}'), 503, ""),
        (Reply(fault=Fault.CUT), 202, ""),
    ],
)
def test_an_answer_comes_with_its_sentence(
    pulsora: ScriptedPulsora, client: HttpClient, reply: Reply, status: int, reason: str
) -> None:
    pulsora.script(reply)

    response = client.post(pulsora.endpoint, TOKEN, BODY)

    assert (response.status, response.reason) == (status, reason)


def test_the_reason_holds_no_token_no_address_and_no_terminal_code(
    pulsora: ScriptedPulsora, client: HttpClient
) -> None:
    said = '{"message": "\\u001b[2Jtoken sec_other1 of anna@example.com or odd token refused\\u2028"}'
    pulsora.script(Reply(status=400, body=said.encode()))

    response = client.post(pulsora.endpoint, "odd token", BODY)

    assert response.reason == "[2Jtoken [hidden] of [hidden] or [hidden] refused"


def test_a_long_reason_is_cut(pulsora: ScriptedPulsora, client: HttpClient) -> None:
    pulsora.script(Reply(status=400, body=b'{"message": "' + b"no " * 1000 + b'"}'))

    response = client.post(pulsora.endpoint, TOKEN, BODY)

    assert len(response.reason) <= 300


def test_retry_after_is_handed_on_as_it_came(pulsora: ScriptedPulsora, client: HttpClient) -> None:
    pulsora.script(Reply(status=429, headers={"Retry-After": "Sat, 01 Mar 2025 12:05:00 GMT"}))

    response = client.post(pulsora.endpoint, TOKEN, BODY)

    assert response.retry_after == "Sat, 01 Mar 2025 12:05:00 GMT"


def test_a_web_page_is_distinguished_from_the_api(pulsora: ScriptedPulsora, client: HttpClient) -> None:
    pulsora.script(page(200))

    response = client.post(pulsora.endpoint, TOKEN, BODY)

    assert response.is_page


def test_a_redirect_is_not_followed(pulsora: ScriptedPulsora, client: HttpClient) -> None:
    pulsora.script(Reply(status=307, headers={"Location": pulsora.endpoint}))

    response = client.post(pulsora.endpoint, TOKEN, BODY)

    assert response.status == 307
    assert len(pulsora.received) == 1


def test_the_endless_body_of_a_redirect_is_not_read(pulsora: ScriptedPulsora, client: HttpClient) -> None:
    pulsora.script(Reply(fault=Fault.FLOOD))

    response = client.post(pulsora.endpoint, TOKEN, BODY)

    assert response.status == 302
    assert response.took_ms < 800


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (Fault.HANG, "the response timed out"),
        (Fault.DRIP, "the response timed out"),
        (Fault.RESET, "the connection was reset"),
        (Fault.CLOSE, "the connection was closed without a response"),
        (Fault.NOISE, "the response is not HTTP"),
    ],
)
def test_a_fault_of_the_network_is_a_value(
    pulsora: ScriptedPulsora, client: HttpClient, fault: Fault, reason: str
) -> None:
    pulsora.script(Reply(fault=fault))

    response = client.post(pulsora.endpoint, TOKEN, BODY)

    assert (response.status, response.reason) == (None, reason)
    assert response.took_ms < 2000
    assert len(pulsora.received) == 1


def test_after_a_fault_the_next_post_has_a_connection_of_its_own(pulsora: ScriptedPulsora, client: HttpClient) -> None:
    pulsora.script(Reply(fault=Fault.DRIP))

    client.post(pulsora.endpoint, TOKEN, BODY)
    response = client.post(pulsora.endpoint, TOKEN, BODY)

    assert response.status == 202


def test_nobody_listening_is_a_value(client: HttpClient) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

        response = client.post(f"http://127.0.0.1:{port}/api/ingest", TOKEN, BODY)

    assert (response.status, response.reason) == (None, "the connection was refused")


@pytest.mark.parametrize("endpoint", ["", "nonsense", "http://", "http://[::/", "ftp://127.0.0.1/", "http://a..b/"])
def test_an_address_that_is_none_is_a_value(client: HttpClient, endpoint: str) -> None:
    response = client.post(endpoint, TOKEN, BODY)

    assert (response.status, response.reason) == (None, "the address is invalid; see PULSORA_ENDPOINT")


def test_a_token_that_no_header_can_hold_is_refused_before_it_is_sent(
    pulsora: ScriptedPulsora, client: HttpClient
) -> None:
    response = client.post(pulsora.endpoint, "sec_fake\r\nX-Other: 1", BODY)

    assert response.status is None
    assert response.reason == "the token contains characters that a header cannot; see PULSORA_SECRET_TOKEN"
    assert pulsora.received == ()


def test_a_certificate_that_nobody_vouches_for_is_refused(client: HttpClient, tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(_own_certificate(tmp_path))
    with ScriptedPulsora(TOKEN, tls=context) as pulsora:
        response = client.post(pulsora.endpoint, TOKEN, BODY)

        assert (response.status, response.reason) == (None, "the TLS certificate is not trusted")
        assert pulsora.received == ()


def test_a_trusted_certificate_is_accepted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(_own_certificate(tmp_path))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "own.pem"))
    with ScriptedPulsora(TOKEN, tls=context) as pulsora:
        response = HttpClient().post(pulsora.endpoint, TOKEN, BODY)

    assert response.status == 202


def test_a_dripping_tls_server_is_cut_off_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, client: HttpClient
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(_own_certificate(tmp_path))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "own.pem"))
    with ScriptedPulsora(TOKEN, tls=context) as pulsora:
        pulsora.script(Reply(fault=Fault.DRIP))
        response = client.post(pulsora.endpoint, TOKEN, BODY)

    assert (response.status, response.reason) == (None, "the response timed out")


def test_the_proxy_of_the_environment_is_used(
    pulsora: ScriptedPulsora, client: HttpClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", pulsora.endpoint.removesuffix("/api/ingest"))

    response = client.post("http://ingest.invalid/api/ingest", TOKEN, BODY)

    assert response.status == 404  # the fake serves a path, and a proxy is asked for a whole address
    assert pulsora.connections == 1


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_cannot_be_reached_is_named(
    client: HttpClient, scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv(f"{scheme}_proxy", f"http://127.0.0.1:{free.getsockname()[1]}")

        response = client.post(f"{scheme}://ingest.invalid/api/ingest", TOKEN, BODY)

    assert (response.status, response.reason) == (None, "the proxy failed")


def test_a_proxy_gets_its_password(client: HttpClient, monkeypatch: pytest.MonkeyPatch) -> None:
    with _Proxy() as proxy:
        monkeypatch.setenv("http_proxy", f"http://somebody:fake@127.0.0.1:{proxy.port}")
        client.post("http://ingest.invalid/api/ingest", TOKEN, BODY)

    assert proxy.head.startswith(b"POST http://ingest.invalid/api/ingest HTTP/1.1\r\n")
    assert b"\r\nProxy-Authorization: Basic c29tZWJvZHk6ZmFrZQ==\r\n" in proxy.head


def test_tls_goes_through_a_tunnel_of_the_proxy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(_own_certificate(tmp_path))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "own.pem"))
    with ScriptedPulsora(TOKEN, tls=context) as pulsora, _Proxy() as proxy:
        monkeypatch.setenv("https_proxy", f"http://somebody:fake@127.0.0.1:{proxy.port}")
        client = HttpClient()
        statuses = [client.post(pulsora.endpoint, TOKEN, BODY).status for _ in range(2)]
        client.close()

    assert statuses == [202, 202]
    assert proxy.connections == 1
    assert proxy.head.startswith(b"CONNECT 127.0.0.1:")
    assert b"\r\nProxy-Authorization: Basic c29tZWJvZHk6ZmFrZQ==\r\n" in proxy.head
    assert "proxy-authorization" not in pulsora.received[0].headers


def test_a_connection_that_the_server_closed_meanwhile_is_opened_anew(
    pulsora: ScriptedPulsora, client: HttpClient
) -> None:
    pulsora.script(Reply(fault=Fault.CUT))  # a response, then the end of the connection

    statuses = [client.post(pulsora.endpoint, TOKEN, BODY).status for _ in range(3)]

    assert statuses == [202, 202, 202]
    assert pulsora.connections == 2


def test_a_netrc_adds_nothing_to_the_request(
    pulsora: ScriptedPulsora, client: HttpClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login somebody password fake\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))

    client.post(pulsora.endpoint, TOKEN, BODY)

    assert "authorization" not in pulsora.received[0].headers


def test_a_cookie_is_not_kept(pulsora: ScriptedPulsora, client: HttpClient) -> None:
    pulsora.script(Reply(headers={"Set-Cookie": "lb=1; Path=/"}))

    client.post(pulsora.endpoint, TOKEN, BODY)
    client.post(pulsora.endpoint, TOKEN, BODY)

    assert "cookie" not in pulsora.received[1].headers


class _Proxy:
    """A proxy for one connection: passes a tunnel on, and responds 502 to everything else."""

    def __init__(self) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self.port = int(self._server.getsockname()[1])
        self.connections = 0
        self.head = b""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join(5)
        self._server.close()
        assert not self._thread.is_alive(), "its connection is still open"

    def _serve(self) -> None:
        client, _ = self._server.accept()
        self.connections += 1
        with client:
            while b"\r\n\r\n" not in self.head:
                self.head += client.recv(65536)
            if not self.head.startswith(b"CONNECT "):
                client.sendall(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
                return
            host, _, port = self.head.split()[1].decode().partition(":")
            with socket.create_connection((host, int(port))) as server:
                client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                _pass_on(client, server)


def _pass_on(client: socket.socket, server: socket.socket) -> None:
    """Passes bytes on in both directions until one side closes its connection."""
    other = {client: server, server: client}
    while True:
        for readable in select.select(other, [], [])[0]:
            if not (piece := readable.recv(65536)):
                return
            other[readable].sendall(piece)


def _own_certificate(folder: Path) -> Path:
    """A self-signed certificate for 127.0.0.1, with its key."""
    x509 = pytest.importorskip("cryptography.x509", reason="making a certificate needs cryptography")
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    written = folder / "own.pem"
    written.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    return written
