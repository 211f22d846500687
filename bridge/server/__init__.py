"""The server: gunicorn's configuration and worker class, and the supervisor of the web and worker processes."""
