"""Builders of Paddle events and entities, in Paddle's format.

Each returns one entity as JSON values with consistent totals; amounts are in minor units.
"""

from processors.paddle.simulation.payloads.entities import (
    Body,
    Plan,
    address,
    customer,
    discount,
    event,
    price,
    product,
    stamp,
)
from processors.paddle.simulation.payloads.subscriptions import subscription
from processors.paddle.simulation.payloads.transactions import adjustment, line, transaction

__all__ = [
    "Body",
    "Plan",
    "address",
    "adjustment",
    "customer",
    "discount",
    "event",
    "line",
    "price",
    "product",
    "stamp",
    "subscription",
    "transaction",
]
