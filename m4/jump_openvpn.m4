# SPDX-License-Identifier: GPL-2.0-or-later
# JUMP_OPENVPN: find OpenVPN's plugin header and the folder its plugins live in.
AC_DEFUN([JUMP_OPENVPN], [
  AC_ARG_ENABLE([openvpn],
    [AS_HELP_STRING([--disable-openvpn], [do not build the OpenVPN plugin])], [], [enable_openvpn=yes])
  AC_ARG_WITH([openvpn-plugindir],
    [AS_HELP_STRING([--with-openvpn-plugindir=DIR], [where OpenVPN looks for plugins])],
    [openvpn_plugindir=$withval],
    [multiarch=`$CC -print-multiarch 2>/dev/null`
     # Debian keeps the folder beside the multiarch libraries and has no pkg-config file for it.
     AS_IF([test -n "$multiarch"], [openvpn_plugindir='${prefix}/lib/'"$multiarch/openvpn/plugins"],
                                   [openvpn_plugindir='${libdir}/openvpn/plugins'])])
  AC_SUBST([openvpn_plugindir])
  jump_openvpn=no
  AS_IF([test "$enable_openvpn" != no], [
    AC_CHECK_HEADER([openvpn/openvpn-plugin.h], [jump_openvpn=yes],
      [AC_MSG_ERROR([openvpn/openvpn-plugin.h is missing or does not compile: install openvpn and libssl-dev (it includes openssl/x509.h), or configure with --disable-openvpn])])])
  AM_CONDITIONAL([WITH_OPENVPN], [test "$jump_openvpn" = yes])
])
