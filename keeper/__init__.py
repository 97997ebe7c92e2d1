"""The owner's side: keys, rosters, bundles, manifests, re-derivation, leases, and the desk.

One process per owning domain. It gives a key only for a digest that its approvers signed, or for a plan that
it has derived again, byte for byte, from the member's statement, the grant, its own bundle and the manifest.
What the centre says is a record, not evidence.
"""
