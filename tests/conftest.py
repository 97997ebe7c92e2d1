"""What every test may rely on.

Properties run with the same seed each time in CI, so that a red build can be run again; `make test-long`
searches further. Nothing else is shared here: a fixture lives beside the tests that use it.
"""

from __future__ import annotations

import os

from hypothesis import settings

settings.register_profile("ci", derandomize=True, deadline=None, max_examples=60)
settings.register_profile("search", deadline=None, max_examples=2000)
settings.load_profile(os.environ.get("DARKROOM_TEST_PROFILE", "ci"))
