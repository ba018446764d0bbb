# SPDX-License-Identifier: GPL-2.0-or-later
# The simulation: a program for tools/proof sim, and test_simulation, which runs a few seeds and shows that its oracle finds
# what is planted: --wrap puts the plants between the core's files.
check_LIBRARIES += libsim.a
libsim_a_CPPFLAGS = -D_GNU_SOURCE -I$(srcdir)/core/include -I$(srcdir)/core -I$(srcdir)/tests/lib -I$(srcdir)/tests/sim \
	-DPOLICIES='"$(abs_srcdir)/core/policy"'
libsim_a_SOURCES = tests/sim/attack.c tests/sim/draw.c tests/sim/faults.c tests/sim/host.c tests/sim/look.c tests/sim/network.c \
	tests/sim/oracle.c tests/sim/program.c tests/sim/queue.c tests/sim/run.c tests/sim/script.c tests/sim/sim.h

check_PROGRAMS += tests/sim/simulation
tests_sim_simulation_SOURCES = tests/sim/main.c
tests_sim_simulation_CPPFLAGS = $(libsim_a_CPPFLAGS)
tests_sim_simulation_LDADD = libsim.a libjumping-core.a $(SODIUM_LIBS)

if HAVE_CUNIT
check_PROGRAMS += tests/unit/test_simulation
TESTS += tests/unit/test_simulation
endif
tests_unit_test_simulation_SOURCES = tests/unit/test_simulation.c
tests_unit_test_simulation_CPPFLAGS = $(libsim_a_CPPFLAGS) -I$(srcdir)/tests/unit $(CUNIT_CFLAGS)
tests_unit_test_simulation_LDADD = libsim.a $(unit_ldadd)
tests_unit_test_simulation_LDFLAGS = $(AM_LDFLAGS) \
	-Wl,--wrap=jump_table_by_path,--wrap=jump_fsm_row,--wrap=jump_session_recent_switches,--wrap=jump_replay_fresh \
	-Wl,--wrap=jump_seal_challenge,--wrap=jump_seal_open,--wrap=jump_session_expires_at,--wrap=jump_session_key_expires_at \
	-Wl,--wrap=jump_client_deadline,--wrap=jump_client_due,--wrap=jump_audit_security,--wrap=jump_audit_reason \
	-Wl,--wrap=jump_health_judge,--wrap=jump_session_bytes,--wrap=jump_keys_derive,--wrap=jump_server_store \
	-Wl,--wrap=jump_client_datagram,--wrap=jump_engine_feed,--wrap=jump_table_bind,--wrap=jump_seal_message
