"""What members import and type: `import darkroom` and the `darkroom` command.

It makes and keeps the member's own signing and opening keys, shows what is to be signed before it is
signed, and verifies a release before opening it.
"""
