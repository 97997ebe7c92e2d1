"""Hidden lookup (匿踪查询): one record of another's table, or "absent", and its owner learns not which.

Pure: keys, records and messages in, messages and records out; no files, no network. It imports numpy, numba, gmpy2,
`keys` and `plans`, so that boxes can carry it. From below:

* `oprf`: the table's owner evaluates a key that it does not see;
* `layout`, `tree`, `table`: records sealed under what that gives, in columns of one height, under one published root;
* `product`, `gaussian`, `simple_pir`: a column is fetched without saying which;
* `buckets`: or, of small tables, everything, and of large ones by leave a part that is said;
* `plan`: which way, and what it takes, before anything is built.

`docs/lookup.md` says who learns what.
"""
