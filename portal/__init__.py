"""The HTTP API, the web pages and sign-in.

A request comes in, is tied to a member and a scope, and is handed to the room that decides. The only
package that imports FastAPI.
"""
