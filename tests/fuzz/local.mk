# SPDX-License-Identifier: GPL-2.0-or-later
# The fuzz targets. Without --enable-fuzzers each is a check that replays its corpus, with any compiler; with it each is
# driven by libFuzzer (CC=clang) or AFL++ (CC=afl-clang-fast) and tools/proof fuzz builds and runs it.
fuzz_targets = tests/fuzz/fuzz_wire tests/fuzz/fuzz_sealed tests/fuzz/fuzz_policy tests/fuzz/fuzz_stateful

fuzz_corpus = $(abs_srcdir)/tests/fuzz/corpus
fuzz_cppflags = -D_GNU_SOURCE -I$(srcdir)/core/include -I$(srcdir)/core -I$(srcdir)/adapters -I$(srcdir)/tests/fuzz
fuzz_engine_cppflags = $(fuzz_cppflags) -I$(srcdir)/tests/lib $(SODIUM_CFLAGS)
fuzz_core_ldadd = libjumping-core.a $(SODIUM_LIBS)
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

EXTRA_DIST += tests/fuzz/README.md tests/fuzz/corpus
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
