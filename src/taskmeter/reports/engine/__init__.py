"""The relations of `reports.rows` as tables of a DuckDB database, for spools of any size.

`spool` and `clickhouse` bring the spans of a source into the view `spans`, `amounts` gives exact money a type, `rows`
and `matching` tell what the spans are and which task each recorded outcome is about, `settle` works out what each task
came to, and `cohort` chooses and groups tasks for a report. `reports.relations` says the same in Python for the rows
of few tasks; a property test holds the two equal.
"""
