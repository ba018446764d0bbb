# SPDX-License-Identifier: GPL-2.0-or-later
"""The parts of tools/proof, one module each. Read first: cli.py."""
