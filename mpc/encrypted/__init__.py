"""Encrypted computation 密文计算: one party adds up and multiplies what only another can open.

Boxes alone import it. `planner` chooses parameters and says why, `engine` and `scoring` compute, `sealing` is the only
module that speaks with TenSEAL, `envelope` is how ciphertexts travel, `key_process` is where a secret key lives.
"""
