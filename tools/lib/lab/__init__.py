# SPDX-License-Identifier: GPL-2.0-or-later
"""The lab: real OpenVPN and strongSwan in network namespaces, with a network that can be broken on purpose.

Building blocks, each usable alone (several may live in one process, under different labels):
  run.py        one run's folder, processes and clean-up      network.py   namespaces, NAT, delay, holes
  pki.py        keys and certificates of one run              openvpn.py   OpenVPN processes and pairs
  strongswan.py charon processes and pairs             vici.py      questions to a charon
  jumping.py    the installed plugin, its sessions and audit  streams.py   traffic and its gaps
  attacker.py   taps and forgers of whole frames       siege.py     a pair under attack, and what must hold
  traffic.py, capture.py   programs that run inside the namespaces
  uml.py, uml_init.py, qemu.py   a machine with a kernel of its own   oldrules.py  the router's rules in there
Above them: story.py (what every scenario does), charon_story.py (the same for strongSwan), scenarios/, report.py, check.py, cli.py.
The blocks know nothing of the scenarios.
"""
