"""Settings for tests: obviously fake secrets, no settle delay."""

from __future__ import annotations

from bridge.settings import Settings, load

STRIPE_SECRET = "whsec_fake_secret_of_the_tests"
PADDLE_SECRET = "pdl_ntfset_fake_secret_of_the_tests"
TOKEN = "sec_fake_token_of_the_tests"
ADMIN_TOKEN = "fake-admin-token-of-the-tests"


def some_settings(database_url: str, **more: str) -> Settings:
    """Settings with Stripe and Paddle, and no settle delay."""
    environ = {
        "STRIPE_WEBHOOK_SECRET": STRIPE_SECRET,
        "PADDLE_WEBHOOK_SECRET": PADDLE_SECRET,
        "PULSORA_SECRET_TOKEN": TOKEN,
        "ADMIN_TOKEN": ADMIN_TOKEN,
        "DATABASE_URL": database_url,
        "SETTLE_SECONDS": "0",
    }
    return load(environ | more)
