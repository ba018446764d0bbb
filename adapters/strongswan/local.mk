# SPDX-License-Identifier: GPL-2.0-or-later
# libjump-strongswan.la: what stands between charon and the core. version.c is compiled without strongSwan's headers.
if WITH_STRONGSWAN
noinst_LTLIBRARIES += libjump-strongswan.la
libjump_strongswan_la_CPPFLAGS = -D_GNU_SOURCE -I$(srcdir)/core/include -I$(srcdir)/adapters -I$(srcdir)/adapters/strongswan \
	$(SODIUM_CFLAGS)
libjump_strongswan_la_SOURCES = adapters/strongswan/version.c adapters/strongswan/version.h
endif

# It knows no header of strongSwan: tested wherever the tests are.
if HAVE_CUNIT
strongswan_tests = tests/unit/test_strongswan_version
tests_unit_test_strongswan_version_SOURCES = tests/unit/test_strongswan_version.c adapters/strongswan/version.c
tests_unit_test_strongswan_version_CPPFLAGS = -D_GNU_SOURCE -I$(srcdir)/adapters $(CUNIT_CFLAGS)
tests_unit_test_strongswan_version_LDADD = $(CUNIT_LIBS)
check_PROGRAMS += $(strongswan_tests)
TESTS += $(strongswan_tests)
endif
