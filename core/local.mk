# SPDX-License-Identifier: GPL-2.0-or-later
# libjumping-core.a: position-independent, so that plugins link it into their shared objects.
noinst_LIBRARIES += libjumping-core.a
libjumping_core_a_CPPFLAGS = -I$(srcdir)/core/include -I$(srcdir)/core $(SODIUM_CFLAGS)
libjumping_core_a_CFLAGS = $(AM_CFLAGS) -fPIC
libjumping_core_a_SOURCES = \
	core/audit.c core/client.c core/engine.c core/fsm.c core/fsm.def core/health.c core/health.h core/internal.h \
	core/keys.c core/keys.h core/policy.c core/prober.c core/ratelimit.c core/ratelimit.h core/replay.c core/replay.h core/score.c \
	core/score.h core/seal.c core/seal.h core/server.c core/session.c core/session.h core/stranger.c core/table.c core/table.h \
	core/timer.c core/timer.h core/wire.c core/wire.h \
	core/include/jumping/audit.h core/include/jumping/engine.h core/include/jumping/fsm.h \
	core/include/jumping/policy.h core/include/jumping/types.h
dist_policy_DATA += core/policy/strict.ini core/policy/mobile.ini core/policy/laptop.ini
