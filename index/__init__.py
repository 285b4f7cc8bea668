"""What is known: value types, access rules, queries, the catalogue and the jobs."""
