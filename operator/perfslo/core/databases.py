"""What is known of a database behind services: the connections it takes, and what it counts of its statements."""

from __future__ import annotations

from perfslo.core.frozen import dataclass


@dataclass(frozen=True, slots=True)
class Connections:
    """A database's budget of connections, which all SLOs that name it share."""

    limit: int
    """Connections that they may open together: what the database takes, less what is reserved for others."""
    others: int
    """What the other SLOs' pods may open, with those that a rollout adds (see `levers.database.drawn`)."""


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement, whoever sent it and with whatever values."""

    query_id: str
    database: str
    text: str
    """Empty when the exporter does not tell it."""
    per_second: float
    mean_seconds: float
    share: float
    """Of the time that the database spent on all statements, 0..1."""


@dataclass(frozen=True, slots=True)
class Table:
    name: str
    """With its database and schema: shop.public.orders."""
    rows: float
    """In all; if the database does not know, as many as a scan reads."""
    reads_per_second: float
    """Of all its rows, by one scan or by many together."""
    index_scans_per_second: float


@dataclass(frozen=True, slots=True)
class Statistics:
    """Statements and tables that took and read the most, biggest first. Rates are of one window."""

    statements: tuple[Statement, ...] | None = None
    """None when nobody counts them."""
    tables: tuple[Table, ...] = ()
