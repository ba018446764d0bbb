# SPDX-License-Identifier: GPL-2.0-or-later
# libjump-strongswan.la: what stands between charon and the core. envelope.c and version.c know no header of
# strongSwan, and are tested wherever the tests are; what calls libcharon is tested where there is one.
if WITH_STRONGSWAN
noinst_LTLIBRARIES += libjump-strongswan.la
libjump_strongswan_la_CPPFLAGS = -D_GNU_SOURCE -I$(srcdir)/core/include -I$(srcdir)/adapters -I$(srcdir)/adapters/strongswan \
	$(SODIUM_CFLAGS) $(STRONGSWAN_CFLAGS)
libjump_strongswan_la_CFLAGS = $(AM_CFLAGS) -Wno-format -Wno-format-security -Wno-unused-parameter -Wno-pointer-sign
libjump_strongswan_la_SOURCES = \
	adapters/strongswan/activity.c adapters/strongswan/carrier.c adapters/strongswan/envelope.c adapters/strongswan/esp.c adapters/strongswan/hold.c adapters/strongswan/kick.c \
	adapters/strongswan/listener.c adapters/strongswan/loop.c adapters/strongswan/mapping.c adapters/strongswan/methods.c adapters/strongswan/peers.c \
	adapters/strongswan/rebind.c adapters/strongswan/reject.c adapters/strongswan/setup.c adapters/strongswan/shortage.c \
	adapters/strongswan/stay.c adapters/strongswan/unique.c adapters/strongswan/version.c \
	adapters/strongswan/adapter.h adapters/strongswan/carrier.h adapters/strongswan/envelope.h adapters/strongswan/hold.h \
	adapters/strongswan/kick.h adapters/strongswan/shortage.h adapters/strongswan/version.h
endif

if HAVE_CUNIT
strongswan_tests = tests/unit/test_strongswan_version tests/unit/test_strongswan_envelope
tests_unit_test_strongswan_envelope_SOURCES = tests/unit/test_strongswan_envelope.c adapters/strongswan/envelope.c
tests_unit_test_strongswan_envelope_CPPFLAGS = -I$(srcdir)/core/include -I$(srcdir)/adapters $(CUNIT_CFLAGS) \
	-DVECTORS='"$(abs_srcdir)/tests/vectors/vectors.txt"'
tests_unit_test_strongswan_envelope_LDADD = $(CUNIT_LIBS)
tests_unit_test_strongswan_version_SOURCES = tests/unit/test_strongswan_version.c adapters/strongswan/version.c
tests_unit_test_strongswan_version_CPPFLAGS = -D_GNU_SOURCE -I$(srcdir)/adapters $(CUNIT_CFLAGS)
tests_unit_test_strongswan_version_LDADD = $(CUNIT_LIBS)
if HAVE_LIBCHARON
strongswan_tests += tests/unit/test_strongswan_carrier
# A36: what the test itself and the adapter allocate may fail (tests/unit/without_memory.h).
without_memory = -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc
tests_unit_test_strongswan_carrier_SOURCES = tests/unit/test_strongswan_carrier.c tests/unit/without_memory.h
tests_unit_test_strongswan_carrier_CPPFLAGS = -D_GNU_SOURCE -I$(srcdir)/core/include -I$(srcdir)/adapters $(STRONGSWAN_CFLAGS) \
	$(CUNIT_CFLAGS)
tests_unit_test_strongswan_carrier_LDADD = libjump-strongswan.la libjump-system.la $(STRONGSWAN_LIBS) $(CUNIT_LIBS)
tests_unit_test_strongswan_carrier_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=jump_clock_now $(without_memory)
strongswan_tests += tests/unit/test_strongswan_hold
tests_unit_test_strongswan_hold_SOURCES = tests/unit/test_strongswan_hold.c tests/unit/without_memory.h
tests_unit_test_strongswan_hold_CPPFLAGS = $(tests_unit_test_strongswan_carrier_CPPFLAGS)
tests_unit_test_strongswan_hold_LDADD = libjump-strongswan.la libjump-host.la libjump-system.la $(STRONGSWAN_LIBS) $(CUNIT_LIBS)
tests_unit_test_strongswan_hold_LDFLAGS = $(AM_LDFLAGS) $(without_memory)
# The rest of the adapter, against a charon of the test's own.
strongswan_tests += tests/unit/test_strongswan_sessions tests/unit/test_strongswan_listener
swan_test_cppflags = $(tests_unit_test_strongswan_carrier_CPPFLAGS) $(SODIUM_CFLAGS)
swan_test_cflags = $(AM_CFLAGS) -Wno-format -Wno-pointer-sign
swan_test_ldadd = libjump-strongswan.la libjump-host.la libjump-system.la libjump-store.la libjumping-core.a $(STRONGSWAN_LIBS) \
	$(CUNIT_LIBS) $(SODIUM_LIBS) $(JSONC_LIBS) $(INIH_LIBS) $(MNL_LIBS)
