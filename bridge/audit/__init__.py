"""Explains stored webhooks: from payload to facts, ledger and revenue events. Shared by the command line and the pages."""
