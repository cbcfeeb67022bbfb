"""Compare finished runs in one table, as text, page, CSV or JSON."""
