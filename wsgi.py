"""For WSGI servers: `gunicorn -c config/gunicorn.conf.py wsgi:app`."""

from bridge.web import create_app

app = create_app()
