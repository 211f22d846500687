"""The worker: routes and settles what is in the inbox, and sends what is in the outbox, until it is stopped."""
