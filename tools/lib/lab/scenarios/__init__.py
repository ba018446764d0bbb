# SPDX-License-Identifier: GPL-2.0-or-later
"""The scenarios. Importing this package fills story.SCENARIOS, in the order of the imports.

Those of OpenVPN are here, those of strongSwan in the folder of that name. Each module owns a few scenarios and what they expect; none knows another.
"""
# They register themselves.
from . import smoke, start, moves, families, outages, lossy, captured, neighbours, crowd, weather, throughput  # noqa: F401
from . import configurations  # noqa: F401
from . import uplinks, routing, plaintext, mappings, newcomer  # noqa: F401
from . import attacks_replay, attacks_forged, attacks_race, attacks_path  # noqa: F401
from . import attacks_neighbour, attacks_birth, attacks_flood, attacks_clock, attacks_keys, attacks_sinks  # noqa: F401
from . import host_life, host_process, host_secrets, host_unit  # noqa: F401
from . import machine, host_systemd  # noqa: F401
from . import review_findings, rotation, exhausted  # noqa: F401
from . import strongswan  # noqa: F401
