"""Hidden lookup (匿踪查询): one record of another's table, or "absent", and its owner learns not which.

Pure: keys, records and messages in, messages and records out; no files, no network. It imports numpy, numba, gmpy2,
`keys`, `plans` and the channel of `mpc.protocols`, so that boxes can carry it. From below:

* `oprf`: the table's owner evaluates a key that it does not see;
* `layout`, `parameters`: how a table lies, and what makes its lookups right and hidden, as numbers alone;
* `tree`, `fields`, `table`: records sealed under what evaluation gives, in columns, under one published root;
* `product`, `gpu`, `gaussian`, `simple_pir`: a column is fetched without saying which;
* `buckets`: or, of small tables, everything, and of large ones by leave a part that is said;
* `plan`: which way, and what it takes, before anything is built;
* `owner`, `seeker`, `dialogue`: both sides of a lookup, and of as many as a plan says over a channel.

`docs/lookup.md` says who learns what.
"""
