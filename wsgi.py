"""The application for WSGI servers in a checkout: `gunicorn -c config/gunicorn.conf.py wsgi:app`.

It is not part of the wheel, where a top-level module of this name could replace another distribution's: an installed
bridge is served with `gunicorn "bridge:create_app()"`.
"""

from bridge import create_app

app = create_app()
