# SPDX-License-Identifier: GPL-2.0-or-later
"""The scenarios of strongSwan. Importing this package puts them into story.SCENARIOS['strongswan'].

Each module owns a few scenarios and what they expect; none knows another. Read first: ../../charon_story.py.
"""
# They register themselves.
from . import smoke, moves, outages, sites, plaintext, without, captured, replayed, crowd, flood, life, host_memory, secrets  # noqa: F401
from . import handshake, rekeyings, endings, elsewhere  # noqa: F401
from . import users, exhausted  # noqa: F401
