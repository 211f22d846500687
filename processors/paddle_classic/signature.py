"""Paddle Classic's webhook signature: the field `p_signature`, RSA over the other fields as PHP serialises them.

The algorithm is PKCS#1 v1.5 with SHA-1 (classic.paddle.com/webhook-reference). It has no time stamp, so a replayed
webhook is only recognised by its `alert_id`.
"""

from __future__ import annotations

import binascii
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import quote_plus

from processors.interface import Event, SignatureError, SignatureProblem, SignedWebhook
from processors.paddle_classic.alerts import Fields, envelope, fields_of
from processors.payload import NOTHING, Unreadable
from processors.signatures import verified_event

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

FIELD = "p_signature"
LONGEST_SIGNATURE = 4096
WHERE = "Paddle shows it under Developer Tools > Public Key"
EXTRA = "needs the package cryptography: pip install 'pulsora-bridge[classic]'"


def sign(body: bytes, secret: str, now: datetime) -> SignedWebhook:
    """The webhook as Paddle would post it. `secret` is a private key in PEM; only simulation has one."""
    try:
        from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
        from cryptography.hazmat.primitives.hashes import SHA1
    except ImportError:
        raise ValueError(EXTRA) from None
    key = _private(secret)
    if key is None:
        raise ValueError("only a private key can sign; Paddle keeps the one that belongs to your public key")
    fields = {name: value for name, value in fields_of(body).items() if name != FIELD}
    signature = b64encode(key.sign(serialized(fields), PKCS1v15(), SHA1())).decode()  # nosec B303: Paddle signs so
    pairs = [*fields.items(), (FIELD, signature)]
    signed = "&".join(f"{quote_plus(name)}={quote_plus(value)}" for name, value in pairs)
    return SignedWebhook(body=signed.encode(), headers={"Content-Type": "application/x-www-form-urlencoded"})


def verify(
    body: bytes,
    headers: Mapping[str, str],
    secrets: Sequence[str],
    now: datetime,
    tolerance: timedelta,
    options: Mapping[str, str] = NOTHING,
) -> Event:
    """The envelope of a signed alert. Raises only `SignatureError`: MISSING, MALFORMED, MISMATCH or UNREADABLE."""
    try:
        fields = dict(fields_of(body))
    except Unreadable as unreadable:
        raise SignatureError(SignatureProblem.MALFORMED, f"The body is no form: {unreadable}.") from None
    signature = _signature(fields.pop(FIELD, ""))
    keys = [key for key in map(public_key, secrets) if key is not None]
    if not any(_fits(key, signature, serialized(fields)) for key in keys):
        raise SignatureError(SignatureProblem.MISMATCH, _no_match(len(keys)))
    return verified_event(envelope, body, options, now)


def serialized(fields: Fields) -> bytes:
    """The fields as PHP's `serialize` writes an array of strings, sorted by name; lengths are in bytes."""
    parts = [_php(name) + _php(fields[name]) for name in sorted(fields)]
    return b"a:%d:{%s}" % (len(parts), b"".join(parts))


@lru_cache(maxsize=64)
def public_key(pem: str) -> RSAPublicKey | None:
    """The key to verify with, from a public key or from the private key that simulation signs with. None: neither.

    Raises `SignatureError` when the package that reads keys is not installed.
    """
    try:
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
        from cryptography.hazmat.primitives.serialization import load_pem_public_key
    except ImportError:
        raise SignatureError(SignatureProblem.MISMATCH, f"Paddle Classic {EXTRA}.") from None
    private = _private(pem)
    if private is not None:
        return private.public_key()
    try:
        found: Any = load_pem_public_key(_as_pem(pem, "PUBLIC KEY"))
    except (ValueError, UnsupportedAlgorithm):
        return None
    return found if isinstance(found, RSAPublicKey) else None


def secret_problem(value: str) -> str | None:
    """The problem with a configured public key, or None."""
    try:
        key = public_key(value)
    except SignatureError:
        return EXTRA
    if key is None:
        return f"is no RSA public key, which begins with -----BEGIN PUBLIC KEY-----; {WHERE}"
    return None


@lru_cache(maxsize=64)
def _private(pem: str) -> RSAPrivateKey | None:
    if "PRIVATE KEY" not in pem:
        return None
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        found: Any = load_pem_private_key(_as_pem(pem, "PRIVATE KEY"), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None
    return found if isinstance(found, RSAPrivateKey) else None


def _as_pem(written: str, label: str) -> bytes:
    """A key with its lines restored: an environment may have turned its line breaks into `\\n` or spaces."""
    content = written.replace("\\n", "\n").partition(f"-----BEGIN {label}-----")[2].partition("-----END")[0]
    lines = "\n".join(content.split())
    return f"-----BEGIN {label}-----\n{lines}\n-----END {label}-----\n".encode("utf-8", "replace")


def _signature(value: str) -> bytes:
    if not value.strip():
        raise SignatureError(SignatureProblem.MISSING, f"There is no {FIELD}. Is this an alert of Paddle Classic?")
    try:
        return b64decode(value[: LONGEST_SIGNATURE + 1], validate=True)
    except (binascii.Error, ValueError):
        raise SignatureError(SignatureProblem.MALFORMED, f"The {FIELD} is not Base64.") from None


def _fits(key: RSAPublicKey, signature: bytes, content: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
    from cryptography.hazmat.primitives.hashes import SHA1

    try:
        key.verify(signature, content, PKCS1v15(), SHA1())  # nosec B303: Paddle signs so
    except (InvalidSignature, UnsupportedAlgorithm, ValueError):
        return False
    return True


def _php(value: str) -> bytes:
    content = value.encode()
    return b's:%d:"%s";' % (len(content), content)


def _no_match(count: int) -> str:
    if count == 0:
        return "No public key is configured that can be read."
    return "The public key does not match. Sandbox and live have their own; the body must arrive unchanged."
