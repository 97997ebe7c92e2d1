"""The Ray cluster: starting it, what it can hold, the queue and placement.

A Ray task hands a launcher a digest and watches states; it never becomes a box's parent and never sees a
key or a row. The only package that imports Ray.
"""
