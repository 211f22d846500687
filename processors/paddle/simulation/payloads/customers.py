"""Customers and their addresses. Paddle tells of both on the way to a first payment."""

from __future__ import annotations

from datetime import datetime

from processors.paddle.simulation.payloads.envelope import Body, stamp


def customer(customer_id: str, *, at: datetime) -> Body:
    """A customer entity."""
    return {
        "id": customer_id,
        "name": None,
        "email": f"{customer_id}@example.com",
        "locale": "en",
        "status": "active",
        "marketing_consent": False,
        "custom_data": None,
        "import_meta": None,
        "created_at": stamp(at),
        "updated_at": stamp(at),
    }


def address(customer_id: str, *, at: datetime) -> Body:
    """A customer's address entity."""
    return {
        "id": address_id(customer_id),
        "customer_id": customer_id,
        "country_code": "US",
        "postal_code": "10021",
        "status": "active",
        "custom_data": None,
        "import_meta": None,
        "created_at": stamp(at),
        "updated_at": stamp(at),
    }


def address_id(customer_id: str | None) -> str | None:
    """The id of a customer's address."""
    return None if customer_id is None else customer_id.replace("ctm_", "add_", 1)
