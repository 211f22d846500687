"""What waiting webhooks lack because an amount of MRR may be another: discounts, coupons, estimates."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from bridge.ledger import EMPTY, Policy, settle
from bridge.ledger.catalog import EMPTY_CATALOG, Catalog, key_of
from bridge.ledger.completeness import missing
from bridge.ledger.policy import MrrDiscounts
from processors.facts import (
    Coupon,
    Discount,
    Duration,
    Fact,
    Ids,
    Link,
    Payment,
    SubscriptionState,
)
from processors.stripe.simulation.customer import TEAM
from processors.values import replace
from tests.bridge.ledger.waiting_facts import (
    SOON,
    START,
    billed_nothing,
    changes_after_signup,
    lacks,
    settled,
    signup,
)


def test_a_discount_that_is_given_later_lacks_the_bill_that_shows_what_it_comes_off() -> None:
    (change,) = changes_after_signup(lambda ada: ada.change(TEAM))
    assert isinstance(change, SubscriptionState)
    assert change.before is not None
    discounts = (Discount(id="di_1", coupon=Coupon(id="SPRING", percent=Decimal(25), duration=Duration.FOREVER)),)
    given = replace(change, now=replace(change.before, discounts=discounts))

    assert lacks([given], settled(signup())) == "a payment of the change of sub_ada_1"


def test_a_change_at_the_end_of_a_discount_lacks_the_webhook_of_that_end() -> None:
    (change,) = changes_after_signup(lambda ada: ada.change(TEAM))
    assert isinstance(change, SubscriptionState)
    discounts = (Discount(id="di_1", coupon=Coupon(id="SPRING", percent=Decimal(25), duration=Duration.ONCE)),)
    state = settled(
        [
            replace(f, now=replace(f.now, discounts=discounts)) if isinstance(f, SubscriptionState) else f
            for f in signup()
        ]
    )
    discounted = replace(change, before=replace(change.before or change.now, discounts=discounts))

    assert lacks([discounted], state) == "a payment of the change of sub_ada_1"


def test_a_discount_on_a_customer_who_subscribed_lacks_what_preceded_it() -> None:
    discount = Discount(id="di_customer", coupon_id="FIFTH", coupon=Coupon(id="FIFTH", percent=Decimal(20)))
    link = Link(at=START, ids=Ids(customer_id="cus_ada"), customer_discount=discount, processor_event_id="evt_0")

    assert lacks([link], settled(signup())) == "what preceded the discount of cus_ada"


def test_a_change_of_an_unknown_amount_lacks_the_bill_that_may_show_it() -> None:
    change = with_tiered_item(changes_after_signup(lambda ada: ada.change(TEAM)))

    assert lacks(change, settled(signup())) == "a bill that may show the MRR of sub_ada_1"


def test_a_paid_start_lacks_the_bill_of_an_item_whose_amount_is_unknown() -> None:
    assert lacks(with_tiered_item(signup())) == "a bill that may show the MRR of sub_ada_1"


def with_tiered_item(facts: list[Fact]) -> list[Fact]:
    """With a second item, of a price whose tiers are not known."""
    return [_with_tiered_item(fact) if isinstance(fact, SubscriptionState) else fact for fact in facts]


def _with_tiered_item(state: SubscriptionState) -> SubscriptionState:
    (item,) = state.now.items
    tiered = replace(item, price=replace(item.price, unit_amount=None, tiered=True, id="price_tiered"))
    return replace(state, now=replace(state.now, items=(item, tiered)))


def test_a_change_that_names_no_invoice_lacks_the_bill_that_may_correct_the_estimate_before_it() -> None:
    (ended,) = changes_after_signup(lambda ada: ada.cancel())
    assert isinstance(ended, SubscriptionState)
    known = settled(signup())
    (sold,) = known.subscriptions.values()
    estimated = replace(known, subscriptions={sold.id: replace(sold, estimated=True)})
    unnamed = replace(ended, ids=replace(ended.ids, invoice_id=None))

    assert lacks([ended], estimated) is None
    assert lacks([unnamed], known) is None
    assert lacks([unnamed], estimated) == "a bill that may show the MRR of sub_ada_1 before its change"


def test_the_end_of_a_discount_lacks_nothing_with_both_of_its_webhooks_and_the_other_one_with_either() -> None:
    half = Discount(
        id="di_1",
        coupon=Coupon(id="HALF", percent=Decimal(50), duration=Duration.REPEATING),
        ends_at=START + timedelta(days=3),
    )
    (change,) = changes_after_signup(lambda ada: ada.change(TEAM))
    assert isinstance(change, SubscriptionState)
    assert change.before is not None
    with_half, without = replace(change.before, discounts=(half,)), change.before
    halved = [
        replace(fact, now=replace(fact.now, discounts=(half,))) if isinstance(fact, SubscriptionState) else fact
        for fact in signup()
    ]
    next_period = replace(change, before=with_half, now=with_half)
    removed = replace(change, before=with_half, now=without, processor_event_id="evt_removed")

    policy = Policy(mrr_discounts=MrrDiscounts.RECURRING)
    known = settle(EMPTY, halved, policy).state

    assert lacks([next_period, removed], known, policy=policy) is None
    assert lacks([next_period], known, policy=policy) == "a payment of the change of sub_ada_1"
    assert lacks([removed], known, policy=policy) == "a payment of the change of sub_ada_1"


def test_a_coupon_that_no_payload_has_contained_is_missing() -> None:
    (state,) = [fact for fact in signup() if isinstance(fact, SubscriptionState)]
    discounted = replace(state, now=replace(state.now, discounts=(Discount(id="di_1", coupon_id="SPRING"),)))
    facts: list[Fact] = [discounted, *(fact for fact in signup() if fact is not state and fact != state)]
    coupon = Coupon(id="SPRING", percent=Decimal(25), duration=Duration.FOREVER)
    catalog = Catalog(entries={key: coupon for key in [key_of(coupon)] if key is not None})
    arrived = [(fact, fact.at + SOON) for fact in facts]

    assert missing(EMPTY, arrived, Policy(), EMPTY_CATALOG) == "a coupon: SPRING"
    assert missing(EMPTY, arrived, Policy(), catalog) is None


def test_the_coupon_of_a_discount_on_the_customer_is_missing_as_well() -> None:
    discount = Discount(id="di_1", coupon_id="SPRING")
    link = Link(at=START, ids=Ids(customer_id="cus_ada"), customer_discount=discount, processor_event_id="evt_0")
    (change,) = changes_after_signup(lambda ada: ada.change(TEAM))

    assert lacks([*signup(), link]) == "a coupon: SPRING"
    # The coupon is awaited once; without it the MRR is an estimate.
    assert lacks([change], settled([*signup(), link])) == "a bill that may show the MRR of sub_ada_1"


def test_a_discount_that_only_the_bill_names_is_missing() -> None:
    discount = Discount(id="di_customer", coupon_id="FIFTH", coupon=Coupon(id="FIFTH", percent=Decimal(20)))
    link = Link(at=START, ids=Ids(customer_id="cus_ada"), customer_discount=discount, processor_event_id="evt_0")
    facts = [_with_discount_on_each_line(fact, "di_customer") for fact in signup()]

    assert lacks(facts) == "a discount of in_ada_3"
    assert lacks([*facts, link]) is None


def test_a_bill_of_0_lacks_the_discount_that_it_names_as_well() -> None:
    facts = [_with_discount_on_each_line(fact, "di_customer") for fact in billed_nothing()]

    assert lacks(facts) == "a discount of in_ada_3"


def _with_discount_on_each_line(fact: Fact, discount_id: str) -> Fact:
    if not isinstance(fact, Payment) or fact.lines is None:
        return fact
    return replace(fact, lines=tuple(replace(line, discount_ids=(discount_id,)) for line in fact.lines))
