# SPDX-License-Identifier: GPL-2.0-or-later
# libjump-openvpn.la: what stands between OpenVPN and the core. map*.c see the core's headers only.
if WITH_OPENVPN
noinst_LTLIBRARIES += libjump-openvpn.la
libjump_openvpn_la_CPPFLAGS = -D_GNU_SOURCE -I$(srcdir)/core/include -I$(srcdir)/adapters \
	-I$(srcdir)/adapters/openvpn $(SODIUM_CFLAGS)
libjump_openvpn_la_SOURCES = \
	adapters/openvpn/hooks.c adapters/openvpn/inject.c adapters/openvpn/interpose.c \
	adapters/openvpn/io.c adapters/openvpn/keep.c adapters/openvpn/loop.c adapters/openvpn/management.c adapters/openvpn/map.c \
	adapters/openvpn/map_addresses.c adapters/openvpn/map_peers.c adapters/openvpn/settings.c \
	adapters/openvpn/setup.c adapters/openvpn/sieve.c adapters/openvpn/sockaddr.c adapters/openvpn/uplinks.c \
	adapters/openvpn/ways.c \
	adapters/openvpn/adapter.h adapters/openvpn/hooks.h adapters/openvpn/inject.h \
	adapters/openvpn/interpose.h adapters/openvpn/keep.h adapters/openvpn/management.h adapters/openvpn/map.h \
	adapters/openvpn/map_addresses.h adapters/openvpn/map_peers.h adapters/openvpn/numbers.h \
	adapters/openvpn/settings.h adapters/openvpn/sieve.h adapters/openvpn/sockaddr.h adapters/openvpn/ways.h
endif

if HAVE_CUNIT
if WITH_OPENVPN
openvpn_tests = \
	tests/unit/test_openvpn_inject tests/unit/test_openvpn_map \
	tests/unit/test_openvpn_settings tests/unit/test_openvpn_loop tests/unit/test_openvpn_management \
	tests/unit/test_openvpn_sockaddr tests/unit/test_openvpn_ways tests/unit/test_openvpn_open tests/unit/test_openvpn_io \
	tests/unit/test_openvpn_sieve
openvpn_test_cppflags = -I$(srcdir)/core/include -I$(srcdir)/adapters $(CUNIT_CFLAGS)
openvpn_test_ldadd = libjump-openvpn.la libjump-host.la libjump-system.la libjump-store.la libjumping-core.a $(SODIUM_LIBS) $(CUNIT_LIBS)
tests_unit_test_openvpn_inject_SOURCES = tests/unit/test_openvpn_inject.c
tests_unit_test_openvpn_inject_CPPFLAGS = $(openvpn_test_cppflags)
tests_unit_test_openvpn_inject_LDADD = $(openvpn_test_ldadd)
tests_unit_test_openvpn_map_SOURCES = tests/unit/test_openvpn_map.c
tests_unit_test_openvpn_map_CPPFLAGS = $(openvpn_test_cppflags)
tests_unit_test_openvpn_map_LDADD = $(openvpn_test_ldadd)
tests_unit_test_openvpn_settings_SOURCES = tests/unit/test_openvpn_settings.c
tests_unit_test_openvpn_settings_CPPFLAGS = -D_GNU_SOURCE $(openvpn_test_cppflags)
tests_unit_test_openvpn_settings_LDADD = $(openvpn_test_ldadd)
tests_unit_test_openvpn_loop_SOURCES = tests/unit/test_openvpn_loop.c
tests_unit_test_openvpn_loop_CPPFLAGS = -D_GNU_SOURCE -I$(srcdir)/adapters/openvpn $(openvpn_test_cppflags)
tests_unit_test_openvpn_loop_LDADD = $(openvpn_test_ldadd) $(JSONC_LIBS) $(INIH_LIBS) $(MNL_LIBS)
tests_unit_test_openvpn_io_SOURCES = tests/unit/test_openvpn_io.c
tests_unit_test_openvpn_io_CPPFLAGS = -D_GNU_SOURCE -I$(srcdir)/adapters/openvpn $(openvpn_test_cppflags)
tests_unit_test_openvpn_io_LDADD = $(openvpn_test_ldadd) $(JSONC_LIBS) $(INIH_LIBS) $(MNL_LIBS)
tests_unit_test_openvpn_sieve_SOURCES = tests/unit/test_openvpn_sieve.c
tests_unit_test_openvpn_sieve_CPPFLAGS = -D_GNU_SOURCE $(openvpn_test_cppflags)
tests_unit_test_openvpn_sieve_LDADD = $(openvpn_test_ldadd)
tests_unit_test_openvpn_management_SOURCES = tests/unit/test_openvpn_management.c
tests_unit_test_openvpn_management_CPPFLAGS = -D_GNU_SOURCE -I$(srcdir)/adapters/openvpn $(openvpn_test_cppflags)
tests_unit_test_openvpn_management_LDADD = $(openvpn_test_ldadd)
tests_unit_test_openvpn_sockaddr_SOURCES = tests/unit/test_openvpn_sockaddr.c
tests_unit_test_openvpn_sockaddr_CPPFLAGS = -D_GNU_SOURCE $(openvpn_test_cppflags)
tests_unit_test_openvpn_sockaddr_LDADD = $(openvpn_test_ldadd)
tests_unit_test_openvpn_ways_SOURCES = tests/unit/test_openvpn_ways.c
tests_unit_test_openvpn_ways_CPPFLAGS = -D_GNU_SOURCE $(openvpn_test_cppflags)
tests_unit_test_openvpn_ways_LDADD = $(openvpn_test_ldadd)
tests_unit_test_openvpn_open_SOURCES = tests/unit/test_openvpn_open.c
tests_unit_test_openvpn_open_CPPFLAGS = -D_GNU_SOURCE -I$(srcdir)/adapters/openvpn $(openvpn_test_cppflags) $(MNL_CFLAGS) \
	-DPOLICIES='"$(abs_srcdir)/core/policy"'
tests_unit_test_openvpn_open_LDADD = $(openvpn_test_ldadd) $(JSONC_LIBS) $(INIH_LIBS) $(MNL_LIBS)
# Each of these can be made to fail.
tests_unit_test_openvpn_open_LDFLAGS = $(AM_LDFLAGS) \
	-Wl,--wrap=malloc,--wrap=calloc,--wrap=posix_memalign,--wrap=strdup,--wrap=socket,--wrap=bind,--wrap=listen \
	-Wl,--wrap=fchmod,--wrap=fchmodat,--wrap=fstat,--wrap=mkdir,--wrap=flock,--wrap=pread,--wrap=pwrite,--wrap=read \
	-Wl,--wrap=write,--wrap=fsync,--wrap=ftruncate,--wrap=renameat,--wrap=mprotect,--wrap=dlsym,--wrap=getpwuid \
	-Wl,--wrap=mnl_socket_open2,--wrap=mnl_socket_bind,--wrap=openat,--wrap=open
check_PROGRAMS += $(openvpn_tests)
TESTS += $(openvpn_tests)
endif
endif
