"""What runs in boxes, and nowhere else: readers, SQL engine, inspectors, ingest converters.

Plaintext rows exist only here. The packages of the platform never import this one (a contract of
import-linter); images copy it. It imports nouns, keys, the SQL guard and the airlock's pure rules, and is the
only home of DuckDB. A box talks to its launcher through `inside.session` and to nobody else.
"""
