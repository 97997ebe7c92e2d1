"""Applications, approvals and grants: who asked for what, for which purpose and until when, and who said yes.

Statements are signed on the machines of the people who make them; this package keeps and carries them.
"""
