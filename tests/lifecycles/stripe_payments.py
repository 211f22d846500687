"""Payments: each is counted once, whichever webhooks report it."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

from bridge.ledger import Policy
from bridge.ledger.policy import AmountBasis
from processors.stripe.simulation import payloads
from processors.stripe.simulation.customer import PRO
from processors.stripe.simulation.payloads import Shape
from tests.lifecycles.stripe_customer import ExtendedCustomer, again
from tests.lifecycles.stripe_lifecycle import SINCE_BASIL, lifecycle


def parts_of_a_named_invoice(ada: ExtendedCustomer) -> ExtendedCustomer:
    """Buys something for 49.00 by an invoice that alone names the visit, and pays it in two parts."""
    invoice_id = f"in_{ada.tag}_{len(ada.webhooks) + 2}"
    issued = ada.sent("invoice.finalized", {**ada.invoice_of(invoice_id, 4900, "manual"), "amount_paid": 0})
    nameless = replace(issued, visit={})
    first = nameless.later(hours=1).bill(4900, parts=[2000, 2900], apart=timedelta(days=2))
    return replace(first, visit=ada.visit)


def sale_with_invoice(ada: ExtendedCustomer) -> ExtendedCustomer:
    """A sale for which Checkout makes an invoice: charge, intent, invoice payment, invoice and session report it."""
    billed = ada.bill(2900)
    paid = billed.payments[-1]
    session = payloads.checkout_session(
        "cs_1",
        mode="payment",
        customer=ada.customer_id,
        minor=2900,
        payment_intent=paid.intent_id,
        creates_invoice=True,
        metadata=ada.visit,
    )
    return billed.sent("checkout.session.completed", session, seconds=4)


def legacy_charge(ada: ExtendedCustomer) -> ExtendedCustomer:
    """A charge from before payment intents existed."""
    found = payloads.charge("ch_1", minor=1500, customer=ada.customer_id, created=ada.at, shape=ada.shape)
    return ada.sent("charge.succeeded", {**found, "metadata": dict(ada.visit)})


def unpaid(ada: ExtendedCustomer, kind: str, status: str) -> ExtendedCustomer:
    """An unpaid invoice."""
    found = ada.invoice_of("in_1", 4900, "subscription_cycle", name="1")
    return ada.sent(kind, {**found, "status": status, "amount_paid": 0, "amount_remaining": 4900, "paid": False})


def paid_from_balance(ada: ExtendedCustomer, minor: int) -> ExtendedCustomer:
    """The first invoice of Pro, all or partly paid from the customer's balance; `minor` by card."""
    started = ada.start(PRO)
    lines = started._lines(started.subscriptions["1"])
    return started.bill(minor, "subscription_create", name="1", lines=lines, parts=[minor] if minor else [])


def charged_first(ada: ExtendedCustomer) -> ExtendedCustomer:
    """The charge arrives at once, the invoice it paid two hours later."""
    billed = ada.start(PRO).bill(4900, "subscription_create", name="1")
    later = replace(billed, webhooks=()).later(hours=2)
    paid = later.payments[-1]
    invoice_id = paid.invoice_id or ""
    customer = later.sent("invoice_payment.paid", later._invoice_payment(invoice_id, paid))
    customer = customer.sent("invoice.paid", later.invoice_of(invoice_id, 4900, "subscription_create", name="1"))
    first = billed.only("customer.subscription.created", "charge.succeeded")
    return replace(customer, webhooks=(*first.webhooks, *map(again, customer.webhooks)))


def both_shapes(ada: ExtendedCustomer) -> ExtendedCustomer:
    """Each body holds the keys of the old and of the present shape."""
    customer = ada.start(PRO).bill(4900, "subscription_create", name="1")
    old = replace(ada, shape=Shape.OLD).start(PRO).bill(4900, "subscription_create", name="1")
    olds = {(one["type"], one["data"]["object"]["id"]): one["data"]["object"] for one in map(json.loads, old.webhooks)}
    mixed = []
    for one in map(json.loads, customer.webhooks):
        found = one["data"]["object"]
        other = olds.get((one["type"], found["id"]), {})
        mixed.append({**one, "data": {"object": {**other, **found}}})
    return replace(customer, webhooks=tuple(json.dumps(one).encode() for one in mixed))


