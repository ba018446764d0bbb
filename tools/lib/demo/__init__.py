# SPDX-License-Identifier: GPL-2.0-or-later
"""The demo: an OpenVPN with jumping and a bare one, side by side through the same events.

  cli.py      the command line, the order of things, the exit status
  prepare.py  packages and build                lane.py     one OpenVPN pair, and what can be seen of it
  history.py  which moments had traffic         script.py   the events, in order, on both lanes at once
  board.py    what the script shows             picture.py  the board as lines of text
  screen.py   the terminal                      ending.py   table, audit log, picture, verdict
The network, OpenVPN and the traffic are the lab's (../lab); nothing here measures by itself.
"""
