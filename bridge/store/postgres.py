"""PostgreSQL: any number of processes; the database itself isolates them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from sqlalchemy import URL, Connection, Engine, QueuePool, create_engine
from sqlalchemy.exc import DBAPIError, InterfaceError, InternalError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolExhausted

from bridge.errors import Deadlock, StoreUnavailable
from bridge.store.statements import advisory_lock

CONNECT_SECONDS = 2
LIMITS = "-c statement_timeout=30s -c lock_timeout=10s -c idle_in_transaction_session_timeout=120s"
# For storing webhooks: a processor gets its response within four seconds.
ACCEPT_LIMITS = "-c statement_timeout=2s -c lock_timeout=1500ms -c idle_in_transaction_session_timeout=10s"

DEADLOCK = "40P01"
ADVICE: Mapping[str | None, str] = {
    "42P01": "it has no tables yet; run `pulsora-bridge migrate`",
    "42703": "its tables are of another version; run `pulsora-bridge migrate`",
    "55P03": "another transaction held a lock for too long",
    "57014": "a statement took too long",
    DEADLOCK: "another transaction and this one waited for each other; nothing was written, repeat it",
    "53100": "its disk is full",
    "25006": "it is read-only",
}
SCHEMA = ("42P01", "42703")
PERSONAL_TABLES = ("inbox", "bodies", "streams", "states", "subscriptions", "links", "outbox", "attempts", "catalog",
                   "rejected_visits", "reconciliations", "pauses", "alerts", "audits", "audit_rows")  # fmt: skip


class Postgres:
    """One process's connections to a PostgreSQL database."""

    name = "postgresql"

    def __init__(self, url: URL) -> None:
        self._url = url
        self._engine = _engine(url, LIMITS, pool_size=8, max_overflow=24)
        # Webhooks are stored by one statement, which needs no BEGIN and COMMIT: two round trips less, for each of which
        # the thread that stores waits until the threads of other requests let it run Python again.
        self._accept_engine = _engine(url, ACCEPT_LIMITS, pool_size=1, max_overflow=0, isolation_level="AUTOCOMMIT")

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A read-only transaction. All its queries see the database at one moment, as on SQLite."""
        with self._translated_errors(), self._engine.connect() as tx:
            tx = tx.execution_options(postgresql_readonly=True, isolation_level="REPEATABLE READ")
            with tx.begin():
                yield tx

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """A write transaction."""
        with self._translated_errors(), self._engine.begin() as tx:
            yield tx

    @contextmanager
    def writing(self, seconds: float) -> Iterator[Connection]:
        """A connection for storing webhooks, with the short time limits."""
        with self._translated_errors(), self._accept_engine.connect() as tx:
            yield tx

    @contextmanager
    def migrating(self) -> Iterator[Connection]:
        """A transaction for the schema; a second process waits for its end."""
        with self._translated_errors(), self._engine.begin() as tx:
            tx.exec_driver_sql("SET LOCAL statement_timeout = 0")
            tx.exec_driver_sql("SET LOCAL lock_timeout = '120s'")
            advisory_lock(tx, "pulsora-bridge migrations")
            yield tx

    def describe(self) -> dict[str, object]:
        """Facts for the operator."""
        with self.reading() as tx:
            version = tx.exec_driver_sql("SHOW server_version").scalar()
            durable = tx.exec_driver_sql("SHOW synchronous_commit").scalar()
            size = tx.exec_driver_sql("SELECT pg_database_size(current_database())").scalar()
        url = self._url.render_as_string(hide_password=True)
        return {"dialect": self.name, "version": version, "path": url, "bytes": size, "synchronous_commit": durable}

    def compact(self, whole: bool) -> None:
        """Writes the tables with personal data anew, if `whole`; the log is the server's."""
        if not whole:
            return
        with self._translated_errors(), self._engine.connect() as connection:
            tx = connection.execution_options(isolation_level="AUTOCOMMIT")
            tx.exec_driver_sql("SET statement_timeout = 0")
            try:
                for name in PERSONAL_TABLES:
                    tx.exec_driver_sql(f"VACUUM FULL {name}")
            finally:
                tx.exec_driver_sql("SET statement_timeout = '30s'")

    def shrink(self) -> None:
        """Writes the tables anew: PostgreSQL cannot give the space back in any other way."""
        self.compact(whole=True)

    def close(self) -> None:
        """Closes all connections."""
        self._engine.dispose()
        self._accept_engine.dispose()

    def abandon(self) -> None:
        """In a forked child: forgets the parent's connections, which must not be closed here."""
        self._engine.dispose(close=False)
        self._accept_engine.dispose(close=False)

    @contextmanager
    def _translated_errors(self) -> Iterator[None]:
        """Raises `StoreUnavailable` with advice for an error of the server or the network; bugs pass unchanged."""
        try:
            yield
        except PoolExhausted as error:
            raise StoreUnavailable("all connections to the database are in use") from error
        except DBAPIError as error:
            state = getattr(error.orig, "sqlstate", None)
            if not isinstance(error, OperationalError | InterfaceError | InternalError) and state not in SCHEMA:
                raise
            reason = ADVICE.get(state) or str(error.orig).strip().splitlines()[0]
            kind = Deadlock if state == DEADLOCK else StoreUnavailable
            raise kind(f"{self._url.render_as_string(hide_password=True)}: {reason}") from error


def _engine(url: URL, limits: str, pool_size: int, max_overflow: int, **more: str) -> Engine:
    return create_engine(
        url,
        **more,
        poolclass=QueuePool,
        pool_size=pool_size,
        max_overflow=max_overflow,
        pool_timeout=2,
        pool_pre_ping=True,
        connect_args={
            "connect_timeout": CONNECT_SECONDS,
            "application_name": "pulsora-bridge",
            "options": f"{limits} {url.query.get('options', '')}".strip(),
            "keepalives_idle": 10,
            "keepalives_interval": 3,
            "keepalives_count": 3,
            "tcp_user_timeout": 5000,
        },
    )
