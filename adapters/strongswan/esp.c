/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The data path's side of a move. Kernel ESP updates an SA in place. charon's userspace ESP (kernel-libipsec) says that it
 * cannot, and charon then rekeys the CHILD_SA over a path that has only just come back; but libipsec itself can, so it is
 * asked here. Without libipsec in the process nothing is changed.
 */
#include <dlfcn.h>

#include <ipsec.h>

#include "strongswan/adapter.h"

static status_t (*real_update_sa)(kernel_interface_t *this, kernel_ipsec_sa_id_t *id, kernel_ipsec_update_sa_t *data);
static ipsec_t **userspace; /* libipsec's own pointer; NULL: it is not loaded */

static status_t update_sa(kernel_interface_t *this, kernel_ipsec_sa_id_t *id, kernel_ipsec_update_sa_t *data)
{
    status_t status = real_update_sa(this, id, data);

    if (status == NOT_SUPPORTED && userspace != NULL && *userspace != NULL && data->encap && data->new_encap)
        status = (*userspace)->sas->update_sa((*userspace)->sas, id->spi, id->proto, data->cpi, id->src, id->dst,
                                              data->new_src, data->new_dst, data->encap, data->new_encap, id->mark);
    return status;
}

/* kernel-libipsec has brought it into the process, or it is not used: it is never loaded from here. */
static ipsec_t **find_userspace(void)
{
    void *handle = dlopen("libipsec.so.0", RTLD_LAZY | RTLD_NOLOAD);
    ipsec_t **found;

    if (handle == NULL)
        return NULL;
    found = dlsym(handle, "ipsec");
    dlclose(handle);
    return found;
}

void jump_swan_esp_begin(void)
{
    userspace = find_userspace();
    real_update_sa = charon->kernel->update_sa;
    charon->kernel->update_sa = update_sa;
}

void jump_swan_esp_end(void)
{
    if (charon->kernel->update_sa == update_sa)
        charon->kernel->update_sa = real_update_sa;
}
