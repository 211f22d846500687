"""Every id of a person in the facts has a pseudonym after an erasure."""

from __future__ import annotations

import re

from bridge.ledger.pseudonyms import Pseudonyms
from processors import facts
from processors.values import Value, names_of

OF_THE_MERCHANT = {"coupon_id", "price_id", "product_id"}


def test_each_field_with_an_id_gets_a_pseudonym_unless_it_names_what_the_merchant_sells() -> None:
    kinds = [kind for kind in vars(facts).values() if isinstance(kind, type) and issubclass(kind, Value)]
    ids = {name for kind in kinds for name in names_of(kind) if re.search(r"_ids?$", name)} - OF_THE_MERCHANT
    pseudonyms = Pseudonyms(key=b"fake key of a test")

    assert {name for name in ids if pseudonyms.of_values({name: "in_eve"})[name] == "in_eve"} == set()
    assert {"customer_id", "previous_invoice_id", "discount_ids"} <= ids