tests_unit_test_strongswan_sessions_SOURCES = tests/unit/test_strongswan_sessions.c tests/unit/fake_charon.h tests/unit/without_memory.h
tests_unit_test_strongswan_sessions_CPPFLAGS = $(swan_test_cppflags)
tests_unit_test_strongswan_sessions_CFLAGS = $(swan_test_cflags)
tests_unit_test_strongswan_sessions_LDADD = $(swan_test_ldadd)
tests_unit_test_strongswan_sessions_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=jump_clock_now $(without_memory)
tests_unit_test_strongswan_listener_SOURCES = tests/unit/test_strongswan_listener.c tests/unit/fake_charon.h tests/unit/without_memory.h
tests_unit_test_strongswan_listener_CPPFLAGS = $(swan_test_cppflags) -DVECTORS='"$(abs_srcdir)/tests/vectors/vectors.txt"'
tests_unit_test_strongswan_listener_CFLAGS = $(swan_test_cflags)
tests_unit_test_strongswan_listener_LDADD = $(swan_test_ldadd)
tests_unit_test_strongswan_listener_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=jump_clock_now $(without_memory)
# All of its threads, with the clock as it is; for ThreadSanitizer first (tools/proof threads).
strongswan_tests += tests/unit/test_strongswan_threads
tests_unit_test_strongswan_threads_SOURCES = tests/unit/test_strongswan_threads.c tests/unit/fake_charon.h
tests_unit_test_strongswan_threads_CPPFLAGS = $(swan_test_cppflags) -DPOLICIES='"$(abs_srcdir)/core/policy"'
tests_unit_test_strongswan_threads_CFLAGS = $(swan_test_cflags)
tests_unit_test_strongswan_threads_LDADD = $(swan_test_ldadd)
# Kernel ESP's parts, each against a kernel, a firewall or sockets of the test's own.
strongswan_tests += tests/unit/test_strongswan_kick tests/unit/test_strongswan_mapping tests/unit/test_strongswan_reject \
	tests/unit/test_strongswan_stay
tests_unit_test_strongswan_kick_SOURCES = tests/unit/test_strongswan_kick.c tests/unit/fake_charon.h
tests_unit_test_strongswan_kick_CPPFLAGS = $(swan_test_cppflags) $(MNL_CFLAGS)
tests_unit_test_strongswan_kick_CFLAGS = $(swan_test_cflags)
tests_unit_test_strongswan_kick_LDADD = $(swan_test_ldadd)
tests_unit_test_strongswan_kick_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=jump_clock_now,--wrap=socket,--wrap=sendto,--wrap=setsockopt \
	-Wl,--wrap=mnl_socket_open2,--wrap=mnl_socket_get_fd,--wrap=mnl_socket_get_portid,--wrap=mnl_socket_bind \
	-Wl,--wrap=mnl_socket_sendto,--wrap=mnl_socket_recvfrom,--wrap=mnl_socket_close
tests_unit_test_strongswan_mapping_SOURCES = tests/unit/test_strongswan_mapping.c tests/unit/fake_charon.h
tests_unit_test_strongswan_mapping_CPPFLAGS = $(swan_test_cppflags)
tests_unit_test_strongswan_mapping_CFLAGS = $(swan_test_cflags)
tests_unit_test_strongswan_mapping_LDADD = $(swan_test_ldadd)
tests_unit_test_strongswan_mapping_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=jump_clock_now
tests_unit_test_strongswan_reject_SOURCES = tests/unit/test_strongswan_reject.c tests/unit/fake_charon.h
tests_unit_test_strongswan_reject_CPPFLAGS = $(swan_test_cppflags)
tests_unit_test_strongswan_reject_CFLAGS = $(swan_test_cflags)
tests_unit_test_strongswan_reject_LDADD = $(swan_test_ldadd)
tests_unit_test_strongswan_reject_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=jump_clock_now,--wrap=process_start_shell \
	-Wl,--wrap=jump_swan_kick,--wrap=jump_swan_kick_begin,--wrap=jump_swan_kick_end
tests_unit_test_strongswan_stay_SOURCES = tests/unit/test_strongswan_stay.c tests/unit/fake_charon.h tests/unit/without_memory.h
tests_unit_test_strongswan_stay_CPPFLAGS = $(swan_test_cppflags)
tests_unit_test_strongswan_stay_CFLAGS = $(swan_test_cflags)
tests_unit_test_strongswan_stay_LDADD = $(swan_test_ldadd)
tests_unit_test_strongswan_stay_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=jump_clock_now $(without_memory)
endif
check_PROGRAMS += $(strongswan_tests)
TESTS += $(strongswan_tests)
endif
