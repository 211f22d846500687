"""Events that the bridge itself puts into the inbox: registered attributions and imported subscriptions.

They are stored, routed and settled like webhooks, so they survive a crash, can be sent twice, and appear in the list of
webhooks. Each module has `encode` beside `decode`.
"""
