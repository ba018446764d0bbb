# SPDX-License-Identifier: GPL-2.0-or-later
# libstrongswan-jumping.so: the adapter, the core and the system parts in one object that exports what charon looks for.
# Never unmapped (nodelete), as OpenVPN's.
if WITH_STRONGSWAN
charonplugin_LTLIBRARIES = libstrongswan-jumping.la
libstrongswan_jumping_la_CPPFLAGS = -D_GNU_SOURCE -I$(srcdir)/core/include -I$(srcdir)/adapters $(STRONGSWAN_CFLAGS) \
	-DJUMP_STRONGSWAN_VERSION='"$(STRONGSWAN_VERSION)"'
libstrongswan_jumping_la_SOURCES = plugins/strongswan/plugin.c
# %H, %N and the like are strongSwan's own; the compiler does not know them.
libstrongswan_jumping_la_CFLAGS = $(AM_CFLAGS) -Wno-format -Wno-format-security
libstrongswan_jumping_la_LIBADD = libjump-strongswan.la libjump-host.la libjump-system.la libjump-store.la libjumping-core.a \
	$(SODIUM_LIBS) $(JSONC_LIBS) $(INIH_LIBS) $(MNL_LIBS)
libstrongswan_jumping_la_LDFLAGS = $(AM_LDFLAGS) -module -avoid-version -shared -Wl,-z,nodelete \
	-Wl,--version-script=$(srcdir)/plugins/strongswan/exports.map
libstrongswan_jumping_la_DEPENDENCIES = libjump-strongswan.la libjump-host.la libjump-system.la libjump-store.la libjumping-core.a \
	plugins/strongswan/exports.map
dist_man_MANS += docs/man/libstrongswan-jumping.8
# As Debian's packages: the template, and a copy to edit, which a later installation leaves alone.
charontemplatedir = $(datadir)/strongswan/templates/config/plugins
dist_charontemplate_DATA = plugins/strongswan/jumping.conf

install_hooks += strongswan-install-hook
strongswan-install-hook:
	rm -f "$(DESTDIR)$(charonplugindir)/libstrongswan-jumping.la"
	$(MKDIR_P) "$(DESTDIR)$(charon_confdir)"
	test -e "$(DESTDIR)$(charon_confdir)/jumping.conf" || \
		$(INSTALL_DATA) "$(srcdir)/plugins/strongswan/jumping.conf" "$(DESTDIR)$(charon_confdir)/jumping.conf"
uninstall_hooks += strongswan-uninstall-hook
strongswan-uninstall-hook:
	rm -f "$(DESTDIR)$(charonplugindir)/libstrongswan-jumping.so"
	! cmp -s "$(srcdir)/plugins/strongswan/jumping.conf" "$(DESTDIR)$(charon_confdir)/jumping.conf" || \
		rm -f "$(DESTDIR)$(charon_confdir)/jumping.conf"
.PHONY: strongswan-install-hook strongswan-uninstall-hook
endif
charonplugindir = $(charon_plugindir)
EXTRA_DIST += plugins/strongswan/exports.map plugins/strongswan/jumping.conf docs/strongswan.md
