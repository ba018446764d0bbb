# SPDX-License-Identifier: GPL-2.0-or-later
# JUMP_COMPILER: warnings that are errors here, hardening, and what only tests want: --enable-sanitizers,
# --enable-fuzzers, --enable-thread-sanitizer, --enable-coverage.
AC_DEFUN([JUMP_COMPILER], [
  AC_ARG_ENABLE([sanitizers],
    [AS_HELP_STRING([--enable-sanitizers], [build everything with ASan and UBSan (for make check)])],
    [], [enable_sanitizers=no])
  AC_ARG_ENABLE([fuzzers],
    [AS_HELP_STRING([--enable-fuzzers], [build everything with ASan, UBSan and coverage for tests/fuzz (CC=clang or afl-clang-fast)])],
    [], [enable_fuzzers=no])
  AS_IF([test "$enable_fuzzers" = yes],
    [jump_saved_cflags="$CFLAGS"
     CFLAGS="$CFLAGS -fsanitize=fuzzer-no-link"
     AC_COMPILE_IFELSE([AC_LANG_PROGRAM([], [])], [],
       [AC_MSG_ERROR([--enable-fuzzers needs clang with libFuzzer: CC=clang (Debian: clang and libclang-rt-14-dev)])])
     CFLAGS="$jump_saved_cflags"
     enable_sanitizers=yes])
  AC_ARG_ENABLE([thread-sanitizer],
    [AS_HELP_STRING([--enable-thread-sanitizer], [build everything with TSan (tools/proof threads)])],
    [], [enable_thread_sanitizer=no])
  AC_ARG_ENABLE([coverage],
    [AS_HELP_STRING([--enable-coverage], [count which lines and branches run (tools/proof coverage)])],
    [], [enable_coverage=no])
  # ASan and TSan each replace malloc, and an optimiser folds the branches that coverage counts.
  jump_instruments=
  for jump_one in "$enable_sanitizers" "$enable_thread_sanitizer" "$enable_coverage"; do
    AS_IF([test "$jump_one" = yes], [jump_instruments="x$jump_instruments"])
  done
  AS_CASE([$jump_instruments], [xx*],
    [AC_MSG_ERROR([only one of --enable-sanitizers, --enable-thread-sanitizer and --enable-coverage in one build])])
  JUMP_CFLAGS="-std=gnu11 -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith"
  JUMP_CFLAGS="$JUMP_CFLAGS -Wvla -Wformat=2 -Wno-format-nonliteral -Werror=implicit-function-declaration -Werror=override-init"
  JUMP_CFLAGS="$JUMP_CFLAGS -Werror=switch -Werror=return-type -fno-strict-aliasing -fvisibility=hidden"
  JUMP_LDFLAGS="-Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack"
  AS_IF([test "$enable_sanitizers" = yes],
    [JUMP_CFLAGS="$JUMP_CFLAGS -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer"
     JUMP_LDFLAGS="$JUMP_LDFLAGS -fsanitize=address,undefined"],
    [test "$enable_thread_sanitizer" = yes],
    [JUMP_CFLAGS="$JUMP_CFLAGS -fsanitize=thread -fno-omit-frame-pointer"
     JUMP_LDFLAGS="$JUMP_LDFLAGS -fsanitize=thread"],
    [test "$enable_coverage" = yes],
    [JUMP_CFLAGS="$JUMP_CFLAGS --coverage -fprofile-update=atomic"
     JUMP_LDFLAGS="$JUMP_LDFLAGS --coverage"],
    [JUMP_CFLAGS="$JUMP_CFLAGS -fstack-protector-strong -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2"])
  AS_IF([test "$enable_fuzzers" = yes], [JUMP_CFLAGS="$JUMP_CFLAGS -fsanitize=fuzzer-no-link"])
  AC_SUBST([JUMP_CFLAGS])
  AC_SUBST([JUMP_LDFLAGS])
  AM_CONDITIONAL([SANITIZERS], [test "$enable_sanitizers" = yes])
  AM_CONDITIONAL([FUZZERS], [test "$enable_fuzzers" = yes])
])
