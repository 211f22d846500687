"""The state of the bridge, as the admin pages, `check`, `status` and `/metrics` show it."""
