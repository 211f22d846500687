"""Everything that knows Pulsora: the payload, the retry policy, the HTTP client, and the dispatcher of the outbox."""
