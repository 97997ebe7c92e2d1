"""Who may do what with which column: vocabulary, Casbin model, constraints, `decide` and `explain`.

Decisions are pure functions of the request, the reading, the bundle and the manifest. `policies.reading`,
the SQL guard, can be imported without Casbin, because it also runs inside boxes. Empty means refuse.
"""
