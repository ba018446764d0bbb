/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The kernel reports the peer's "new address" for each ESP packet in UDP that comes from another one than the SA's. charon
 * answers with a line of its log and a job that wants the IKE_SA, for each packet: thousands while a busy client moves, or
 * while somebody forwards its packets faster than the real path. What comes of it is refused for ours in any case
 * (methods.c), so it ends here, before the line. Foreign CHILD_SAs' reports pass. Which SPIs are ours is known from their
 * installation on, of IKE_SAs whose peer announced support.
 */
#include "strongswan/adapter.h"

static void (*real_mapping)(kernel_interface_t *this, uint8_t protocol, uint32_t spi, host_t *dst, host_t *remote);
static hashtable_t *spis; /* inbound; under jump_swan->lock */

static void *key_of(uint32_t spi)
{
    return (void *)(uintptr_t)spi;
}

static void mapping(kernel_interface_t *this, uint8_t protocol, uint32_t spi, host_t *dst, host_t *remote)
{
    bool ours = false;

    if (jump_swan != NULL && protocol == IPPROTO_ESP) {
        jump_swan->lock->lock(jump_swan->lock);
        ours = spis->get(spis, key_of(spi)) != NULL;
        jump_swan->lock->unlock(jump_swan->lock);
    }
    if (!ours)
        real_mapping(this, protocol, spi, dst, remote);
}

void jump_swan_mapping_child(child_sa_t *child, bool gone)
{
    uint32_t spi = child->get_spi(child, TRUE);

    if (spis == NULL || spi == 0)
        return;
    jump_swan->lock->lock(jump_swan->lock);
    if (gone)
        (void)spis->remove(spis, key_of(spi));
    else
        (void)spis->put(spis, key_of(spi), spis);
    jump_swan->lock->unlock(jump_swan->lock);
}

void jump_swan_mapping_begin(void)
{
    spis = hashtable_create(hashtable_hash_ptr, hashtable_equals_ptr, 32);
    real_mapping = charon->kernel->mapping;
    charon->kernel->mapping = mapping;
}

void jump_swan_mapping_end(void)
{
    if (charon->kernel->mapping != mapping)
        return; /* somebody stands before us: ours stays, and so does its table */
    charon->kernel->mapping = real_mapping;
    DESTROY_IF(spis);
    spis = NULL;
}
