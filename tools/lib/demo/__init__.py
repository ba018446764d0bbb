# SPDX-License-Identifier: GPL-2.0-or-later
"""The demo: a host with jumping and a bare one, side by side through the same events.

  cli.py      the command line, the order of things, the exit status
  prepare.py  packages and build                lane.py     one pair, and what can be seen of it
  history.py  which moments had traffic         hosts.py    what is particular to OpenVPN and to strongSwan
  board.py    what the script shows             script.py   the events, in order, on both lanes at once
  screen.py   the terminal                      picture.py  the board as lines of text
                                                ending.py   table, audit log, picture, verdict
The network, the hosts and the traffic are the lab's (../lab); nothing here measures by itself.
"""
