"""The Ray cluster: starting it, and placing the boxes of a plan on nodes. The only room that imports Ray.

A Ray worker holds no key, no row and no user code: its task hands a launcher the digest of a plan and waits
for the signed record. Ray is not a trust boundary, so nothing here is one.
"""

import os

# Ray reads its mode of authentication when its library is loaded, and without one it would talk to anybody.
os.environ["RAY_AUTH_MODE"] = "token"
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
# A driver whose cluster has died would wait a minute for it to come back; a new one is up in seconds.
os.environ["RAY_gcs_rpc_server_reconnect_timeout_s"] = "5"  # noqa: SIM112 - the name that Ray reads
