/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * For the lab alone: an OpenVPN plugin that writes each handshake's exported keying material to the file it is given,
 * so that a scenario can look for it in the process's memory. Never install it. Read next: lab/scenarios/host_secrets.py.
 */
#include <fcntl.h>
#include <openvpn/openvpn-plugin.h>
#include <string.h>
#include <unistd.h>

#define NAME "exported_keying_material="

static int out_fd = -1;

OPENVPN_EXPORT int openvpn_plugin_open_v3(const int version, struct openvpn_plugin_args_open_in const *in,
                                          struct openvpn_plugin_args_open_return *out)
{
    (void)version;
    out_fd = open(in->argv[1], O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    out->type_mask = OPENVPN_PLUGIN_MASK(OPENVPN_PLUGIN_TLS_FINAL);
    out->handle = &out_fd;
    return out_fd >= 0 ? OPENVPN_PLUGIN_FUNC_SUCCESS : OPENVPN_PLUGIN_FUNC_ERROR;
}

OPENVPN_EXPORT int openvpn_plugin_func_v3(const int version, struct openvpn_plugin_args_func_in const *in,
                                          struct openvpn_plugin_args_func_return *out)
{
    (void)version;
    (void)out;
    for (size_t i = 0; in->envp[i] != NULL; i++) {
        const char *value = in->envp[i] + sizeof NAME - 1;

        /* Straight from the environment: no copy of our own may be what the scan finds. */
        if (strncmp(in->envp[i], NAME, sizeof NAME - 1) == 0
            && (write(out_fd, value, strlen(value)) < 0 || write(out_fd, "\n", 1) < 0))
            return OPENVPN_PLUGIN_FUNC_ERROR;
    }
    return OPENVPN_PLUGIN_FUNC_SUCCESS;
}

OPENVPN_EXPORT void openvpn_plugin_close_v1(openvpn_plugin_handle_t handle)
{
    (void)handle;
    close(out_fd);
}
