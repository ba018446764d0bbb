/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The adapter as the plugin's entry points see it: open, one function for every plugin call, contexts, close. Every
 * return path denies by default: a client whose session cannot be kept as promised is refused, never let in bare.
 * Threads: OpenVPN's main thread, as everything here. Read next: setup.c (open and close), hooks.c (the calls).
 */
#ifndef JUMP_OVPN_HOOKS_H
#define JUMP_OVPN_HOOKS_H

/* OpenVPN declares the entry points of every plugin here: they are what plugin.c exports. */
#pragma GCC visibility push(default)
#include <openvpn/openvpn-plugin.h>
#pragma GCC visibility pop

struct jump_ovpn;
struct jump_ovpn_client;

/**
 * @return OPENVPN_PLUGIN_FUNC_SUCCESS, with the injected configuration in the return list; else _ERROR after one line
 *         in the log: OpenVPN does not start
 */
int jump_ovpn_open(const struct openvpn_plugin_args_open_in *in, struct openvpn_plugin_args_open_return *out);

/** Ends every session (host_terminated), restores the import slots, wipes and frees everything. */
void jump_ovpn_close(struct jump_ovpn *ovpn);

int jump_ovpn_call(struct jump_ovpn *ovpn, const struct openvpn_plugin_args_func_in *in,
                   struct openvpn_plugin_args_func_return *out);

struct jump_ovpn_client *jump_ovpn_client_open(struct jump_ovpn *ovpn);
void jump_ovpn_client_close(struct jump_ovpn *ovpn, struct jump_ovpn_client *client);

#endif
