"""Thousands of mutated alerts, seeded: none is accepted, and no valid one is rejected.

A change counts as a forgery only when it changes what is said: a form may list its fields in another order and spell a
blank in another way, and Base64 has spare bits at its end.
"""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import cycle
from random import Random
from urllib.parse import parse_qsl, quote, quote_plus

from cryptography.hazmat.primitives.asymmetric.padding import MGF1, PSS, AsymmetricPadding, PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import MD5, SHA1, SHA256, HashAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from processors.interface import SignatureError
from processors.paddle_classic import processor

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
TOLERANCE = timedelta(seconds=300)
FORGERIES = 3000
SOUND = 300
SEED = 20261123
FIELD = "p_signature"
WORDS = ("Åda Lövelace", "支付成功", "🧾 paid", "a\0b", 's:4:"x";', "a&b=c;d", "½+1 %41", "", "\u202eltr", "0")

Fields = Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sound:
    """A correctly signed alert."""

    fields: Fields
    signature: bytes

    @property
    def signed_fields(self) -> dict[str, str]:
        return {**self.fields, FIELD: base64.b64encode(self.signature).decode()}

    @property
    def body(self) -> bytes:
        return form(self.signed_fields)


Spoil = Callable[[Random, Sound], bytes]


@cache
def keys() -> tuple[RSAPrivateKey, RSAPrivateKey]:
    """Paddle's, the public demo key, and a forger's."""
    ours = load_pem_private_key(processor.demo_secret.encode(), password=None)
    assert isinstance(ours, RSAPrivateKey)
    return ours, generate_private_key(65537, 2048)


def public(key: RSAPrivateKey) -> str:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def as_php(fields: Fields, *, is_sorted: bool = True) -> bytes:
    """The bytes that Paddle signs: PHP's `serialize` of the fields, sorted by name."""
    names = sorted(fields) if is_sorted else list(fields)
    texts = [text.encode() for name in names for text in (name, fields[name])]
    return b"a:%d:{%s}" % (len(names), b"".join(b's:%d:"%s";' % (len(text), text) for text in texts))


def signed(
    content: bytes,
    key: RSAPrivateKey | None = None,
    padding: AsymmetricPadding | None = None,
    kind: HashAlgorithm | None = None,
) -> bytes:
    return (key or keys()[0]).sign(content, padding or PKCS1v15(), kind or SHA1())


def form(fields: Fields) -> bytes:
    return "&".join(f"{quote_plus(name)}={quote_plus(value)}" for name, value in fields.items()).encode()


def taken(body: bytes, *secrets: str) -> bool:
    try:
        processor.verify(body, {}, secrets or (public(keys()[0]),), NOW, TOLERANCE)
    except SignatureError:
        return False
    return True


# ---- Sound alerts -------------------------------------------------------------------------------------------------


@cache
def sounds() -> Sequence[Sound]:
    """Alerts of scenarios, and invented ones with odd texts."""
    chance = Random(SEED)
    scenarios = processor.scenarios.values()
    alerts = [dict(parse_qsl(body.decode(), True)) for one in scenarios for body in one.events("mutation", NOW)]
    for number in range(SOUND - len(alerts)):
        odd = {f"{chance.choice(WORDS[:4])}_{place}": chance.choice(WORDS) for place in range(chance.randint(0, 9))}
        alerts.append({"alert_name": "payment_succeeded", **odd, "alert_id": str(number)})
    return [Sound(fields=fields, signature=signed(as_php(fields))) for fields in alerts]


def in_other_words(sound: Sound, chance: Random) -> bytes:
    """The same fields in any order and encoding."""
    fields = list(sound.signed_fields.items())
    chance.shuffle(fields)
    return "&".join(f"{spelt(name, chance)}={spelt(value, chance)}" for name, value in fields).encode()


def spelt(text: str, chance: Random) -> str:
    every = "".join(f"%{byte:02x}" for byte in text.encode())
    return chance.choice([quote(text, safe=""), quote_plus(text), every, every.upper()])


def test_every_sound_alert_is_taken() -> None:
    chance = Random(SEED)
    other = public(keys()[1])

    bodies = [in_other_words(sound, chance) for sound in sounds()]

    assert len(bodies) >= SOUND
    assert [body for body in bodies if not taken(body, other, "", public(keys()[0]))][:5] == []


# ---- What a forger may try ----------------------------------------------------------------------------------------


def edited(chance: Random, text: bytes) -> bytes:
    """One byte flipped, removed, inserted or doubled, two swapped, or the end cut off."""
    place = chance.randrange(len(text))
    one, before, after = text[place : place + 1], text[:place], text[place + 1 :]
    return chance.choice(
        [
            before + bytes([one[0] ^ 1 << chance.randrange(8)]) + after,
            before + after,
            before + chance.randbytes(1) + one + after,
            before + one + one + after,
            before + after[:1] + one + after[1:],
            before,
        ]
    )


def form_of(sound: Sound, **changed: str) -> bytes:
    return form({**sound.signed_fields, **changed})


def signed_by(sound: Sound, signature: bytes) -> bytes:
    return form_of(sound, p_signature=base64.b64encode(signature).decode())


def a_name(chance: Random, sound: Sound) -> str:
    return chance.choice(sorted(sound.fields))


def without(sound: Sound, name: str) -> bytes:
    return form({key: value for key, value in sound.signed_fields.items() if key != name})


def renamed(sound: Sound, name: str, other: str) -> bytes:
    return form({other if key == name else key: value for key, value in sound.signed_fields.items()})


