"""The attacks that a box must survive, as a product: one suite in tests, in `make attack`, and on a customer's node.

    texts/        what attackers run inside boxes
    attack        an attack and its outcome, as values
    catalogue     every attack, with its number, its section, and the walls that it tries
    statements    attacks in SQL, for an engine whose guard is assumed to be broken
    scenarios     attacks that need two boxes, a limit, or somebody outside
    ground        where attacks are carried out: boxes of one tier, and canaries planted all around them
    running       carries attacks out, or their controls
    table         what came of it, for people

An attack shows nothing unless it can succeed. So every attack names the walls (`sandbox.contract.Wall`) that stop it,
and the tests take exactly those off and see it succeed.
"""
