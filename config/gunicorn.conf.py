"""gunicorn's configuration: gunicorn -c config/gunicorn.conf.py "bridge:create_app()"

The options come from the bridge's settings (environment and .env). Options set below take precedence.
"""

from bridge.server.gunicorn_config import options_from_environment

globals().update(options_from_environment())

# For example:
# bind = "unix:/run/pulsora-bridge.sock"
# workers = 4
