"""A small region that never was: population, incomes and medical visits, made from a seed.

Nobody in it exists. Citizen numbers carry right check characters, so that they pass every check, and start with 99,
a region code that no person's number can have: GB/T 2260 assigns 11 to 82, and permanent residents' cards (9, then the
code of a province) would need a province 99.
"""
