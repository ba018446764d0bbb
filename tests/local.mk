# SPDX-License-Identifier: GPL-2.0-or-later
# Tests: unit/ (one program for each file of core/, CUnit) and checks/ (scripts that look at the tree itself).
# A new unit test is a name in unit_tests and its three lines; a new check is a name in dist_check_SCRIPTS.

AM_TESTS_ENVIRONMENT = NM='$(NM)'; CC='$(CC)'; PYTHON3='$(PYTHON3)'; export NM CC PYTHON3;

unit_cppflags = -I$(srcdir)/core/include -I$(srcdir)/core $(CUNIT_CFLAGS)
unit_ldadd = libjumping-core.a $(SODIUM_LIBS) $(CUNIT_LIBS)

EXTRA_DIST += tests/unit/runner.h

# Two real engines over a simulated network: what every test_engine_* stands on.
check_LIBRARIES = libworld.a
libworld_a_CPPFLAGS = -I$(srcdir)/core/include -I$(srcdir)/core
libworld_a_SOURCES = tests/lib/world.c tests/lib/world.h tests/lib/peek.c tests/lib/peek.h tests/lib/profile.h \
	tests/lib/story.h
engine_cppflags = -I$(srcdir)/tests/unit $(unit_cppflags) -I$(srcdir)/tests/lib -DPOLICIES='"$(abs_srcdir)/core/policy"' \
	-DSCENARIOS='"$(abs_srcdir)/tests/scenarios"'
engine_ldadd = libworld.a $(unit_ldadd)

unit_tests = \
	tests/unit/test_fsm tests/unit/test_replay tests/unit/test_timer tests/unit/test_ratelimit \
	tests/unit/test_score tests/unit/test_policy \
	tests/unit/test_engine_model tests/unit/test_engine_attacks \
	tests/unit/test_engine_forgeries \
	tests/unit/test_engine_endings \
	tests/unit/test_engine_invariants \
	tests/unit/test_engine_store tests/unit/test_engine_nodes \
	tests/unit/test_engine_keys \
	tests/unit/test_engine_withheld \
	tests/unit/test_engine_sessions \
	tests/unit/test_engine_rest tests/unit/test_engine_cookies tests/unit/test_engine_weather \
	tests/unit/test_engine_policy \
	tests/unit/test_engine_edges \
	tests/unit/test_engine_secrets \
	tests/unit/test_scenarios

tests_unit_test_fsm_SOURCES = tests/unit/test_fsm.c
tests_unit_test_fsm_CPPFLAGS = $(unit_cppflags)
tests_unit_test_fsm_LDADD = $(unit_ldadd)

tests_unit_test_replay_SOURCES = tests/unit/test_replay.c
tests_unit_test_replay_CPPFLAGS = $(unit_cppflags)
tests_unit_test_replay_LDADD = $(unit_ldadd)

tests_unit_test_timer_SOURCES = tests/unit/test_timer.c
tests_unit_test_timer_CPPFLAGS = $(unit_cppflags)
tests_unit_test_timer_LDADD = $(unit_ldadd)

tests_unit_test_ratelimit_SOURCES = tests/unit/test_ratelimit.c
tests_unit_test_ratelimit_CPPFLAGS = $(unit_cppflags)
tests_unit_test_ratelimit_LDADD = $(unit_ldadd)

tests_unit_test_score_SOURCES = tests/unit/test_score.c
tests_unit_test_score_CPPFLAGS = $(unit_cppflags)
tests_unit_test_score_LDADD = $(unit_ldadd)

tests_unit_test_policy_SOURCES = tests/unit/test_policy.c
tests_unit_test_policy_CPPFLAGS = $(unit_cppflags)
tests_unit_test_policy_LDADD = $(unit_ldadd)

tests_unit_test_engine_model_SOURCES = tests/unit/test_engine_model.c
tests_unit_test_engine_model_CPPFLAGS = $(engine_cppflags)
tests_unit_test_engine_model_LDADD = $(engine_ldadd)

# Known answers: the core against an implementation that shares no line with it.
unit_tests += tests/unit/test_wire tests/unit/test_vectors

