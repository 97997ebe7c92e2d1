"""The story that `make demo` tells: a small region, three owners, real processes, real boxes, and a few people.

`python -m examples.story` runs it; `chapters` is the story itself and reads from top to bottom.
"""
