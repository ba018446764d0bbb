# SPDX-License-Identifier: GPL-2.0-or-later
# JUMP_COMPILER: warnings that are errors here, hardening, and --enable-sanitizers for the tests.
AC_DEFUN([JUMP_COMPILER], [
  AC_ARG_ENABLE([sanitizers],
    [AS_HELP_STRING([--enable-sanitizers], [build everything with ASan and UBSan (for make check)])],
    [], [enable_sanitizers=no])
  JUMP_CFLAGS="-std=gnu11 -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith"
  JUMP_CFLAGS="$JUMP_CFLAGS -Wvla -Wformat=2 -Wno-format-nonliteral -Werror=implicit-function-declaration -Werror=override-init"
  JUMP_CFLAGS="$JUMP_CFLAGS -Werror=switch -Werror=return-type -fno-strict-aliasing -fvisibility=hidden"
  JUMP_LDFLAGS="-Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack"
  AS_IF([test "$enable_sanitizers" = yes],
    [JUMP_CFLAGS="$JUMP_CFLAGS -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer"
     JUMP_LDFLAGS="$JUMP_LDFLAGS -fsanitize=address,undefined"],
    [JUMP_CFLAGS="$JUMP_CFLAGS -fstack-protector-strong -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2"])
  AC_SUBST([JUMP_CFLAGS])
  AC_SUBST([JUMP_LDFLAGS])
  AM_CONDITIONAL([SANITIZERS], [test "$enable_sanitizers" = yes])
])
