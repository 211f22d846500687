"""Events that the bridge itself puts into the inbox: registered attributions, imported and refreshed subscriptions.

They are stored, routed and settled like webhooks: they survive a crash, a repetition is a duplicate, and they appear in
the list of webhooks. Each module has `encode` and `decode`.
"""
