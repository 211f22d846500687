"""Bodies of Paddle events as Paddle writes them: for simulation, the demo and the tests.

Every builder returns one entity as JSON values whose totals add up; amounts are minor units.
"""

from processors.paddle.bodies.adjustments import adjustment
from processors.paddle.bodies.catalogue import Plan, price, product
from processors.paddle.bodies.customers import address, customer
from processors.paddle.bodies.envelope import Body, event, stamp
from processors.paddle.bodies.subscriptions import subscription
from processors.paddle.bodies.transactions import line, transaction

__all__ = [
    "Body",
    "Plan",
    "address",
    "adjustment",
    "customer",
    "event",
    "line",
    "price",
    "product",
    "stamp",
    "subscription",
    "transaction",
]
