# SPDX-License-Identifier: GPL-2.0-or-later
# libjump-system.la: clock, files, audit, policy files, control socket, netlink. Position-independent.
noinst_LTLIBRARIES += libjump-system.la
libjump_system_la_CPPFLAGS = -D_GNU_SOURCE -I$(srcdir)/core/include -I$(srcdir)/adapters -DJUMP_POLICYDIR='"$(policydir)"' \
	$(SODIUM_CFLAGS) $(INIH_CFLAGS) $(JSONC_CFLAGS) $(MNL_CFLAGS)
libjump_system_la_LIBADD = $(SODIUM_LIBS) $(INIH_LIBS) $(JSONC_LIBS) $(MNL_LIBS)
libjump_system_la_SOURCES = \
	adapters/system/audit_file.c adapters/system/clock.c adapters/system/control.c adapters/system/file.c \
	adapters/system/netlink.c adapters/system/path.c adapters/system/policy_file.c adapters/system/problem.c adapters/system/receive_buffer.c adapters/system/state.c adapters/system/text.c \
	adapters/system/audit_file.h adapters/system/clock.h adapters/system/control.h adapters/system/file.h \
	adapters/system/netlink.h adapters/system/path.h adapters/system/policy_file.h adapters/system/problem.h adapters/system/receive_buffer.h adapters/system/state.h adapters/system/text.h
