"""Signing (Ed25519), sealing (HPKE, RFC 9180), wrapping of data keys and key files with strict permissions.

The only package that imports `cryptography`.
"""
