"""The condition that a row lies in a query's time."""


def within(column: str) -> str:
    """`[from_s, until_s)`, which are parameters of the query, in epoch seconds."""
    return f"{column} >= toDateTime(%(from_s)s, 'UTC') AND {column} < toDateTime(%(until_s)s, 'UTC')"
