"""Jobs: from a member's request to a plan, and on through the durable states of a job.

Ingests and SQL jobs live here. A job is a walk through the six nouns; this package keeps its place in the
walk and survives restarts, and leaves every decision to the room that owns it.
"""
