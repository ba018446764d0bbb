# SPDX-License-Identifier: GPL-2.0-or-later
# openvpn-plugin-jumping.so: the adapter, the core and the system parts in one object that exports OpenVPN's entry
# points only. Never unmapped (nodelete): libraries it brought along may have left destructors behind.
if WITH_OPENVPN
openvpn_LTLIBRARIES = openvpn-plugin-jumping.la
openvpn_plugin_jumping_la_CPPFLAGS = -I$(srcdir)/core/include -I$(srcdir)/adapters
openvpn_plugin_jumping_la_SOURCES = plugins/openvpn/plugin.c
openvpn_plugin_jumping_la_LIBADD = libjump-openvpn.la libjump-host.la libjump-system.la libjump-store.la libjumping-core.a \
	$(SODIUM_LIBS) $(JSONC_LIBS) $(INIH_LIBS) $(MNL_LIBS)
openvpn_plugin_jumping_la_LDFLAGS = $(AM_LDFLAGS) -module -avoid-version -shared -Wl,-z,nodelete \
	-Wl,--version-script=$(srcdir)/plugins/openvpn/exports.map
openvpn_plugin_jumping_la_DEPENDENCIES = libjump-openvpn.la libjump-host.la libjump-system.la libjump-store.la libjumping-core.a \
	plugins/openvpn/exports.map
dist_man_MANS += docs/man/openvpn-plugin-jumping.8

# Nobody links against a plugin; without the .la file libtool cannot remove the object, so that is done here too.
install_hooks += openvpn-install-hook
openvpn-install-hook:
	rm -f "$(DESTDIR)$(openvpndir)/openvpn-plugin-jumping.la"
uninstall_hooks += openvpn-uninstall-hook
openvpn-uninstall-hook:
	rm -f "$(DESTDIR)$(openvpndir)/openvpn-plugin-jumping.so"
.PHONY: openvpn-install-hook openvpn-uninstall-hook
endif
openvpndir = $(openvpn_plugindir)
EXTRA_DIST += plugins/openvpn/exports.map plugins/openvpn/examples/client.conf plugins/openvpn/examples/server.conf \
	plugins/openvpn/examples/systemd-strict.conf \
	docs/openvpn.md
