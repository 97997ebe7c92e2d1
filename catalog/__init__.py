"""What data there is: domains, datasets, columns, versions, grades and owners.

Descriptions are files that people can read; no row of data ever passes through here.
"""
