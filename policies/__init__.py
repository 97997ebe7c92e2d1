"""Who may do what with which column: constraints, `decide`, `derive`, and the SQL guard (`reading`).

Decisions are pure functions of the request, the reading, the bundle and the manifest. `policies.reading`,
the SQL guard, imports nothing else of the platform, because it also runs inside boxes. Empty means refuse.
"""
