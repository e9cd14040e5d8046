/* What administrators do to users and auth keys. */

#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "common/ids.h"
#include "common/log.h"
#include "dbd/batch_int.h"
#include "dbd/objects_int.h"
#include "dbd/policy_int.h"

#define KEY_PREFIX	"hskey-auth-"
#define KEY_ID_OCTETS	6
#define KEY_OCTETS	32

static int
no(char *why, size_t n, const char *text)
{
	(void)strlcpy(why, text, n);
	return -1;
}

/* Login names are shown and compared: one line, no blanks around it. */
static bool
login_ok(struct slice name)
{
	size_t i;

	if (name.n == 0 || name.n > 255)
		return false;
	for (i = 0; i < name.n; i++)
		if ((unsigned char)name.p[i] <= ' ' || name.p[i] == 0x7f)
			return false;
	return utf8_ok(name.p, name.n);
}

/*
 * Names that differ in case alone are one to people, and to a directory that
 * may have the users one day.  A database taken over may have such.
 */
static bool
login_like(const struct tailnet *tn, struct slice name,
    const struct user *self)
{
	const struct user *u;

	TAILQ_FOREACH(u, &tn->users, all)
		if (u != self && u->r.name.n == name.n &&
		    strncasecmp(u->r.name.p, name.p, name.n) == 0)
			return true;
	return false;
}

static int
login_free(struct tailnet *tn, struct slice name, const struct user *self,
    char *why, size_t n)
{
	struct user *u;

	if (!login_ok(name))
		return no(why, n, "a user's name is 1 to 255 octets without "
		    "blanks");
	if (slice_prefix(name, "id:"))
		return no(why, n, "id: and a number is how headscalectl names "
		    "any user: a name does not begin so");
	u = user_find_name(tn, name);
	if (u != NULL && u != self)
		return no(why, n, "a user of that name exists");
	if (login_like(tn, name, self))
		return no(why, n, "a user of that name exists, but for upper "
		    "and lower case");
	return 0;
}

int
op_user_add(struct dbd *d, struct slice name, struct slice display,
    uint64_t *id, uint32_t uid, char *why, size_t n)
{
	struct tailnet *tn = tailnet_default(d);
	struct r_user r;

	if (login_free(tn, name, NULL, why, n) == -1)
		return -1;
	memset(&r, 0, sizeof(r));
	op_begin(d);
	r.id = op_id(d, STORE_ID_USER);
	r.name = name;
	r.display = display;
	r.created = env_wall(d->env);
	put_user(user_add(tn, &r));
	audit(tn, uid, "user.add", r.id, "%s", log_vis(name));
	op_end(d);
	policy_users_changed(tn);
	*id = r.id;
	return 0;
}

int
op_user_rename(struct dbd *d, uint64_t id, struct slice name, uint32_t uid,
    char *why, size_t n)
{
	struct user *u;
	struct r_user r;

	if ((u = user_find(d, id)) == NULL)
		return no(why, n, "no such user");
	if (login_free(u->tn, name, u, why, n) == -1)
		return -1;
	if (slice_eq(u->r.name, name))
		return 0;
	op_begin(d);
	r = u->r;
	r.name = name;
	user_set(u, &r);
	put_user(u);
	audit(u->tn, uid, "user.rename", id, "%s", log_vis(name));
	op_end(d);
	policy_users_changed(u->tn);
	return 0;
}

int
op_user_delete(struct dbd *d, uint64_t id, uint32_t uid, char *why, size_t n)
{
	struct tailnet *tn;
	struct user *u;

	if ((u = user_find(d, id)) == NULL)
		return no(why, n, "no such user");
	tn = u->tn;
	if (u->nodes != 0) {
		(void)snprintf(why, n, "the user owns %u nodes: delete or "
		    "move them first", u->nodes);
		return -1;
	}
	op_begin(d);
	audit(u->tn, uid, "user.delete", id, "%s", log_vis(u->r.name));
	del_user(u);
	op_end(d);
	policy_users_changed(tn);
	return 0;
}

static void
set_role(struct user *u, uint8_t role, uint32_t uid)
{
	static const char *const name[] = { "member", "admin", "owner" };
	struct r_user r = u->r;

	r.role = role;
	user_set(u, &r);
	put_user(u);
	audit(u->tn, uid, "user.role", u->r.id, "%s", name[role]);
}

