/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * One user in two places, as charon sees it: a peer has authenticated whose identity has an IKE_SA here already. What happens
 * to the two is charon's to say, by the connection's `unique`; this file only notices that of a session of ours and another
 * IKE_SA one had to go, and tells the session thread, which counts (host/takeovers.h).
 *
 * | charon, within check_uniqueness | here |
 * |---|---|
 * | INITIAL_CONTACT (all but `never`): ike_updown(FALSE) for the older one | it came again |
 * | `replace`: alert for the older one, and DELETE to it, which it answers later | it came again |
 * | `replace`, from the very address of the older one: alert, and the older one stays for 10 s more | a reauthentication: nothing |
 * | `keep`: the newer one is refused | it came again, and the session stays |
 * | `no`, `never`: both go on | nothing |
 *
 * Runs in charon's workers, the newer IKE_SA checked out, after its peer's authentication and before it is established.
 * Read next: loop.c (take_again).
 */
#include "strongswan/adapter.h"
#include "strongswan/shortage.h"

/* Of the check that this thread is in. */
static _Thread_local struct {
    ike_sa_t *newer; /* NULL: in none */
    bool told;       /* one newcomer is one, whatever it ends */
} check;

static bool (*real_check)(ike_sa_manager_t *this, ike_sa_t *sa, bool force_replace);

static void tell(jump_host host, ike_sa_t *newer, bool stays)
{
    struct jump_swan_post post = {.kind = JUMP_SWAN_POST_AGAIN, .role = JUMP_SERVER, .host = host, .stays = stays};

    jump_swan_path_from_host(&post.remote, newer->get_other_host(newer));
    if (!jump_swan_post(jump_swan, &post))
        jump_swan_shortage("a user who came again is not counted");
}

METHOD(ike_sa_manager_t, check_uniqueness, bool, ike_sa_manager_t *this, ike_sa_t *sa, bool force_replace)
{
    bool refused, told;
    jump_host host;

    check.newer = sa;
    check.told = false;
    refused = real_check(this, sa, force_replace);
    told = check.told;
    check.newer = NULL;
    if (refused && !told && (host = jump_swan_peer_like(jump_swan, sa)) != 0)
        tell(host, sa, true);
    return refused;
}

void jump_swan_unique_ends(ike_sa_t *older)
{
    enum jump_role role;
    jump_host host;

    if (check.newer == NULL || check.told || !jump_swan_peer_of(jump_swan, older, &host, &role) || role != JUMP_SERVER)
        return;
    check.told = true;
    tell(host, check.newer, false);
}

void jump_swan_unique_replaces(ike_sa_t *older)
{
    host_t *from = check.newer != NULL ? check.newer->get_other_host(check.newer) : NULL;

    if (from != NULL && older != NULL && !from->equals(from, older->get_other_host(older)))
        jump_swan_unique_ends(older);
}

void jump_swan_unique_begin(void)
{
    real_check = charon->ike_sa_manager->check_uniqueness;
    charon->ike_sa_manager->check_uniqueness = _check_uniqueness;
}

void jump_swan_unique_end(void)
{
    if (charon->ike_sa_manager->check_uniqueness == _check_uniqueness)
        charon->ike_sa_manager->check_uniqueness = real_check;
}
