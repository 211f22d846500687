"""Every metric's name and help, in one place. They are read from the store at each scrape."""

from __future__ import annotations

INBOX = ("pulsora_bridge_inbox_events", "Stored webhooks by source and by what became of them.")
OUTBOX = ("pulsora_bridge_outbox_events", "Revenue events by source and by what became of them.")
OLDEST = ("pulsora_bridge_inbox_oldest_seconds", "Age of the oldest webhook that is not through yet.")
BACKLOG = ("pulsora_bridge_outbox_backlog", "Revenue events that wait to be sent.")
PAUSED = ("pulsora_bridge_destinations_paused", "Destinations that nothing is sent to just now.")
WORKER = ("pulsora_bridge_worker_seen_seconds", "Seconds since the youngest sign of life of a worker.")

ALL = (INBOX, OUTBOX, OLDEST, BACKLOG, PAUSED, WORKER)
