/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Keeps what a dropped user cannot open again (keep.h). Nobody serves the kept sockets meanwhile: who asks waits in the
 * kernel's queue, as behind any busy host.
 */
#include "keep.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct {
    bool known;
    uid_t user;
    dev_t root_device;
    ino_t root_number;
} first; /* what the process was when it opened us first */

static struct {
    struct jump_settings_arguments arguments;
    struct jump_state_folder *state; /* NULL: nothing is kept */
    struct jump_audit_file *audit;
    struct jump_control *control;
    struct jump_management *management;
} kept;

void jump_keep_begin(void)
{
    struct stat root;

    if (first.known || stat("/", &root) != 0)
        return;
    first.known = true;
    first.user = geteuid();
    first.root_device = root.st_dev;
    first.root_number = root.st_ino;
}

bool jump_keep_dropped(void)
{
    struct stat root;

    return first.known
           && (geteuid() != first.user || stat("/", &root) != 0 || root.st_dev != first.root_device
               || root.st_ino != first.root_number);
}

static void let_go(void)
{
    jump_management_close(kept.management);
    jump_control_close(kept.control);
    if (kept.audit != NULL)
        jump_audit_file_close(kept.audit);
    jump_state_close(kept.state);
    memset(&kept, 0, sizeof kept);
}

/* OpenVPN ends by exit(3), also when the open after a SIGHUP fails. */
__attribute__((destructor)) static void at_exit(void)
{
    let_go();
}

static bool same_line(const struct jump_settings_arguments *a, const struct jump_settings_arguments *b)
{
    return a->role == b->role && strcmp(a->name, b->name) == 0 && strcmp(a->state_dir, b->state_dir) == 0
           && strcmp(a->run_dir, b->run_dir) == 0 && strcmp(a->audit, b->audit) == 0;
}

void jump_keep_take(struct jump_ovpn *o)
{
    if (kept.state == NULL)
        return;
    if (!same_line(&kept.arguments, &o->arguments)) {
        let_go();
        return;
    }
    o->instance.state = kept.state;
    o->instance.audit = kept.audit;
    o->instance.control = kept.control;
    o->management = kept.management;
    memset(&kept, 0, sizeof kept);
}

void jump_keep_put(struct jump_ovpn *o, jump_time now)
{
    if (o->instance.state == NULL)
        return;
    let_go();
    kept.arguments = o->arguments;
    kept.state = o->instance.state;
    kept.audit = o->instance.audit;
    kept.control = o->instance.control;
    kept.management = o->management;
    if (kept.audit != NULL)
        jump_audit_file_flush(kept.audit, now);
    if (kept.control != NULL)
        jump_control_rest(kept.control);
    if (kept.management != NULL)
        jump_management_rest(kept.management);
    o->instance.state = NULL;
    o->instance.audit = NULL;
    o->instance.control = NULL;
    o->management = NULL;
}
