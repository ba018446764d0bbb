# SPDX-License-Identifier: GPL-2.0-or-later
# libjump-openvpn.la: what stands between OpenVPN and the core. map.c, addresses.c and hold.c see the core's headers only.
if WITH_OPENVPN
noinst_LTLIBRARIES += libjump-openvpn.la
libjump_openvpn_la_CPPFLAGS = -D_GNU_SOURCE -DPACKAGE_VERSION='"$(PACKAGE_VERSION)"' -I$(srcdir)/core/include -I$(srcdir)/adapters -I$(srcdir)/adapters/openvpn $(SODIUM_CFLAGS)
libjump_openvpn_la_SOURCES = \
	adapters/openvpn/addresses.c adapters/openvpn/settings.c adapters/openvpn/hold.c adapters/openvpn/hooks.c \
	adapters/openvpn/inject.c adapters/openvpn/interpose.c adapters/openvpn/io.c adapters/openvpn/loop.c \
	adapters/openvpn/management.c adapters/openvpn/map.c adapters/openvpn/setup.c adapters/openvpn/sockaddr.c \
	adapters/openvpn/uplinks.c \
	adapters/openvpn/adapter.h adapters/openvpn/addresses.h adapters/openvpn/settings.h adapters/openvpn/hold.h \
	adapters/openvpn/hooks.h adapters/openvpn/inject.h adapters/openvpn/interpose.h adapters/openvpn/management.h \
	adapters/openvpn/map.h adapters/openvpn/sockaddr.h
endif