int
op_user_role(struct dbd *d, uint64_t id, uint8_t role, uint32_t uid, char *why,
    size_t n)
{
	struct user *u, *other;

	if ((u = user_find(d, id)) == NULL)
		return no(why, n, "no such user");
	if (role > USER_OWNER)
		return no(why, n, "no such role");
	if (u->r.role == role)
		return 0;
	if (u->r.role == USER_OWNER)
		return no(why, n, "a tailnet has one owner: make another user "
		    "the owner");
	op_begin(d);
	if (role == USER_OWNER)
		TAILQ_FOREACH(other, &u->tn->users, all)
			if (other->r.role == USER_OWNER)
				set_role(other, USER_ADMIN, uid);
	set_role(u, role, uid);
	op_end(d);
	policy_users_changed(u->tn);
	return 0;
}

/* Auth keys. */

static int
key_check(struct dbd *d, const struct key_spec *s, char *why, size_t n)
{
	struct user *u;

	if (s->user == 0 && s->tags.count == 0)
		return no(why, n, "a key needs a user or tags");
	if (s->user != 0 && ((u = user_find(d, s->user)) == NULL ||
	    u->tn != tailnet_default(d)))
		return no(why, n, "no such user");
	if (s->expires_s > (uint64_t)INT32_MAX * 10)
		return no(why, n, "the expiry is too far away");
	if (tags_check(&s->tags, why, n) == -1)
		return -1;
	return policy_tags_check(tailnet_default(d), &s->tags, why, n);
}

int
op_key_create(struct dbd *d, const struct key_spec *s, struct key_made *made,
    uint32_t uid, char *why, size_t n)
{
	struct tailnet *tn = tailnet_default(d);
	struct authkey_row row;
	uint8_t id[KEY_ID_OCTETS], secret[KEY_OCTETS];
	size_t at;

	if (key_check(d, s, why, n) == -1)
		return -1;
	memset(&row, 0, sizeof(row));
	env_random(d->env, id, sizeof(id));
	env_random(d->env, secret, sizeof(secret));
	at = strlcpy(made->secret, KEY_PREFIX, sizeof(made->secret));
	hex_enc(made->secret + at, id, sizeof(id));
	at += 2 * sizeof(id);
	row.prefix = slice_mem(made->secret, at);
	made->secret[at++] = '-';
	hex_enc(made->secret + at, secret, sizeof(secret));
	wipe(secret, sizeof(secret));
	(void)crypto_hash_sha256(row.hash, (const uint8_t *)made->secret,
	    strlen(made->secret));

	op_begin(d);
	row.tailnet = tn->id;
	row.id = op_id(d, STORE_ID_AUTHKEY);
	row.user = s->user;
	row.reusable = s->reusable;
	row.ephemeral = s->ephemeral;
	row.created = env_wall(d->env);
	if (s->expires_s != 0)
		row.expiry = row.created + (int64_t)s->expires_s;
	row.tags = s->tags;
	use_authkey(authkey_add(tn, &row));
	audit(tn, uid, "key.create", row.id, "user %llu",
	    (unsigned long long)s->user);
	op_end(d);
	made->id = row.id;
	made->expiry = row.expiry;
	return 0;
}

int
op_key_expire(struct dbd *d, uint64_t id, uint32_t uid, char *why, size_t n)
{
	struct authkey *k;
	int64_t now = env_wall(d->env);

	if ((k = authkey_find(d, id)) == NULL)
		return no(why, n, "no such auth key");
	if (k->row.expiry != 0 && k->row.expiry <= now)
		return 0;
	op_begin(d);
	k->row.expiry = now;
	use_authkey(k);
	audit(k->tn, uid, "key.expire", id, "%s", "");
	op_end(d);
	return 0;
}

int
op_key_delete(struct dbd *d, uint64_t id, uint32_t uid, char *why, size_t n)
{
	struct authkey *k;

	if ((k = authkey_find(d, id)) == NULL)
		return no(why, n, "no such auth key");
	op_begin(d);
	audit(k->tn, uid, "key.delete", id, "%s", "");
	op_check(d, store_del_authkey(d->store, k->tn->id, id));
	authkey_free(k);
	op_end(d);
	return 0;
}
