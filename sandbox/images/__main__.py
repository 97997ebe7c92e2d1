"""`python -m sandbox.images`: build, list, verify, compare and prune images by hand.

    build [--anew] [--all | --update] [FOLDER …]
                                        build the images of these recipes; with --all every one of this checkout, with
                                        --update those, too, that were built here before
    list [--all]                        what is here: name, digest, size, the image below, age, use; with --all also
                                        images that have lost their name
    verify [NAME | DIGEST …]            hash every byte anew; without a name, of every image that has one
    contains OUTER INNER                whether every file of INNER is in OUTER, byte for byte
    prune [--days N]                    remove what no name has pointed to for N days and nothing uses

Digests go to standard output, and what is being done to standard error. Exit status: that of the error
(`plans.errors`); 1 when `contains` says no.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import time
from pathlib import Path

from plans.errors import DarkroomError
from sandbox.images import building, listing, pruning
from sandbox.images.listing import Image
from sandbox.recipes import CHECKOUT, images_folder

_HEX = re.compile(r"[0-9a-f]{64}")


def main(arguments: list[str]) -> int:
    """Run one command and return its exit status."""
    given = _parser().parse_args(arguments)
    try:
        return int(given.run(given))
    except DarkroomError as problem:
        sys.stderr.write(f"{problem}\n")
        return problem.exit_code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m sandbox.images", description="Images of boxes.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    build = commands.add_parser("build", help="build images")
    build.add_argument("folders", nargs="*", type=Path, metavar="FOLDER", help="a folder with an image.toml")
    build.add_argument("--all", action="store_true", help="every image of this checkout")
    build.add_argument(
        "--update", action="store_true", help="every image of this checkout that was built before"
    )
    build.add_argument("--anew", action="store_true", help="even if nothing has changed, packages included")
    build.set_defaults(run=_build)
    listed = commands.add_parser("list", help="show what is here")
    listed.add_argument("--all", action="store_true", help="images without a name, too")
    listed.set_defaults(run=_list)
    verify = commands.add_parser("verify", help="hash images anew")
    verify.add_argument("images", nargs="*", metavar="IMAGE", help="a name or a digest")
    verify.set_defaults(run=_verify)
    contains = commands.add_parser("contains", help="compare two images")
    contains.add_argument("outer", metavar="OUTER")
    contains.add_argument("inner", metavar="INNER")
    contains.set_defaults(run=_contains)
    prune = commands.add_parser("prune", help="remove old images")
    prune.add_argument(
        "--days", type=float, default=pruning.DAYS, help=f"how long without a name ({pruning.DAYS})"
    )
    prune.set_defaults(run=_prune)
    return parser


def _build(given: argparse.Namespace) -> int:
    ours = sorted(path.parent for path in (CHECKOUT / "images").glob("*/image.toml"))
    before = listing.image_names(images_folder()) if given.update else ()
    more = [folder for folder in ours if given.all or folder.name in before]
    for folder in dict.fromkeys([*map(Path.absolute, given.folders), *more]):
        began = time.monotonic()
        image = building.build(folder, anew=given.anew)
        if time.monotonic() - began > 1:
            building.say(f"{folder.name} is ready after {time.monotonic() - began:.0f} s")
        sys.stdout.write(f"{image.digest}\n")
    return 0


def _list(given: argparse.Namespace) -> int:
    kept = images_folder()
    names: dict[str, list[str]] = {}
    for name in listing.image_names(kept):
        names.setdefault(str(listing.record_of(name, kept).get("digest")), []).append(name)
    found = {"sha256:" + path.name: path for path in kept.glob("*") if _HEX.fullmatch(path.name)}
    nameless = sorted(set(found) - set(names))
    shown = sorted(set(found) & set(names), key=names.__getitem__) + (nameless if given.all else [])
    for digest in shown:
        whole = found[digest]
        below = listing.origin(Image(digest, whole / "root"))
        on = ", ".join(names.get(below, [below[:19]])) if below else "-"
        days = (time.time() - whole.stat().st_mtime) / 86_400
        use = "in use" if pruning.in_use(whole) else ""
        name = ", ".join(names.get(digest, ["-"]))
        line = f"{name:12}  {digest}  {_megabytes(whole):6.0f} MB  on {on:10}  {days:5.1f} days  {use}"
        sys.stdout.write(line.rstrip() + "\n")
    if nameless and not given.all:
        sys.stdout.write(f"and {len(nameless)} without a name (--all lists them, prune removes old ones)\n")
    return 0


def _verify(given: argparse.Namespace) -> int:
    kept, known = images_folder(), listing.Known()
    chosen = [_chosen(word) for word in given.images] or list(listing.named(kept))
    for image in chosen:
        for _ in listing.verify_stepwise(image, known):
            pass
        sys.stdout.write(f"{image.digest}\n")
    return 0


def _contains(given: argparse.Namespace) -> int:
    outer, inner = _chosen(given.outer), _chosen(given.inner)
    held = listing.contains(outer, inner)
    word = "contains" if held else "does not contain"
    sys.stdout.write(f"{outer.digest} {word} {inner.digest}\n")
    return 0 if held else 1


def _prune(given: argparse.Namespace) -> int:
    done = pruning.prune(images_folder(), given.days)
    for word, things in (("image", done.images), ("base", done.bases), ("leftover", done.leftovers)):
        for thing in things:
            sys.stdout.write(f"removed {word} {thing}\n")
    for thing in done.in_use:
        sys.stdout.write(f"kept image {thing}: it is in use\n")
    return 0


def _chosen(word: str) -> Image:
    return listing.by_digest(word) if word.startswith("sha256:") else listing.find(word)


def _megabytes(whole: Path) -> float:
    """Return the size of an image; what it shares with others is counted."""
    sizes = (
        os.lstat(os.path.join(folder, name)).st_size for folder, _, names in os.walk(whole) for name in names
    )
    return sum(sizes) / 2**20


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
