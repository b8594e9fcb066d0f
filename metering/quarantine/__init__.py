"""Quarantine: what was not taken, why, and what an operator does about it. Entries are in ClickHouse, decisions in PostgreSQL.

filters.py    which entries; positions in their order
scanning.py   keys of entries in a state, page by page
entries.py    whole entries with what was decided about them
counting.py   how many, by reason, decoder and tenant
rendering.py  bytes as something that a person can read
conflicts.py  the event that won beside the one that lost
preparing.py  bytes back to events: decoder, credential and rules as they were at the edge
decisions.py  replay and discard, of one entry or of many
bulk.py       the same for everything that matches a filter
"""
