"""gunicorn's configuration: the bridge's own options, then yours."""

from bridge.serving import gunicorn_options

globals().update(gunicorn_options())

# Your own lines go below, for example:
# bind = "unix:/run/pulsora-bridge.sock"
# workers = 2
