"""The six nouns and the signed statements as frozen values, their canonical bytes, and the tree of errors.

Standard library only: everything on every side must be able to read these.
"""
