#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/compat/compat.h"
#include "master/users.h"
#include "master/util.h"

static bool
missing(const struct conf *conf, const char *key, const char *what,
    const char *name, char *why, size_t whylen)
{
	char at[300];

	conf_where(conf, key, at, sizeof(at));
	(void)snprintf(why, whylen, "%s: there is no %s %s: 'make deps' makes "
	    "it, or systemd-sysusers(8) from etc/sysusers.d/headscaled.conf",
	    at, what, name);
	return false;
}

static bool
find_user(struct user *u, const struct conf *conf, const char *key,
    const char *name, char *why, size_t whylen)
{
	struct passwd *pw;
	char at[300];

	if ((pw = getpwnam(name)) == NULL)
		return missing(conf, key, "user", name, why, whylen);
	if (pw->pw_uid == 0 || pw->pw_gid == 0) {
		conf_where(conf, key, at, sizeof(at));
		(void)snprintf(why, whylen, "%s: %s must not be root, nor in "
		    "its group", at, name);
		return false;
	}
	u->uid = pw->pw_uid;
	u->gid = pw->pw_gid;
	return true;
}

/* No two roles are the same user; 0: one that was not looked up. */
static bool
differ(const struct users *u, const struct conf *conf, char *why,
    size_t whylen)
{
	const uid_t all[] = {
		u->worker.uid, u->keyd.uid, u->dbd.uid, u->policyc.uid,
		u->stun.uid, u->out.uid
	};
	char at[300];
	size_t i, k;

	for (i = 0; i < NITEMS(all); i++)
		for (k = 0; k < i; k++)
			if (all[i] == all[k] && all[i] != 0) {
				conf_where(conf, "users[0]", at, sizeof(at));
				(void)snprintf(why, whylen, "%s: two roles "
				    "have the same uid", at);
				return false;
			}
	return true;
}

bool
users_find(struct users *u, const struct conf *conf, char *why, size_t whylen)
{
	struct group *gr;

	memset(u, 0, sizeof(*u));
	u->drop = geteuid() == 0;
	if (!u->drop) {
		u->worker.uid = u->keyd.uid = u->dbd.uid = u->policyc.uid =
		    u->stun.uid = u->out.uid = geteuid();
		u->worker.gid = u->keyd.gid = u->dbd.gid = u->policyc.gid =
		    u->stun.gid = u->out.gid = getegid();
		u->group = getegid();
		return true;
	}
	if (!find_user(&u->worker, conf, "users[0]|worker",
	    conf->users.worker, why, whylen) ||
	    !find_user(&u->keyd, conf, "users[0]|keyd", conf->users.keyd, why,
	    whylen) ||
	    !find_user(&u->dbd, conf, "users[0]|dbd", conf->users.dbd, why,
	    whylen) ||
	    !find_user(&u->policyc, conf, "users[0]|policyc",
	    conf->users.policyc, why, whylen) || (conf->derp.nstun > 0 &&
	    !find_user(&u->stun, conf, "users[0]|stun", conf->users.stun, why,
	    whylen)) || (conf_out(conf) != CONF_OUT_NONE &&
	    !users_find_out(u, conf, why, whylen)) ||
	    !differ(u, conf, why, whylen))
		return false;
	if ((gr = getgrnam(conf->users.group)) == NULL)
		return missing(conf, "group", "group", conf->users.group, why,
		    whylen);
	u->group = gr->gr_gid;
	return true;
}

bool
users_find_out(struct users *u, const struct conf *conf, char *why,
    size_t whylen)
{
	if (!u->drop || u->out.uid != 0)
		return true;
	if (find_user(&u->out, conf, "users[0]|out", conf->users.out, why,
	    whylen) && differ(u, conf, why, whylen))
		return true;
	memset(&u->out, 0, sizeof(u->out));
	return false;
}

const struct user *
users_of(const struct users *u, enum role role)
{
	if (role == ROLE_KEYD)
		return &u->keyd;
	if (role == ROLE_POLICYC)
		return &u->policyc;
	if (role == ROLE_STUN)
		return &u->stun;
	if (role == ROLE_OUT)
		return &u->out;
	return role == ROLE_DBD ? &u->dbd : &u->worker;
}
