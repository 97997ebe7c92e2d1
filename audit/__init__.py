"""Events, the Merkle log (RFC 6962), signed heads, witnesses and verification from files alone.

An event is durable before the result of its action is visible.
"""
