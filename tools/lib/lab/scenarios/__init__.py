# SPDX-License-Identifier: GPL-2.0-or-later
"""The scenarios. Importing this package fills story.SCENARIOS, in the order of the imports.

Each module owns a few scenarios and what they expect; none knows another.
"""
from . import smoke, moves, outages, captured, neighbours, throughput  # noqa: F401  (they register themselves)
