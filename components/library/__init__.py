"""The components, one a module: its description as `COMPONENT`, and `run(tables, values, evidence)`.

Whatever lies here is in the library (`components.api.describe_all`). A module imports nothing heavy at its top, so that
lists can be made where no library is installed.
"""