def card_on_file(ada: ExtendedCustomer) -> ExtendedCustomer:
    """Checkout in setup mode: a payment method, no money."""
    session = payloads.checkout_session("cs_1", mode="setup", customer=ada.customer_id, minor=0, metadata=ada.visit)
    done = {**session, "payment_status": "no_payment_required", "amount_total": None}
    return ada.sent("setup_intent.succeeded", {"id": "seti_1"}).sent("checkout.session.completed", done)


def three_hundred_lines(ada: ExtendedCustomer) -> ExtendedCustomer:
    """An invoice of 300 lines at 1.00, of which Stripe shows the first ten."""
    return ada.bill(30000, lines=[ada.one_off_line(100, f"price_{number}") for number in range(10)], has_more=True)


MONEY = (
    # ---- Counted once ----
    lifecycle(
        "buys something for 29.00 through Checkout: charge, intent and session report it",
        lambda ada: ada.buy(2900),
        "purchase 29.00 -",
    ),
    lifecycle(
        "buys something for 29.00 with a bare payment intent that names the visit itself",
        lambda ada: ada.buy(2900, checkout=False),
        "purchase 29.00 -",
    ),
    lifecycle(
        "buys something for 29.00, reported by five webhooks, each of them twice",
        lambda ada: sale_with_invoice(ada).duplicated(),
        "purchase 29.00 - price_setup",
    ),
    lifecycle(
        "buys twice for the same amount at the same moment: two payments are two",
        lambda ada: ada.buy(2900).buy(2900),
        "purchase 29.00 -",
        "purchase 29.00 -",
    ),
    lifecycle("buys by a charge without an intent, as before 2019", legacy_charge, "purchase 15.00 -"),
    lifecycle(
        "signs up, and every webhook comes as two events of different ids",
        lambda ada: ada.subscribe(PRO).duplicated(),
        "subscription 49.00 +49.00 Pro monthly",
    ),
    lifecycle(
        "signs up where the endpoint has no invoice_payment events: the charge is the invoice's by its amount",
        lambda ada: ada.subscribe(PRO).without("invoice_payment.paid"),
        "subscription 49.00 +49.00 Pro monthly",
    ),
    lifecycle(
        "signs up where the endpoint has invoices and subscriptions only",
        lambda ada: ada.subscribe(PRO).only(
            "customer.subscription.created", "customer.subscription.updated", "invoice.paid"
        ),
        "subscription 49.00 +49.00 Pro monthly",
    ),
    lifecycle(
        "signs up where the endpoint has no invoices: the charge cannot be distinguished from a purchase",
        lambda ada: (
            ada.start(PRO)
            .bill(4900, "subscription_create", name="1")
            .only("customer.subscription.created", "charge.succeeded")
        ),
        "subscription 0     +49.00 Pro monthly",
        "purchase     49.00 -",
        shapes=SINCE_BASIL,
    ),
    lifecycle(
        "pays an invoice in two parts: one amount",
        lambda ada: ada.start(PRO).bill(4900, "subscription_create", name="1", parts=[2000, 2900]),
        "subscription 49.00 +49.00 Pro monthly",
        shapes=SINCE_BASIL,
    ),
    lifecycle(
        "pays an invoice in two parts where the endpoint has no invoice_payment events: they add up to it",
        lambda ada: (
            ada.start(PRO)
            .bill(4900, "subscription_create", name="1", parts=[2000, 2900])
            .without("invoice_payment.paid")
        ),
        "subscription 49.00 +49.00 Pro monthly",
        shapes=SINCE_BASIL,
    ),
    lifecycle(
        "pays an invoice in two parts, two days apart, where the endpoint has no invoice_payment events",
        lambda ada: (
            ada.start(PRO)
            .bill(4900, "subscription_create", name="1", parts=[2000, 2900], apart=timedelta(days=2))
            .without("invoice_payment.paid")
        ),
        "subscription 49.00 +49.00 Pro monthly",
        live=(
            "subscription 0     +49.00 Pro monthly",
            "purchase     20.00 -",  # nothing says yet that it is for the invoice
            "renewal      29.00      0 Pro monthly",
        ),
        shapes=SINCE_BASIL,
    ),
    lifecycle(
        "pays by two parts, two days apart: the invoice names the visit before either is paid",
        parts_of_a_named_invoice,
        "purchase 49.00 - price_setup",
        live=("purchase 20.00 -", "purchase 29.00 - price_setup"),
        shapes=SINCE_BASIL,
    ),
    lifecycle(
        "pays the first invoice by bank transfer, outside Stripe",
        lambda ada: ada.start(PRO).settle_otherwise(4900, "subscription_create", name="1"),
        "subscription 49.00 +49.00 Pro monthly",
    ),
    lifecycle(
        "sends 60.00 for an invoice of 49.00: the rest goes to the balance",
        lambda ada: ada.start(PRO).bill(6000, "subscription_create", name="1", amount_due=4900),
        "subscription 60.00 +49.00 Pro monthly",
    ),
    lifecycle(
        "pays the first invoice from the balance: no money, and MRR all the same",
        lambda ada: paid_from_balance(ada, 0),
        "subscription 0 +49.00 Pro monthly",
    ),
    lifecycle(
        "pays 20.00 of the first invoice from the balance and 29.00 by card",
        lambda ada: paid_from_balance(ada, 2900),
        "subscription 29.00 +49.00 Pro monthly",
    ),
    lifecycle(
        "pays at the second attempt: what failed is no money",
        lambda ada: unpaid(ada.start(PRO), "invoice.payment_failed", "open").bill(
            4900, "subscription_create", name="1"
        ),
        "subscription 49.00 +49.00 Pro monthly",
    ),
    lifecycle(
        "never pays the second month: voided or given up, an invoice is no money and moves no MRR",
        lambda ada: unpaid(
            unpaid(ada.start(PRO).bill(4900, "subscription_create", name="1"), "invoice.voided", "void"),
            "invoice.marked_uncollectible",
            "uncollectible",
        ),
        "subscription 49.00 +49.00 Pro monthly",
    ),
    lifecycle(
        "is charged first, and the invoice arrives two hours later: a purchase by then, and not reported again",
        charged_first,
        "subscription 49.00 +49.00 Pro monthly",
        live=("subscription 0 +49.00 Pro monthly", "purchase 49.00 -"),
        shapes=SINCE_BASIL,
    ),
    lifecycle(
        "signs up while the account is between API versions: bodies of both shapes",
        both_shapes,
        "subscription 49.00 +49.00 Pro monthly",
        shapes=(Shape.CLOVER,),
    ),
    # ---- Delayed, authorised, captured ----
    lifecycle(
        "buys by SEPA debit: the money is there three days later",
        lambda ada: ada.debit(2900).later(days=3).clear(),
        "purchase 29.00 -",
    ),
    lifecycle("buys by SEPA debit, which bounces", lambda ada: ada.debit(2900).later(days=3).bounce()),
    lifecycle(
        "has 50.00 authorised, and two days later 50.00 captured",
        lambda ada: ada.authorise(5000).later(days=2).capture(5000),
        "purchase 50.00 -",
    ),
    lifecycle(
        "has 50.00 authorised, and 30.00 of it captured: the released rest was never paid",
        lambda ada: ada.authorise(5000).later(days=2).capture(3000),
        "purchase 30.00 -",
    ),
    lifecycle("has 50.00 authorised and never captured", lambda ada: ada.authorise(5000).later(days=7).release()),
    lifecycle("has 50.00 authorised and cancelled", lambda ada: ada.authorise(5000).later(days=2).release(reason=None)),
    # ---- Invoices of all kinds ----
    lifecycle(
        "pays an invoice that was written by hand",
        lambda ada: ada.bill(12000, "manual"),
        "purchase 120.00 - price_setup",
    ),
    lifecycle(
        "accepts a quote for something sold once",
        lambda ada: ada.bill(12000, "quote_accept"),
        "purchase 120.00 - price_setup",
    ),
    lifecycle(
        "accepts a quote for Pro, which starts a subscription",
        lambda ada: ada.start(PRO).bill(4900, "quote_accept", name="1"),
        "subscription 49.00 +49.00 Pro monthly",
    ),
    lifecycle(
        "pays 80.00 once for set-up help, on a subscription that runs",
        lambda ada: (
            ada.start(PRO)
            .bill(4900, "subscription_create", name="1")
            .later(days=3)
            .bill(8000, "manual", name="1", lines=[ada.one_off_line(8000)])
        ),
        "subscription 49.00 +49.00 Pro monthly",
        "purchase     80.00 -",
    ),
    lifecycle(
        "signs up in early 2018, when first invoices were said to be updates",
        lambda ada: ada.start(PRO).bill(4900, "subscription_update", name="1"),
        "subscription 49.00 +49.00 Pro monthly",
        shapes=(Shape.OLD,),
    ),
    lifecycle(
        "signs up and renews before May 2018, when every invoice of a subscription had one reason",
        lambda ada: (
            ada.start(PRO)
            .bill(4900, "subscription", name="1")
            .next_period()
            .later(hours=1)
            .bill(4900, "subscription", name="1")
        ),
        "subscription 49.00 +49.00 Pro monthly",
        "renewal      49.00      0 Pro monthly",
        shapes=(Shape.OLD,),
    ),
    lifecycle(
        "pays for items that waited for an invoice",
        lambda ada: ada.bill(4200, "automatic_pending_invoice_item_invoice"),
        "purchase 42.00 - price_setup",
    ),
    lifecycle(
        "reaches a usage threshold and is billed early",
        lambda ada: (
            ada.start(PRO)
            .bill(4900, "subscription_create", name="1")
            .later(days=9)
            .amend()
            .bill(7500, "subscription_threshold", name="1")
        ),
        "subscription 49.00 +49.00 Pro monthly",
        "renewal      75.00      0 Pro monthly",
    ),
    lifecycle(
        "signs up by invoice and pays it three weeks later: the movement was reported alone",
        lambda ada: ada.start(PRO).later(days=21).bill(4900, "subscription_create", name="1"),
        "subscription 49.00 +49.00 Pro monthly",
        live=("subscription 0 +49.00 Pro monthly", "renewal 49.00 0 Pro monthly"),
    ),
    lifecycle("pays an invoice of 300 lines", three_hundred_lines, "purchase 300.00 - price_0"),
    lifecycle(
        "pays a month of 300 lines, of which Stripe shows one",
        lambda ada: ada.start(PRO, 300).bill(1470000, "subscription_create", name="1", has_more=True),
        "subscription 14700.00 +14700.00 Pro monthly x300",
    ),
    lifecycle("leaves a card on file and buys nothing", card_on_file),
    lifecycle(
        "pays 19 % tax on top: the amount holds it, MRR does not",
        lambda ada: ada.start(PRO).bill(5831, "subscription_create", name="1", tax=931),
        "subscription 58.31 +49.00 Pro monthly",
    ),
    lifecycle(
        "pays 19 % tax on top, for a merchant who counts without tax",
        lambda ada: ada.start(PRO).bill(5831, "subscription_create", name="1", tax=931).later(days=1).refund(),
        "subscription  49.00 +49.00 Pro monthly",
        "refund       -49.00      0 Pro monthly requested_by_customer",
        policy=Policy(amount_basis=AmountBasis.NET_OF_TAX),
    ),
    # ---- Currencies ----
    lifecycle("buys for 5,000 yen: no minor unit", lambda ada: ada.buy(5000), "purchase 5000 - JPY", currency="jpy"),
    lifecycle(
        "buys for 5 kronur, which Stripe counts as 500", lambda ada: ada.buy(500), "purchase 5.00 - ISK", currency="isk"
    ),
    lifecycle(
        "buys for 5,000 shillings, counted as 500000",
        lambda ada: ada.buy(500000),
        "purchase 5000.00 - UGX",
        currency="ugx",
    ),
    lifecycle(
        "buys for 12.340 dinars: three digits", lambda ada: ada.buy(12340), "purchase 12.340 - KWD", currency="kwd"
    ),
)
