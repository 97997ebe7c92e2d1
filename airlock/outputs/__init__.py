"""Typed outputs of jobs: reading them without belief, judging what was read.

Two boxes carry this package and nothing else of the airlock but `airlock.rules`. In the first, parsers of other
people's formats turn files into values (`reading`); in the second, rules look at the values (`judging`). See
docs/outputs.md.
"""
