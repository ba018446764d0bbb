# SPDX-License-Identifier: GPL-2.0-or-later
# The fuzz targets. Without --enable-fuzzers each is a check that replays its corpus, with any compiler; with it each is
# driven by libFuzzer (CC=clang) or AFL++ (CC=afl-clang-fast) and tools/proof fuzz builds and runs it.
fuzz_targets = tests/fuzz/fuzz_wire tests/fuzz/fuzz_sealed tests/fuzz/fuzz_stateful tests/fuzz/fuzz_policy \
	tests/fuzz/fuzz_audit tests/fuzz/fuzz_control tests/fuzz/fuzz_state tests/fuzz/fuzz_netlink tests/fuzz/fuzz_envelope
if WITH_OPENVPN
fuzz_targets += tests/fuzz/fuzz_demux tests/fuzz/fuzz_management
endif

fuzz_corpus = $(abs_srcdir)/tests/fuzz/corpus
fuzz_cppflags = -D_GNU_SOURCE -I$(srcdir)/core/include -I$(srcdir)/core -I$(srcdir)/adapters -I$(srcdir)/tests/fuzz
fuzz_engine_cppflags = $(fuzz_cppflags) -I$(srcdir)/tests/lib $(SODIUM_CFLAGS)
fuzz_core_ldadd = libjumping-core.a $(SODIUM_LIBS)
fuzz_system_cppflags = $(fuzz_cppflags) -I$(srcdir)/tests/unit $(JSONC_CFLAGS)
fuzz_system_ldadd = libjump-system.la $(fuzz_core_ldadd) $(JSONC_LIBS)
if FUZZERS
fuzz_driver = tests/fuzz/fuzz.h
fuzz_ldflags = $(AM_LDFLAGS) -fsanitize=fuzzer
else
fuzz_driver = tests/fuzz/fuzz.h tests/fuzz/replay.c
fuzz_ldflags = $(AM_LDFLAGS)
TESTS += $(fuzz_targets)
endif
check_PROGRAMS += $(fuzz_targets)

# tools/proof fuzz looks whether a fuzzer finds this one's fault.
EXTRA_PROGRAMS += tests/fuzz/fuzz_planted
tests_fuzz_fuzz_planted_SOURCES = tests/fuzz/fuzz_wire.c $(fuzz_driver)
tests_fuzz_fuzz_planted_CPPFLAGS = $(tests_fuzz_fuzz_wire_CPPFLAGS) -DJUMP_FUZZ_PLANT
tests_fuzz_fuzz_planted_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_planted_LDADD = $(fuzz_core_ldadd)

EXTRA_DIST += tests/fuzz/README.md tests/fuzz/corpus tests/fuzz/dict
dist_check_SCRIPTS += tests/fuzz/seeds.py

tests_fuzz_fuzz_wire_SOURCES = tests/fuzz/fuzz_wire.c $(fuzz_driver)
tests_fuzz_fuzz_wire_CPPFLAGS = $(fuzz_cppflags) -DCORPUS='"$(fuzz_corpus)/wire"'
tests_fuzz_fuzz_wire_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_wire_LDADD = $(fuzz_core_ldadd)

tests_fuzz_fuzz_sealed_SOURCES = tests/fuzz/fuzz_sealed.c tests/fuzz/stage.c tests/fuzz/stage.h $(fuzz_driver)
tests_fuzz_fuzz_sealed_CPPFLAGS = $(fuzz_engine_cppflags) -DCORPUS='"$(fuzz_corpus)/sealed"'
tests_fuzz_fuzz_sealed_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_sealed_LDADD = libworld.a $(fuzz_core_ldadd)

tests_fuzz_fuzz_policy_SOURCES = tests/fuzz/fuzz_policy.c $(fuzz_driver)
tests_fuzz_fuzz_policy_CPPFLAGS = $(fuzz_cppflags) -DCORPUS='"$(fuzz_corpus)/policy"'
tests_fuzz_fuzz_policy_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_policy_LDADD = libjump-system.la $(fuzz_core_ldadd)

