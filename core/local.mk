# SPDX-License-Identifier: GPL-2.0-or-later
# libjumping-core.a: position-independent, so that plugins link it into their shared objects.
noinst_LIBRARIES += libjumping-core.a
libjumping_core_a_CPPFLAGS = -I$(srcdir)/core/include -I$(srcdir)/core $(SODIUM_CFLAGS)
libjumping_core_a_CFLAGS = $(AM_CFLAGS) -fPIC
libjumping_core_a_SOURCES = \
	core/audit.c core/engine.c core/fsm.c core/fsm.def core/keys.c core/policy.c core/ratelimit.c \
	core/replay.c core/score.c core/seal.c core/session.c core/table.c core/timer.c core/wire.c \
	core/keys.h core/ratelimit.h core/replay.h core/score.h core/seal.h core/session.h core/table.h \
	core/timer.h core/wire.h \
	core/include/jumping/audit.h core/include/jumping/engine.h core/include/jumping/fsm.h \
	core/include/jumping/policy.h core/include/jumping/types.h
dist_policy_DATA += core/policy/strict.ini core/policy/mobile.ini core/policy/laptop.ini
