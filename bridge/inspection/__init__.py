"""Explains stored webhooks: from payload to facts, ledger and revenue events. For the command line and the pages."""
