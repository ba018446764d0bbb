/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * openvpn-plugin-jumping.so: the functions that OpenVPN looks for, and nothing else. Each hands over to the adapter;
 * nothing is decided here. PRE_CONFIG_PARSE, because only then may a plugin add to the configuration.
 * Read next: adapters/openvpn/hooks.h, docs/openvpn.md.
 */
#include "openvpn/hooks.h"

#pragma GCC visibility push(default) /* everything else in this object is hidden */

/* OpenVPN's header declares the entry points; these two it leaves out. */
OPENVPN_EXPORT int openvpn_plugin_select_initialization_point_v1(void);

OPENVPN_EXPORT int openvpn_plugin_select_initialization_point_v1(void)
{
    return OPENVPN_PLUGIN_INIT_PRE_CONFIG_PARSE;
}

OPENVPN_EXPORT int openvpn_plugin_min_version_required_v1(void)
{
    return 3;
}

OPENVPN_EXPORT int openvpn_plugin_open_v3(const int version, struct openvpn_plugin_args_open_in const *in,
                                          struct openvpn_plugin_args_open_return *out)
{
    if (version < 5) /* OPENVPN_PLUGINv3_STRUCTVER since 2.5: the one whose structs we know */
        return OPENVPN_PLUGIN_FUNC_ERROR;
    return jump_ovpn_open(in, out);
}

OPENVPN_EXPORT int openvpn_plugin_func_v3(const int version, struct openvpn_plugin_args_func_in const *in,
                                          struct openvpn_plugin_args_func_return *out)
{
    (void)version;
    return jump_ovpn_call((struct jump_ovpn *)in->handle, in, out);
}

OPENVPN_EXPORT void *openvpn_plugin_client_constructor_v1(openvpn_plugin_handle_t handle)
{
    return jump_ovpn_client_open((struct jump_ovpn *)handle);
}

OPENVPN_EXPORT void openvpn_plugin_client_destructor_v1(openvpn_plugin_handle_t handle, void *client)
{
    jump_ovpn_client_close((struct jump_ovpn *)handle, client);
}

OPENVPN_EXPORT void openvpn_plugin_close_v1(openvpn_plugin_handle_t handle)
{
    jump_ovpn_close((struct jump_ovpn *)handle);
}

#pragma GCC visibility pop
