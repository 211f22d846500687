"""Thousands of mutated Stripe and Paddle webhooks, seeded: none is accepted.

A change counts as a forgery only when it changes what is said: a header that lists the same parts in another order
proves what it proved before. Paddle Classic, which signs in another way, has a file like this of its own.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import cycle
from random import Random

import pytest

from processors import processors
from processors.interface import SignatureError

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
AT = int(NOW.timestamp())
TOLERANCE = timedelta(seconds=300)
FORGERIES = 5000  # of each processor
SOUND = 500  # of each processor
SEED = 20261123
WORDS = ("Åda Lövelace", "支付成功", "🧾 paid", "a\u0000b", "naïve", '"quoted"', "a&b=c;d", "½ price", "", "\u202eltr")
HEX = "0123456789abcdef"
ODD = ("\x00", "ÿ", "\u0661", "\ud800", " ", "=", "'", "🧾")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wire:
    """How a processor writes its header: `t=1,v1=abc` of "1.body", or `ts=1;h1=abc` of "1:body"."""

    name: str
    header: str
    stamp: str
    digest: str
    separator: str
    glue: str
    prefix: str

    def proof(self, body: bytes, at: int | str, secret: str) -> str:
        """The valid digest."""
        return hmac.new(secret.encode(), f"{at}{self.glue}".encode() + body, hashlib.sha256).hexdigest()

    def stated(self, at: int | str, *digests: str) -> str:
        """The header's value."""
        return self.separator.join([f"{self.stamp}={at}", *(f"{self.digest}={digest}" for digest in digests)])


