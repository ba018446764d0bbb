/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * libstrongswan-jumping.so: what charon looks for when it loads a plugin, and nothing else. It refuses a charon of another
 * version than the headers it was compiled with, before it touches any structure of it.
 * Read next: adapters/strongswan/version.h.
 */
#include <dlfcn.h>
#include <stdlib.h>

#include <daemon.h>
#include <library.h>
#include <plugins/plugin.h>

#include "strongswan/adapter.h"
#include "strongswan/version.h"

typedef struct private_jumping_plugin_t private_jumping_plugin_t;

struct private_jumping_plugin_t {
    plugin_t public;
};

METHOD(plugin_t, get_name, char *, private_jumping_plugin_t *this)
{
    (void)this;
    return "jumping";
}

static bool start_or_stop(plugin_t *this, plugin_feature_t *feature, bool reg, void *data)
{
    struct jump_problem problem = {.text = "not enough memory"};

    (void)this, (void)feature, (void)data;
    if (!reg) {
        jump_swan_close();
        return TRUE;
    }
    if (jump_swan_open(&problem))
        return TRUE;
    DBG1(DBG_CFG, "jumping: not loaded: %s", problem.text);
    return FALSE;
}

METHOD(plugin_t, get_features, int, private_jumping_plugin_t *this, plugin_feature_t *features[])
{
    /* After what is interposed exists; with a kernel interface, if there is one. */
    static plugin_feature_t list[] = {
        PLUGIN_CALLBACK(start_or_stop, NULL),
            PLUGIN_PROVIDE(CUSTOM, "jumping"),
                PLUGIN_DEPENDS(CUSTOM, "libcharon-sa-managers"),
                PLUGIN_DEPENDS(CUSTOM, "libcharon-receiver"),
                PLUGIN_SDEPEND(CUSTOM, "kernel-ipsec"),
    };
    (void)this;
    *features = list;
    return countof(list);
}

METHOD(plugin_t, destroy, void, private_jumping_plugin_t *this)
{
    free(this);
}

#pragma GCC visibility push(default) /* everything else in this object is hidden */

/* From 6.0.3 on strongSwan compares this with its own version, before it calls the constructor. */
extern const char jumping_plugin_version[];
const char jumping_plugin_version[] = JUMP_STRONGSWAN_VERSION;

plugin_t *jumping_plugin_create(void);

plugin_t *jumping_plugin_create(void)
{
    private_jumping_plugin_t *this;
    char running[JUMP_SWAN_VERSION_BYTES];

    jump_swan_version_running(running);
    if (!streq(running, JUMP_STRONGSWAN_VERSION)) {
        DBG1(DBG_LIB, "jumping: not loaded: built for strongSwan " JUMP_STRONGSWAN_VERSION ", this one is %s",
             running[0] ? running : "of a version that cannot be told");
        return NULL;
    }
    /* --enable-mediation adds methods inside ike_sa_t and peer_cfg_t (m4/jump_strongswan.m4 asks for it): this function is
     * in libcharon exactly then. */
    if (dlsym(RTLD_DEFAULT, "ike_me_create") == NULL) {
        DBG1(DBG_LIB, "jumping: not loaded: built for a strongSwan with --enable-mediation (ME), as Debian's is, this one is without");
        return NULL;
    }
    this = malloc(sizeof *this); /* strongSwan's INIT would not look at it */
    if (this == NULL) {
        DBG1(DBG_LIB, "jumping: not loaded: not enough memory");
        return NULL;
    }
    *this = (private_jumping_plugin_t){
        .public = {
            .get_name = _get_name,
            .get_features = _get_features,
            .destroy = _destroy,
        },
    };
    return &this->public;
}

#pragma GCC visibility pop
