"""Payments whose invoice nobody names, and invoices whose payment nobody names: which of them are one."""

from __future__ import annotations

from datetime import timedelta

from bridge.ledger.bills import Books, move
from bridge.ledger.changing import changed
from bridge.ledger.state import Bill

# A payment that cannot name its invoice is the one that paid it when customer, currency and amount are equal and the
# two are this close; processors tell of both within seconds.
SAME_PAYMENT = timedelta(hours=1)
OPEN_KEPT = 500  # bills that still look for their counterpart: the latest


def match(books: Books) -> None:
    """Joins payments that cannot name their invoice to the one invoice that they must have paid."""
    fresh = _looking(books)
    if not fresh:
        return
    near = [key for key, at in books.open_bills.items() if any(abs(at - bill.at) <= SAME_PAYMENT for bill in fresh)]
    found = [bill for bill in map(books.get, near) if bill is not None]
    lone = sorted((bill for bill in found if not bill.invoiced), key=lambda bill: (bill.at, bill.id))
    invoices = {bill.id: bill for bill in found if bill.invoiced}
    for bill in lone:
        fitting = [invoice for invoice in invoices.values() if _paid_by(invoice, bill)]
        if fitting:
            best = min(fitting, key=lambda invoice: (abs(invoice.at - bill.at), invoice.id))
            del invoices[best.id]
            _join(bill, best, books)


def _looking(books: Books) -> list[Bill]:
    """The changed bills that look for a counterpart; keeps the list of all that do."""
    found = []
    for key, bill in books.changed.items():
        books.open_bills.pop(key, None)
        if bill is not None and _is_open(bill):
            books.open_bills[key] = bill.at
            found.append(bill)
    for key in list(books.open_bills)[:-OPEN_KEPT]:
        del books.open_bills[key]
    return found


def _join(lone: Bill, invoice: Bill, books: Books) -> None:
    for key in (lone.id, invoice.id):
        books.open_bills.pop(key, None)
    matched = {**books.links.matched, **dict.fromkeys(lone.payments, invoice.id)}
    books.links = changed(books.links, matched=matched)
    move(lone.id, invoice.id, books)


def _is_open(bill: Bill) -> bool:
    if bill.invoiced:
        return bill.claimed > sum(bill.payments.values())
    return bill.unsure and bool(bill.payments)


def _paid_by(invoice: Bill, lone: Bill) -> bool:
    unexplained = invoice.claimed - sum(invoice.payments.values())
    return (
        unexplained == lone.paid
        and invoice.currency.code == lone.currency.code
        and abs(invoice.at - lone.at) <= SAME_PAYMENT
    )
