"""What a fitted model tells about the persons it was fitted to, found by trying: its parts counted anew, attacks run.

Pure, over arrays: a box brings the rows (`inside/inspect.py`), and `airlock.models.checking` is the door. The job
never saw some of the persons (`plans.tasks.HOLDOUT_PERCENT`); what a model knows of the others beyond what it knows of
these is what it remembers.
"""
