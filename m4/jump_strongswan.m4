# SPDX-License-Identifier: GPL-2.0-or-later
# JUMP_STRONGSWAN: find strongSwan's headers and the folder its plugins live in. Debian has no package with the headers:
# tools/strongswan-source fetches a tree. Without one the plugin is left out; a tree that was named must fit.
AC_DEFUN([JUMP_STRONGSWAN], [
  AC_ARG_WITH([strongswan-source],
    [AS_HELP_STRING([--with-strongswan-source=DIR],
      [strongSwan 5.9 source tree, configured as the charon that will run (default: build/strongswan of this tree, if tools/strongswan-source put one there; "no": no strongSwan plugin)])],
    [], [with_strongswan_source=auto])
  AC_ARG_WITH([charon-plugindir],
    [AS_HELP_STRING([--with-charon-plugindir=DIR], [where charon looks for plugins])],
    [charon_plugindir=$withval], [charon_plugindir='${prefix}/lib/ipsec/plugins'])
  AC_SUBST([charon_plugindir])
  # What the program reads is below /etc, also where nobody said --sysconfdir=/etc.
  AS_IF([test "$prefix:$sysconfdir" = '/usr:${prefix}/etc'],
    [charon_confdir=/etc/strongswan.d/charon], [charon_confdir='${sysconfdir}/strongswan.d/charon'])
  AC_SUBST([charon_confdir])
  # Absolute: the objects are made in another folder.
  jump_strongswan_source=
  AS_CASE([$with_strongswan_source],
    [auto], [AS_IF([test -f "$srcdir/build/strongswan/config.h"],
      [jump_strongswan_source=`cd "$srcdir/build/strongswan" && pwd`])],
    [no], [],
    [yes], [AC_MSG_ERROR([--with-strongswan-source needs a folder (tools/strongswan-source makes one)])],
    [jump_strongswan_source=`cd "$with_strongswan_source" 2>/dev/null && pwd`
     AS_IF([test ! -f "$jump_strongswan_source/config.h"],
       [AC_MSG_ERROR([$with_strongswan_source is no configured strongSwan source tree: it has no config.h])])])
  jump_strongswan=no
  AS_IF([test -n "$jump_strongswan_source"], [
    # Its own headers are searched as system headers: their warnings are not ours to mend.
    STRONGSWAN_CFLAGS="-include $jump_strongswan_source/config.h"
    for part in libstrongswan libcharon libipsec; do
      STRONGSWAN_CFLAGS="$STRONGSWAN_CFLAGS -isystem $jump_strongswan_source/src/$part"
    done
    AC_MSG_CHECKING([strongSwan's headers in $jump_strongswan_source])
    jump_kept_CPPFLAGS=$CPPFLAGS
    CPPFLAGS="$CPPFLAGS $STRONGSWAN_CFLAGS"
    # The version is read from the file: in a test program our own VERSION would hide it.
    STRONGSWAN_VERSION=`sed -n 's/^#define PACKAGE_VERSION "\(.*\)"$/\1/p' "$jump_strongswan_source/config.h"`
    AC_COMPILE_IFELSE([AC_LANG_PROGRAM([[
      #ifndef ME
      #error "configured without --enable-mediation: Debian's charon has other structures"
      #endif
      #if defined(USE_VSTR) || defined(USE_BUILTIN_PRINTF)
      #error "configured with another printf than the C library's"
      #endif
      #include <daemon.h>
      #include <ipsec.h>
      ]], [[connect_manager_t *of_mediation = charon->connect_manager;
      return of_mediation != NULL;]])],
      [AS_CASE([$STRONGSWAN_VERSION], [5.9.*], [jump_strongswan=yes],
        [jump_strongswan="no: $STRONGSWAN_VERSION is another than 5.9"])],
      [jump_strongswan='no: not what the plugin needs (see config.log)'])
    CPPFLAGS=$jump_kept_CPPFLAGS
    AC_MSG_RESULT([$jump_strongswan])
    AS_IF([test "$jump_strongswan" != yes && test "$with_strongswan_source" != auto],
      [AC_MSG_ERROR([$with_strongswan_source: $jump_strongswan; strongSwan 5.9 configured as Debian does is needed; tools/strongswan-source makes one])])
  ], [jump_strongswan='no: no source (tools/strongswan-source)'])
  AC_SUBST([STRONGSWAN_CFLAGS])
  AC_SUBST([STRONGSWAN_VERSION])
  AS_CASE([$jump_strongswan], [yes], [jump_strongswan_says="yes ($charon_plugindir, headers of $STRONGSWAN_VERSION)"],
    [jump_strongswan_says=$jump_strongswan])
  AM_CONDITIONAL([WITH_STRONGSWAN], [test "$jump_strongswan" = yes])
  # Tests that call libcharon itself: only where the one of this machine is the one of the headers. Only charon says that.
  jump_libcharon=no
  AS_IF([test "$jump_strongswan" = yes && test -e /usr/lib/ipsec/libcharon.so &&
      cat /usr/lib/ipsec/charon /usr/sbin/charon-systemd 2>/dev/null | grep -aqF "$STRONGSWAN_VERSION"],
    [jump_libcharon=yes])
  AC_SUBST([STRONGSWAN_LIBS], ["-L/usr/lib/ipsec -Wl,-rpath,/usr/lib/ipsec -lcharon -lstrongswan"])
  AM_CONDITIONAL([HAVE_LIBCHARON], [test "$jump_libcharon" = yes])
])
