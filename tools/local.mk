# SPDX-License-Identifier: GPL-2.0-or-later
# jumpctl (installed), netdelay and flood (the lab's wire and flood, not installed), and the commands an engineer runs from the tree.
bin_PROGRAMS += jumpctl
jumpctl_CPPFLAGS = -D_GNU_SOURCE -DPACKAGE_VERSION='"$(PACKAGE_VERSION)"' -I$(srcdir)/core/include -I$(srcdir)/adapters $(JSONC_CFLAGS) $(SODIUM_CFLAGS)
jumpctl_LDADD = libjump-system.la libjumping-core.a $(JSONC_LIBS) $(INIH_LIBS) $(SODIUM_LIBS) -lm
jumpctl_SOURCES = \
	tools/jumpctl/main.c tools/jumpctl/policy.c tools/jumpctl/sessions.c tools/jumpctl/audit_read.c \
	tools/jumpctl/audit_verify.c tools/jumpctl/audit_replay.c tools/jumpctl/audit_plot.c tools/jumpctl/audit_svg.c \
	tools/jumpctl/audit_plot.h tools/jumpctl/jumpctl.h
dist_man_MANS += docs/man/jumpctl.1

noinst_PROGRAMS += netdelay flood
netdelay_SOURCES = tools/lib/netdelay.c
flood_SOURCES = tools/lib/flood.c

EXTRA_DIST += tools/build tools/check tools/demo tools/deps tools/strongswan-source tools/debian-kernel tools/lab tools/proof tools/lib/demo tools/lib/lab tools/lib/proof tools/lib/secretspy.c tools/lib/starve.c tools/lib/dumpall.c