tests_unit_test_wire_SOURCES = tests/unit/test_wire.c
tests_unit_test_wire_CPPFLAGS = $(unit_cppflags)
tests_unit_test_wire_LDADD = $(unit_ldadd)

tests_unit_test_vectors_SOURCES = tests/unit/test_vectors.c
tests_unit_test_vectors_CPPFLAGS = $(unit_cppflags) $(SODIUM_CFLAGS) -DVECTORS='"$(abs_srcdir)/tests/vectors/vectors.txt"'
tests_unit_test_vectors_LDADD = $(unit_ldadd)

EXTRA_DIST += tests/unit/fields.h tests/vectors/vectors.txt tests/vectors/reference.py
EXTRA_DIST += docs/protocol.md docs/requirements.md docs/state-machine.md tools/gen-state-machine
EXTRA_DIST += docs/attacks.md tests/attacks.ini tools/gen-attacks
dist_check_SCRIPTS += tests/checks/check-vectors tests/checks/check-state-machine

# The models that spin walks through: tools/proof model.
EXTRA_DIST += tests/model/choose.pml tests/model/cluster.c tests/model/cluster.h tests/model/cluster.pml \
	tests/model/messages.c tests/model/messages.h tests/model/messages.pml tests/model/paths.c tests/model/paths.h \
	tests/model/paths.pml tests/model/recovery.c tests/model/recovery.h tests/model/recovery.pml tests/model/rows.c \
	tests/model/step.c tests/model/step.h tests/model/timing.c tests/model/timing.h tests/model/timing.pml \
	tests/model/unreached

# The system adapters and the store contract. test_audit_* and test_control run ./jumpctl too: both ends belong together.
unit_tests += tests/unit/test_audit_file tests/unit/test_audit_verify tests/unit/test_policy_file tests/unit/test_control tests/unit/test_state \
	tests/unit/test_store tests/unit/test_netlink

system_cppflags = -D_GNU_SOURCE $(unit_cppflags) -I$(srcdir)/adapters $(JSONC_CFLAGS)
system_ldadd = libjump-system.la $(unit_ldadd) $(JSONC_LIBS)

tests_unit_test_audit_file_SOURCES = tests/unit/test_audit_file.c
tests_unit_test_audit_file_CPPFLAGS = $(system_cppflags)
tests_unit_test_audit_file_LDADD = $(system_ldadd)

tests_unit_test_audit_verify_SOURCES = tests/unit/test_audit_verify.c
tests_unit_test_audit_verify_CPPFLAGS = $(system_cppflags)
tests_unit_test_audit_verify_LDADD = $(system_ldadd)

tests_unit_test_policy_file_SOURCES = tests/unit/test_policy_file.c
tests_unit_test_policy_file_CPPFLAGS = $(system_cppflags) -DJUMP_TEST_SRCDIR='"$(abs_srcdir)"'
tests_unit_test_policy_file_LDADD = $(system_ldadd)

tests_unit_test_control_SOURCES = tests/unit/test_control.c
tests_unit_test_control_CPPFLAGS = $(system_cppflags)
tests_unit_test_control_LDADD = $(system_ldadd)

tests_unit_test_state_SOURCES = tests/unit/test_state.c
tests_unit_test_state_CPPFLAGS = $(system_cppflags)
tests_unit_test_state_LDADD = $(system_ldadd)

tests_unit_test_netlink_SOURCES = tests/unit/test_netlink.c
tests_unit_test_netlink_CPPFLAGS = $(system_cppflags)
tests_unit_test_netlink_LDADD = $(system_ldadd)

tests_unit_test_store_SOURCES = tests/unit/test_store.c
tests_unit_test_store_CPPFLAGS = $(system_cppflags)
tests_unit_test_store_LDADD = libjump-store.la $(unit_ldadd)

