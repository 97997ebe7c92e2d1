"""Images: read-only roots for boxes, named by the hash of their content.

An image's digest is the type-separated SHA-256 over the sorted list of (path, mode, SHA-256) of its files, so
a plan that names a digest names every byte that will run. Images are kept in `recipes.images_folder()`:

    HEX/root        the root itself, HEX being the digest's 64 digits
    HEX/files.json  the list behind the digest
    NAME.json       the digest that was last built under a name
    base-STAMP      interpreter and packages, which images share by hard links
    build-…         work that is not finished, or was never; nobody takes it for an image
    .lock           held by whoever builds or prunes

Whoever builds owns the files, and nobody else can write them. `listing` finds and checks images, `building` makes
them, `pruning` removes old ones; `python -m sandbox.images` does it by hand.
"""

from sandbox.images.building import build
from sandbox.images.listing import (
    Hold,
    Image,
    Known,
    by_digest,
    contains,
    digest_of,
    each_file,
    find,
    lacking,
    listed,
    named,
    origin,
    outdated,
    present,
    verify,
    verify_stepwise,
)

__all__ = [
    "Hold", "Image", "Known", "build", "by_digest", "contains", "digest_of", "each_file", "find", "lacking", "listed",
    "named", "origin", "outdated", "present", "verify", "verify_stepwise",
]  # fmt: skip
