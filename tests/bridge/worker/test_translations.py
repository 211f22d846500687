"""The translations of a worker: used again for the same body, and for no other."""

from __future__ import annotations

import pytest

from bridge.store import Store, inbox
from bridge.store.inbox import InboxRow
from bridge.store.schema import compress
from bridge.worker import translation
from bridge.worker.translation import TranslationError, Translations
from processors.stripe.simulation.customer import Customer
from processors.values import replace
from tests.bridge.worker.virtual_worker import NOON, VirtualWorker, only
from tests.settings import some_settings

SETTINGS = some_settings("sqlite:///unused.db")


@pytest.fixture
def row(sqlite_store: Store) -> InboxRow:
    customer = Customer.begin("ada", NOON).buy(4990)
    VirtualWorker(sqlite_store).play([(0, only(customer.webhooks, "charge.succeeded"))], until=0)
    with sqlite_store.reading() as tx:
        return inbox.by_ids(tx, [1])[0]


def test_a_webhook_is_translated_once(row: InboxRow) -> None:
    translations = Translations(SETTINGS)

    assert translations.of(row).facts
    assert translations.of(replace(row, attempts=1)) is translations.of(row)


def test_a_webhook_whose_body_was_replaced_is_translated_again(row: InboxRow) -> None:
    translations = Translations(SETTINGS)
    before = translations.of(row)

    after = translations.of(replace(row, compressed_body=compress((row.body or b"").replace(b"4990", b"4000"))))

    assert before.facts[0] != after.facts[0]


def test_the_latest_translations_are_kept(row: InboxRow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(translation, "KEPT", 2)
    translations = Translations(SETTINGS)
    first = translations.of(row)

    second, _ = [translations.of(replace(row, id=number)) for number in (2, 3)]

    assert translations.of(replace(row, id=2)) is second
    assert translations.of(row) is not first


def test_an_error_is_raised_each_time(row: InboxRow) -> None:
    translations = Translations(SETTINGS)

    for _ in range(2):
        with pytest.raises(TranslationError, match="purged"):
            translations.of(replace(row, compressed_body=None))