# What every host has in common, with a host that is only a list.
unit_tests += tests/unit/test_host_hold
tests_unit_test_host_hold_SOURCES = tests/unit/test_host_hold.c
tests_unit_test_host_hold_CPPFLAGS = $(system_cppflags)
tests_unit_test_host_hold_LDADD = libjump-host.la $(unit_ldadd)
unit_tests += tests/unit/test_host_takeovers
tests_unit_test_host_takeovers_SOURCES = tests/unit/test_host_takeovers.c
tests_unit_test_host_takeovers_CPPFLAGS = $(system_cppflags)
tests_unit_test_host_takeovers_LDADD = libjump-host.la $(unit_ldadd)
unit_tests += tests/unit/test_host_instance
tests_unit_test_host_instance_SOURCES = tests/unit/test_host_instance.c
tests_unit_test_host_instance_CPPFLAGS = $(system_cppflags) $(SODIUM_CFLAGS) -DPOLICIES='"$(abs_srcdir)/core/policy"'
tests_unit_test_host_instance_LDADD = libjump-host.la libjump-system.la libjump-store.la $(unit_ldadd) $(JSONC_LIBS)
tests_unit_test_host_instance_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=free,--wrap=sodium_mlock

EXTRA_DIST += tests/thread-sanitizer.supp tests/unit/scratch.h tests/unit/audit_log.h docs/policy.md docs/audit.md
dist_check_SCRIPTS += tests/checks/check-policy-page

tests_unit_test_engine_attacks_SOURCES = tests/unit/test_engine_attacks.c
tests_unit_test_engine_attacks_CPPFLAGS = $(engine_cppflags)
tests_unit_test_engine_attacks_LDADD = $(engine_ldadd)

tests_unit_test_engine_forgeries_SOURCES = tests/unit/test_engine_forgeries.c
tests_unit_test_engine_forgeries_CPPFLAGS = $(engine_cppflags)
tests_unit_test_engine_forgeries_LDADD = $(engine_ldadd)

tests_unit_test_engine_endings_SOURCES = tests/unit/test_engine_endings.c
tests_unit_test_engine_endings_CPPFLAGS = $(engine_cppflags)
tests_unit_test_engine_endings_LDADD = $(engine_ldadd)

tests_unit_test_engine_invariants_SOURCES = tests/unit/test_engine_invariants.c
tests_unit_test_engine_invariants_CPPFLAGS = $(engine_cppflags)
tests_unit_test_engine_invariants_LDADD = $(engine_ldadd)

tests_unit_test_engine_store_SOURCES = tests/unit/test_engine_store.c
tests_unit_test_engine_store_CPPFLAGS = $(engine_cppflags)
tests_unit_test_engine_store_LDADD = $(engine_ldadd)

# The memory store stands for one that nodes share.
tests_unit_test_engine_nodes_SOURCES = tests/unit/test_engine_nodes.c
tests_unit_test_engine_nodes_CPPFLAGS = $(engine_cppflags) -I$(srcdir)/adapters
tests_unit_test_engine_nodes_LDADD = libjump-store.la $(engine_ldadd)

tests_unit_test_engine_keys_SOURCES = tests/unit/test_engine_keys.c
tests_unit_test_engine_keys_CPPFLAGS = $(engine_cppflags)
tests_unit_test_engine_keys_LDADD = $(engine_ldadd)

tests_unit_test_engine_withheld_SOURCES = tests/unit/test_engine_withheld.c
tests_unit_test_engine_withheld_CPPFLAGS = $(engine_cppflags)
tests_unit_test_engine_withheld_LDADD = $(engine_ldadd)

tests_unit_test_engine_sessions_SOURCES = tests/unit/test_engine_sessions.c
tests_unit_test_engine_sessions_CPPFLAGS = $(engine_cppflags)
tests_unit_test_engine_sessions_LDADD = $(engine_ldadd)

tests_unit_test_engine_rest_SOURCES = tests/unit/test_engine_rest.c
tests_unit_test_engine_rest_CPPFLAGS = $(engine_cppflags)
tests_unit_test_engine_rest_LDADD = $(engine_ldadd)

EXTRA_DIST += tests/unit/sent.h
tests_unit_test_engine_cookies_SOURCES = tests/unit/test_engine_cookies.c
tests_unit_test_engine_cookies_CPPFLAGS = $(engine_cppflags)
tests_unit_test_engine_cookies_LDADD = $(engine_ldadd)

