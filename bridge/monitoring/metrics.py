"""Name and help text of every metric. The values are read from the store at each scrape."""

from __future__ import annotations

INBOX = ("pulsora_bridge_inbox_events", "Stored webhooks by source and status.")
OUTBOX = ("pulsora_bridge_outbox_events", "Revenue events by source and delivery status.")
OLDEST = ("pulsora_bridge_inbox_oldest_seconds", "Seconds for which a webhook has been overdue; 0 if none is.")
BACKLOG = ("pulsora_bridge_outbox_backlog", "Revenue events held or waiting to be sent.")
PAUSED = ("pulsora_bridge_destinations_paused", "Destinations that are paused.")
WORKER = ("pulsora_bridge_worker_seen_seconds", "Seconds since the latest heartbeat of any worker.")
REJECTED_VISITS = (
    "pulsora_bridge_rejected_visits",
    "Webhooks without a visit because an id was a placeholder such as undefined, by source and cause.",
)
REFUSED = ("pulsora_bridge_webhooks_refused_total", "Webhooks that were refused, by source and cause.")
CONFLICTS = (
    "pulsora_bridge_output_key_conflicts",
    "Webhooks whose revenue event was not sent, because another customer's stream had reported the same fact.",
)
LATENCY = (
    "pulsora_bridge_webhook_to_delivery_seconds",
    "Time from the arrival of the first webhook of a revenue event until Pulsora accepted the event.",
)
LATENCY_BOUNDS = (2.5, 5, 10, 30, 120, 600, 3600, 14400)
ALERTS = ("pulsora_bridge_alerts", "Subjects of each cause of an alert, such as silent sources; 0 if it does not hold.")

ALL = (INBOX, OUTBOX, OLDEST, BACKLOG, PAUSED, WORKER, REJECTED_VISITS, REFUSED, CONFLICTS, LATENCY, ALERTS)
