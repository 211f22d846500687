"""The server: gunicorn with a worker of its own, and the supervisor of web and worker processes."""
