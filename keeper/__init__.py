"""The owner's side: keys, rosters, policy bundles, manifests, re-derivation, leases and the desk.

One process per owning domain. The word of the centre is never evidence here: the keeper reads the member's
statement itself, decides by its own bundle, and seals a key only to a box that a launcher of its roster
vouches for.
"""