tests_fuzz_fuzz_stateful_SOURCES = tests/fuzz/fuzz_stateful.c tests/fuzz/stage.c tests/fuzz/stage.h $(fuzz_driver)
tests_fuzz_fuzz_stateful_CPPFLAGS = $(fuzz_engine_cppflags) -DCORPUS='"$(fuzz_corpus)/stateful"'
tests_fuzz_fuzz_stateful_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_stateful_LDADD = libworld.a $(fuzz_core_ldadd)

tests_fuzz_fuzz_audit_SOURCES = tests/fuzz/fuzz_audit.c tools/jumpctl/audit_read.c tools/jumpctl/audit_verify.c \
	tools/jumpctl/audit_replay.c tools/jumpctl/audit_plot.c tools/jumpctl/audit_svg.c tools/jumpctl/audit_plot.h \
	tools/jumpctl/jumpctl.h $(fuzz_driver)
tests_fuzz_fuzz_audit_CPPFLAGS = $(fuzz_system_cppflags) -I$(srcdir)/tools/jumpctl $(SODIUM_CFLAGS) -DPACKAGE_VERSION='"fuzz"' -DCORPUS='"$(fuzz_corpus)/audit"'
tests_fuzz_fuzz_audit_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_audit_LDADD = $(fuzz_system_ldadd) -lm

tests_fuzz_fuzz_control_SOURCES = tests/fuzz/fuzz_control.c tests/fuzz/stage.c tests/fuzz/stage.h $(fuzz_driver)
tests_fuzz_fuzz_control_CPPFLAGS = $(fuzz_engine_cppflags) -I$(srcdir)/tests/unit $(JSONC_CFLAGS) -DCORPUS='"$(fuzz_corpus)/control"'
tests_fuzz_fuzz_control_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_control_LDADD = libworld.a $(fuzz_system_ldadd)

tests_fuzz_fuzz_state_SOURCES = tests/fuzz/fuzz_state.c $(fuzz_driver)
tests_fuzz_fuzz_state_CPPFLAGS = $(fuzz_system_cppflags) -DCORPUS='"$(fuzz_corpus)/state"'
tests_fuzz_fuzz_state_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_state_LDADD = $(fuzz_system_ldadd)

tests_fuzz_fuzz_netlink_SOURCES = tests/fuzz/fuzz_netlink.c $(fuzz_driver)
tests_fuzz_fuzz_netlink_CPPFLAGS = $(fuzz_cppflags) $(MNL_CFLAGS) -DCORPUS='"$(fuzz_corpus)/netlink"'
tests_fuzz_fuzz_netlink_LDFLAGS = $(fuzz_ldflags) -Wl,--wrap=recvfrom,--wrap=mnl_socket_sendto,--wrap=mnl_attr_get_u32
tests_fuzz_fuzz_netlink_LDADD = libjump-system.la $(MNL_LIBS)

tests_fuzz_fuzz_envelope_SOURCES = tests/fuzz/fuzz_envelope.c adapters/strongswan/envelope.c $(fuzz_driver)
tests_fuzz_fuzz_envelope_CPPFLAGS = $(fuzz_cppflags) -DCORPUS='"$(fuzz_corpus)/envelope"'
tests_fuzz_fuzz_envelope_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_envelope_LDADD = 

tests_fuzz_fuzz_demux_SOURCES = tests/fuzz/fuzz_demux.c $(fuzz_driver)
tests_fuzz_fuzz_demux_CPPFLAGS = $(fuzz_cppflags) -DCORPUS='"$(fuzz_corpus)/demux"'
tests_fuzz_fuzz_demux_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_demux_LDADD = libjump-openvpn.la $(fuzz_core_ldadd)

tests_fuzz_fuzz_management_SOURCES = tests/fuzz/fuzz_management.c $(fuzz_driver)
tests_fuzz_fuzz_management_CPPFLAGS = $(fuzz_system_cppflags) -DCORPUS='"$(fuzz_corpus)/management"'
tests_fuzz_fuzz_management_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_management_LDADD = libjump-openvpn.la $(fuzz_system_ldadd)
