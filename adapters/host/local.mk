# SPDX-License-Identifier: GPL-2.0-or-later
# libjump-host.la: one engine and what it needs from the system, the same for every host. Position-independent.
noinst_LTLIBRARIES += libjump-host.la
libjump_host_la_CPPFLAGS = -D_GNU_SOURCE -DPACKAGE_VERSION='"$(PACKAGE_VERSION)"' -I$(srcdir)/core/include \
	-I$(srcdir)/adapters $(SODIUM_CFLAGS)
libjump_host_la_SOURCES = adapters/host/hold.c adapters/host/hold.h adapters/host/instance.c adapters/host/instance.h \
	adapters/host/takeovers.c adapters/host/takeovers.h