STRIPE = Wire(
    name="stripe", header="Stripe-Signature", stamp="t", digest="v1", separator=",", glue=".", prefix="whsec_fake_"
)
PADDLE = Wire(
    name="paddle",
    header="Paddle-Signature",
    stamp="ts",
    digest="h1",
    separator=";",
    glue=":",
    prefix="pdl_ntfset_fake_",
)
WIRES = {wire.name: wire for wire in (STRIPE, PADDLE)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """The body to post."""

    body: bytes
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sound:
    """A correctly signed webhook, with everything needed to sign it."""

    wire: Wire
    body: bytes
    at: int
    secret: str
    secrets: tuple[str, ...]  # what the bridge is configured with

    @property
    def proof(self) -> str:
        return self.wire.proof(self.body, self.at, self.secret)

    @property
    def value(self) -> str:
        return self.wire.stated(self.at, self.proof)

    def posted(self, value: str | None = None, body: bytes | None = None) -> Webhook:
        """The webhook, its header's value or its body replaced."""
        stated = self.value if value is None else value
        return Webhook(body=self.body if body is None else body, headers={self.wire.header: stated})

    def forged(self, **how: str | int | bytes) -> Webhook:
        """The webhook with a valid digest of something else: another body, time, secret or separator."""
        wire = replace(self.wire, glue=str(how.get("glue", self.wire.glue)))
        body, at = how.get("body", self.body), how.get("at", self.at)
        assert isinstance(body, bytes)
        return self.posted(self.wire.stated(self.at, wire.proof(body, str(at), str(how.get("secret", self.secret)))))


Spoil = Callable[[Random, Sound], Webhook]


def taken(name: str, webhook: Webhook, secrets: Sequence[str]) -> bool:
    try:
        processors()[name].verify(webhook.body, webhook.headers, secrets, NOW, TOLERANCE)
    except SignatureError:
        return False
    return True


# ---- Sound webhooks -----------------------------------------------------------------------------------------------


def a_sound(wire: Wire, chance: Random) -> Sound:
    secrets = [f"{wire.prefix}{chance.randrange(10**12)}" for _ in range(chance.randint(1, 4))]
    return Sound(
        wire=wire,
        body=a_body(wire, chance),
        at=AT + chance.randint(-300, 300),
        secret=chance.choice(secrets),
        secrets=tuple(secrets),
    )


def a_body(wire: Wire, chance: Random) -> bytes:
    """An event of a scenario, or an invented one with odd texts, written in one of several ways."""
    if chance.random() < 0.5:
        return chance.choice(webhook_bodies(wire.name))
    number = str(chance.randrange(10**9))
    event = {"id": f"evt_{number}", "type": "x.y", "created": AT, "event_id": f"evt_{number}", "event_type": "x.y"}
    event |= {f"field_{place}": chance.choice(WORDS) for place in range(chance.randint(0, 9))}
    written = json.dumps(event, ensure_ascii=chance.random() < 0.5, indent=chance.choice([None, 0, 2]))
    return chance.choice(["{}", "{}\n", "\r\n {} ", "\t{}"]).format(written).encode()


@cache
def webhook_bodies(name: str) -> list[bytes]:
    scenarios = processors()[name].scenarios.values()
    return [body for scenario in scenarios for body in scenario.events("mutation", NOW)]


def in_other_words(sound: Sound, chance: Random) -> Webhook:
    """The valid webhook with parts in any order, more digests, unknown schemes, and names in any case."""
    wire = sound.wire
    parts = [f"{wire.stamp}={sound.at}", f"{wire.digest}={sound.proof}"]
    for _ in range(chance.randint(0, 3)):
        scheme = chance.choice([wire.digest, "v0", "v2", "h2", "x", "", "sha512"])
        parts.append(f"{scheme}={wire.proof(sound.body, sound.at, 'an older secret')}")
    chance.shuffle(parts)
    name = chance.choice([wire.header, wire.header.lower(), wire.header.upper()])
    return Webhook(body=sound.body, headers={"Host": "bridge", name: wire.separator.join(parts)})


@pytest.mark.parametrize("wire", WIRES.values(), ids=WIRES)
def test_every_sound_webhook_is_taken(wire: Wire) -> None:
    chance = Random(SEED)

    refused = []
    for _ in range(SOUND):
        sound = a_sound(wire, chance)
        webhook = in_other_words(sound, chance)
        if not taken(wire.name, webhook, sound.secrets):
            refused.append(webhook)

    assert refused[:5] == []


# ---- What a forger may try: each gives a webhook that nobody ever signed so -----------------------------------------


def edited(chance: Random, text: bytes, letters: bytes = bytes(range(256))) -> bytes:
    """One byte flipped, removed, inserted or doubled, two swapped, or the end cut off."""
    place = chance.randrange(len(text))
    one, before, after = text[place : place + 1], text[:place], text[place + 1 :]
    return chance.choice(
        [
            before + bytes([one[0] ^ 1 << chance.randrange(8)]) + after,
            before + after,
            before + bytes([chance.choice(letters)]) + one + after,
            before + one + one + after,
            before + after[:1] + one + after[1:],
            before,
        ]
    )


def other_digit(chance: Random, digest: str) -> str:
    place = chance.randrange(len(digest))
    return digest[:place] + chance.choice(HEX.replace(digest[place], "")) + digest[place + 1 :]


def noise(chance: Random) -> str:
    return "".join(chance.choices(HEX, k=64))


def rewritten(chance: Random, sound: Sound) -> bytes:
    """The same JSON in other bytes."""
    found = json.loads(sound.body)
    return (json.dumps(found, indent=chance.choice([None, 1, 3])) + chance.choice(["\n\n", " \n"])).encode()


def wide(text: str) -> str:
    """The same digits as full-width characters."""
    return text.translate({ord(digit): ord(digit) + 0xFEE0 for digit in "0123456789"})


BODIES: Mapping[str, Spoil] = {
    "a byte": lambda chance, sound: sound.posted(body=edited(chance, sound.body)),
    "two edits": lambda chance, sound: sound.posted(body=edited(chance, edited(chance, sound.body) or b"{}")),
    "empty": lambda chance, sound: sound.posted(body=b""),
    "more behind": lambda chance, sound: sound.posted(body=sound.body + chance.choice([b" ", b"\n", b"\0", b"{}"])),
    "more before": lambda chance, sound: sound.posted(body=chance.choice([b" ", b"\xef\xbb\xbf", b"0."]) + sound.body),
    "other spelling": lambda chance, sound: sound.posted(body=rewritten(chance, sound)),
    "UTF-16": lambda chance, sound: sound.posted(body=sound.body.decode().encode("utf-16")),
    "Latin-1": lambda chance, sound: sound.posted(body=sound.body.decode().encode("latin-1", "replace") + b"\xff"),
    "another event": lambda chance, sound: sound.posted(body=a_body(sound.wire, chance)),
    "moved border": lambda chance, sound: sound.posted(
        sound.wire.stated(str(sound.at)[:-1], sound.proof), str(sound.at)[-1:].encode() + sound.body
    ),
    "swallowed stamp": lambda chance, sound: sound.posted(body=f"{sound.at}{sound.wire.glue}".encode() + sound.body),
}
STAMPS: Mapping[str, Spoil] = {
    "moved": lambda chance, sound: restamped(sound, sound.at + chance.choice([-1, 1]) * chance.randint(1, 600)),
    "now": lambda chance, sound: restamped(replace(sound, at=AT - 301), AT),
    "another spelling": lambda chance, sound: restamped(
        sound, chance.choice(["+{}", "{}.0", "{}e0", "{}L", "0x{}", "-{}", "{}_0", "'{}'", "{} 0"]).format(sound.at)
    ),
    "full width": lambda chance, sound: restamped(sound, wide(str(sound.at))),
    "absent": lambda chance, sound: sound.posted(f"{sound.wire.digest}={sound.proof}"),
    "blank": lambda chance, sound: restamped(sound, chance.choice(["", " ", "0", "null", "NaN"])),
    "endless": lambda chance, sound: restamped(sound, "9" * chance.randint(12, 5000)),
    "twice": lambda chance, sound: sound.posted(
        f"{sound.value}{sound.wire.separator}{sound.wire.stamp}={sound.at + 1}"
    ),
    "stale, but rightly signed": lambda chance, sound: replace(
        sound, at=AT + chance.choice([-1, 1]) * chance.randint(301, 10**8)
    ).posted(),
}
DIGESTS: Mapping[str, Spoil] = {
    "a digit": lambda chance, sound: redigested(sound, other_digit(chance, sound.proof)),
    "upper case": lambda chance, sound: redigested(sound, sound.proof.upper()),
    "reversed": lambda chance, sound: redigested(sound, sound.proof[::-1]),
    "full width": lambda chance, sound: redigested(sound, wide(sound.proof)),
    "cut": lambda chance, sound: redigested(sound, sound.proof[: chance.randrange(64)]),
    "longer": lambda chance, sound: redigested(sound, sound.proof + chance.choice(["0", " 0", "\0", "=", "é"])),
    "odd within": lambda chance, sound: redigested(sound, sound.proof[:30] + chance.choice(ODD) + sound.proof[31:]),
    "noise": lambda chance, sound: redigested(sound, *(noise(chance) for _ in range(chance.randint(1, 60)))),
    "zeros": lambda chance, sound: redigested(sound, chance.choice("0f ") * 64),
    "word": lambda chance, sound: redigested(sound, chance.choice(["", "true", "null", "*", "None", "[]"])),
    "Base64": lambda chance, sound: redigested(sound, base64.b64encode(bytes.fromhex(sound.proof)).decode()),
    "prefixed": lambda chance, sound: redigested(sound, chance.choice(["0x", "sha256=", "v1=", "-"]) + sound.proof),
    "weaker hash": lambda chance, sound: redigested(
        sound,
        hmac.new(
            sound.secret.encode(),
            f"{sound.at}{sound.wire.glue}".encode() + sound.body,
            chance.choice(["md5", "sha1", "sha512", "sha3_256"]),
        ).hexdigest(),
    ),
    "no HMAC": lambda chance, sound: redigested(
        sound,
        hashlib.sha256(
            chance.choice([b"", sound.secret.encode()]) + f"{sound.at}{sound.wire.glue}".encode() + sound.body
        ).hexdigest(),
    ),
    "of the body alone": lambda chance, sound: redigested(
        sound, hmac.new(sound.secret.encode(), sound.body, hashlib.sha256).hexdigest()
    ),
    "of other glue": lambda chance, sound: sound.forged(glue=chance.choice([other(sound).glue, "", ";"])),
    "of another body": lambda chance, sound: sound.forged(body=edited(chance, sound.body)),
    "of another instant": lambda chance, sound: sound.forged(at=sound.at + chance.choice([-1, 1, 300, 86400])),
    "of another secret": lambda chance, sound: sound.forged(secret=f"{sound.wire.prefix}{chance.random()}"),
    "of a near secret": lambda chance, sound: sound.forged(secret=near(chance, sound.secret)),
    "of a list of secrets": lambda chance, sound: sound.forged(secret=",".join((*sound.secrets, sound.secret))),
    "of a secret decoded": lambda chance, sound: sound.forged(secret=sound.secret.removeprefix(sound.wire.prefix)),
}
SHAPES: Mapping[str, Spoil] = {
    "no header": lambda chance, sound: Webhook(body=sound.body, headers={"Host": "bridge"}),
    "blank header": lambda chance, sound: sound.posted(chance.choice(["", " ", sound.wire.separator, "=", "t", "\t"])),
    "another header's name": lambda chance, sound: Webhook(
        body=sound.body,
        headers={chance.choice(["X-Signature", other(sound).header, f"X-{sound.wire.header}", ""]): sound.value},
    ),
    "in the other's words": lambda chance, sound: sound.posted(
        other(sound).stated(sound.at, other(sound).proof(sound.body, sound.at, sound.secret))
    ),
    "another scheme": lambda chance, sound: sound.posted(
        sound.value.replace(sound.wire.digest, chance.choice(["v0", "v2", "h2", "V1", "H1", "v11", "v", "ｖ1", "s"]))
    ),
    "another stamp's name": lambda chance, sound: sound.posted(
        sound.value.replace(f"{sound.wire.stamp}=", chance.choice(["T=", "TS=", "time=", "tt=", "=", "v1=", "h1="]), 1)
    ),
    "swapped": lambda chance, sound: sound.posted(sound.wire.stated(sound.proof, str(sound.at))),
    "another separator": lambda chance, sound: sound.posted(
        sound.value.replace(sound.wire.separator, chance.choice(["&", "|", " ", "\n", other(sound).separator]))
    ),
    "other assignment": lambda chance, sound: sound.posted(sound.value.replace("=", chance.choice([":", "==", " = "]))),
    "the body as header": lambda chance, sound: sound.posted(sound.body.decode("latin-1")),
    "an edit": lambda chance, sound: sound.posted(edited(chance, sound.value.encode()).decode("latin-1")),
    "edits": lambda chance, sound: sound.posted(
        edited(chance, edited(chance, sound.value.encode()) or b"t").decode("latin-1")
    ),
    "cut": lambda chance, sound: sound.posted(sound.value[: chance.randrange(len(sound.value))]),
}
SPOILS: Mapping[str, Spoil] = {
    f"{kind}: {name}": spoil
    for kind, table in {"body": BODIES, "stamp": STAMPS, "digest": DIGESTS, "header": SHAPES}.items()
    for name, spoil in table.items()
}


def restamped(sound: Sound, stamp: int | str) -> Webhook:
    return sound.posted(sound.wire.stated(stamp, sound.proof))


def redigested(sound: Sound, *digests: str) -> Webhook:
    return sound.posted(sound.wire.stated(sound.at, *digests))


def near(chance: Random, secret: str) -> str:
    return chance.choice([secret[:-1], secret.upper(), secret + "\n", secret[1:], secret[::-1], ""])


def other(sound: Sound) -> Wire:
    return PADDLE if sound.wire is STRIPE else STRIPE


def proves(webhook: Webhook, sound: Sound) -> bool:
    """Whether it still has the signed content: these bytes, this time and this digest."""
    wire = sound.wire
    if webhook.body != sound.body:
        return False
    parts = [part.strip() for part in webhook.headers.get(wire.header, "").split(wire.separator)]
    stamps = [part.removeprefix(f"{wire.stamp}=") for part in parts if part.startswith(f"{wire.stamp}=")]
    is_dated = len(stamps) == 1 and stamps[0].lstrip("0") == str(sound.at)
    return is_dated and f"{wire.digest}={sound.proof}" in parts


def forgeries(wire: Wire, chance: Random) -> Iterator[tuple[str, Webhook, tuple[str, ...]]]:
    """Endless: each mutation in turn, on its own valid webhook."""
    for name, spoil in cycle(SPOILS.items()):
        sound = a_sound(wire, chance)
        webhook = spoil(chance, sound)
        if not proves(webhook, sound):
            yield (
                name,
                webhook,
                (*sound.secrets, "", " "),
            )  # a blank secret, as an odd separator leaves it, proves nothing


@pytest.mark.parametrize("wire", WIRES.values(), ids=WIRES)
def test_no_forgery_is_taken(wire: Wire) -> None:
    found = forgeries(wire, Random(SEED))
    tried, broken = Counter[str](), []

    for _ in range(FORGERIES):
        name, webhook, secrets = next(found)
        tried[name] += 1
        if taken(wire.name, webhook, secrets):
            broken.append((name, webhook))

    assert broken[:5] == []
    assert {name for name in SPOILS if tried[name] < 50} == set()