tests_unit_test_engine_weather_SOURCES = tests/unit/test_engine_weather.c
tests_unit_test_engine_weather_CPPFLAGS = $(engine_cppflags)
tests_unit_test_engine_weather_LDADD = $(engine_ldadd)

tests_unit_test_engine_policy_SOURCES = tests/unit/test_engine_policy.c
tests_unit_test_engine_policy_CPPFLAGS = $(engine_cppflags)
tests_unit_test_engine_policy_LDADD = $(engine_ldadd)

tests_unit_test_engine_secrets_SOURCES = tests/unit/test_engine_secrets.c
tests_unit_test_engine_secrets_CPPFLAGS = $(engine_cppflags) $(SODIUM_CFLAGS)
tests_unit_test_engine_secrets_LDADD = $(engine_ldadd)
tests_unit_test_engine_edges_SOURCES = tests/unit/test_engine_edges.c
tests_unit_test_engine_edges_CPPFLAGS = $(engine_cppflags)
tests_unit_test_engine_edges_LDADD = $(engine_ldadd)

# One input under callgrind (tools/proof timing); not a test by itself.
EXTRA_PROGRAMS += tests/unit/timing_secrets
tests_unit_timing_secrets_SOURCES = tests/unit/timing_secrets.c
tests_unit_timing_secrets_CPPFLAGS = $(engine_cppflags)
tests_unit_timing_secrets_LDADD = $(engine_ldadd)

# Each story is one test of test_scenarios.
EXTRA_DIST += tests/scenarios/README.md \
	tests/scenarios/address-change-unseen.rpl tests/scenarios/address-change.rpl tests/scenarios/cooldown.rpl \
	tests/scenarios/failing-store.rpl tests/scenarios/flapping-path.rpl tests/scenarios/hole-10s.rpl \
	tests/scenarios/hole-240s.rpl tests/scenarios/hole-60s.rpl tests/scenarios/hole-too-long.rpl \
	tests/scenarios/idle-phone-rebinding.rpl tests/scenarios/idle-phone.rpl tests/scenarios/laptop-overnight.rpl \
	tests/scenarios/laptop-too-long.rpl tests/scenarios/lost-accept.rpl \
	tests/scenarios/lost-challenge-and-proof.rpl tests/scenarios/lost-reset.rpl tests/scenarios/lost-terminate.rpl \
	tests/scenarios/nat-rebinding.rpl tests/scenarios/operator.rpl tests/scenarios/replayed-proof.rpl \
	tests/scenarios/server-restart-while-away.rpl tests/scenarios/server-restart.rpl \
	tests/scenarios/slow-satellite.rpl tests/scenarios/slow-store.rpl tests/scenarios/strict-comes-back.rpl \
	tests/scenarios/strict-flaps-past-the-rate.rpl tests/scenarios/strict-window.rpl \
	tests/scenarios/switch-rate.rpl tests/scenarios/two-uplinks-both-bad.rpl \
	tests/scenarios/two-uplinks-one-bad.rpl tests/scenarios/uplink-dies-during-switch.rpl
tests_unit_test_scenarios_SOURCES = tests/unit/test_scenarios.c
tests_unit_test_scenarios_CPPFLAGS = $(engine_cppflags)
tests_unit_test_scenarios_LDADD = $(engine_ldadd)

if HAVE_CUNIT
check_PROGRAMS += $(unit_tests)
TESTS += $(unit_tests)
else
# Nothing tested is not "all tests passed".
check-local:
	@echo "make check: the unit tests need CUnit (Debian: libcunit1-dev); install it and configure again" >&2
	@exit 1
endif

dist_check_SCRIPTS += \
	tests/checks/check-core-symbols tests/checks/check-no-thread tests/checks/check-secrets tests/checks/check-layout tests/checks/check-links tests/checks/check-requirements \
	tests/checks/check-table-rows tests/checks/check-one-list tests/checks/check-strongswan-loads \
	tests/checks/check-strongswan-settings tests/checks/check-attacks \
	tests/checks/check-the-checks
TESTS += $(dist_check_SCRIPTS)