def number(sound: Sound) -> int:
    return int.from_bytes(sound.signature, "big")


def modulus() -> int:
    return keys()[0].public_key().public_numbers().n


def sized(value: int, length: int = 256) -> bytes:
    return value.to_bytes(length, "big")


SPOILS: Mapping[str, Spoil] = {
    "a byte": lambda chance, sound: edited(chance, sound.body),
    "two edits": lambda chance, sound: edited(chance, edited(chance, sound.body) or b"a=1"),
    "empty": lambda chance, sound: chance.choice([b"", b"&", b"=", b"{}", b"p_signature="]),
    "JSON": lambda chance, sound: json.dumps(sound.signed_fields).encode(),
    "a value": lambda chance, sound: form_of(sound, **{a_name(chance, sound): str(chance.random())}),
    "a blank value": lambda chance, sound: form_of(sound, alert_id=chance.choice(["", " ", "\0", "0"])),
    "one more field": lambda chance, sound: form_of(sound, **{f"passthrough_{chance.random()}": "1"}),
    "one field less": lambda chance, sound: without(sound, a_name(chance, sound)),
    "a field renamed": lambda chance, sound: renamed(sound, a_name(chance, sound), f"x{chance.random()}"),
    "a field twice": lambda chance, sound: sound.body + b"&" + form({a_name(chance, sound): str(chance.random())}),
    "a field as a list": lambda chance, sound: renamed(sound, "alert_id", chance.choice(["alert_id[]", "alert_id[0]"])),
    "signature absent": lambda chance, sound: form(sound.fields),
    "signature renamed": lambda chance, sound: renamed(
        sound, FIELD, chance.choice(["P_SIGNATURE", "p_sig", "signature"])
    ),
    "signature twice": lambda chance, sound: sound.body + b"&" + form({FIELD: base64.b64encode(b"x").decode()}),
    "signature of hex": lambda chance, sound: form_of(sound, p_signature=sound.signature.hex()),
    "signature in other letters": lambda chance, sound: form_of(
        sound, p_signature=sound.signed_fields[FIELD].swapcase()
    ),
    "signature cut": lambda chance, sound: signed_by(sound, sound.signature[: chance.randrange(256)]),
    "signature with a bit flipped": lambda chance, sound: signed_by(
        sound, sized(number(sound) ^ (1 << chance.randrange(2048)))
    ),
    "signature with more": lambda chance, sound: signed_by(
        sound,
        chance.choice([sound.signature + b"\0", b"\0" + sound.signature, sound.signature * 2, sound.signature * 40]),
    ),
    "signature beyond the modulus": lambda chance, sound: signed_by(sound, sized(number(sound) + modulus(), 257)),
    "signature negated": lambda chance, sound: signed_by(sound, sized(modulus() - number(sound))),
    "signature that solves itself": lambda chance, sound: signed_by(
        sound, sized(chance.choice([0, 1, modulus() - 1, modulus(), 2**2048 - 1]))
    ),
    "signature of noise": lambda chance, sound: signed_by(sound, chance.randbytes(256)),
    "signature of a word": lambda chance, sound: form_of(
        sound, p_signature=chance.choice(["", " ", "true", "null", "===", "é", "A" * 5000, "AAAA"])
    ),
    "another's alert": lambda chance, sound: form_of(sound, p_signature=chance.choice(sounds()).signed_fields[FIELD]),
    "another key": lambda chance, sound: signed_by(sound, signed(as_php(sound.fields), keys()[1])),
    "another hash": lambda chance, sound: signed_by(
        sound, signed(as_php(sound.fields), kind=chance.choice([SHA256(), MD5()]))
    ),
    "another padding": lambda chance, sound: signed_by(
        sound, signed(as_php(sound.fields), padding=PSS(mgf=MGF1(SHA1()), salt_length=20))
    ),
    "signed as JSON": lambda chance, sound: signed_by(sound, signed(json.dumps(sound.fields).encode())),
    "signed as it is sent": lambda chance, sound: signed_by(sound, signed(form(sound.fields))),
    "signed with its own field": lambda chance, sound: signed_by(sound, signed(as_php({**sound.fields, FIELD: ""}))),
    "signed out of order": lambda chance, sound: signed_by(
        sound, signed(as_php(dict(reversed(sorted(sound.fields.items()))), is_sorted=False))
    ),
}  # fmt: skip


def is_unchanged(body: bytes, sound: Sound) -> bool:
    """Whether it still has the signed content: these fields and this signature."""
    read = parse_qsl(body.decode("latin-1"), keep_blank_values=True)
    said = dict(read)
    signature = said.pop(FIELD, "").encode()
    try:
        return said == sound.fields and len(read) == len(said) + 1 and base64.b64decode(signature) == sound.signature
    except ValueError:
        return False


def forgeries(chance: Random) -> Iterator[tuple[str, bytes]]:
    """Endless: each mutation in turn."""
    for name, spoil in cycle(SPOILS.items()):
        sound = chance.choice(sounds())
        body = spoil(chance, sound)
        if not is_unchanged(body, sound):
            yield name, body


def test_no_forgery_is_taken() -> None:
    found = forgeries(Random(SEED))
    tried, broken = Counter[str](), []

    for _ in range(FORGERIES):
        name, body = next(found)
        tried[name] += 1
        if taken(body):
            broken.append((name, body))

    assert broken[:5] == []
    assert {name for name in SPOILS if tried[name] < 50} == set()
