"""Signing, sealing and key files: the only room that imports `cryptography`.

`signing` makes and checks signed statements (Ed25519, RFC 8032), `sealing` encrypts to a key (HPKE, RFC 9180)
and with a key (AES-256-GCM, NIST SP 800-38D), `keyfile` keeps private keys under a passphrase. Nothing here
decides anything.
"""
