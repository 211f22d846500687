"""Bodies of Paddle events as Paddle writes them: for simulation, the demo and the tests.

Every builder returns one entity as JSON values whose totals add up; amounts are minor units.
"""

from processors.paddle.simulation.payloads.adjustments import adjustment
from processors.paddle.simulation.payloads.catalogue import Plan, price, product
from processors.paddle.simulation.payloads.customers import address, customer
from processors.paddle.simulation.payloads.envelope import Body, event, stamp
from processors.paddle.simulation.payloads.subscriptions import subscription
from processors.paddle.simulation.payloads.transactions import line, transaction

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
