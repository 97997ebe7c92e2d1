"""What runs inside boxes. Copied into images, and imported by no other package.

Plaintext rows exist only here. This is the only package that imports DuckDB, and it imports nothing of the platform
but `plans`, `keys`, `policies.reading` and `airlock.rules`.
"""
