"""The database session, migrations and settings.

SQLite by default, PostgreSQL by a URL. The only package that opens the database and imports SQLAlchemy.
"""
