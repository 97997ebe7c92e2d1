"""The texts that attackers run in boxes: standard library only, since in a box there is nothing else to rely on.

Each module is started in a box as one text (`sandbox.attacks.assembly`), never imported by the platform. An
attack gained something if it returns true, or bytes in which a canary lies; it was refused if it raises
`OSError` or `Refused`, or returns anything else.
"""
