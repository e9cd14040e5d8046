#include <string.h>

#include "dbd/policy/read_int.h"

#define HOUR		3600000000000LL		/* ns */
#define PERIOD_MAX	(168 * HOUR)
#define PERIOD_DEFAULT	(12 * HOUR)
#define SECOND		1000000000LL

static bool
check_action(struct reading *r, struct ssh *s, struct slice action)
{
	if (action.n == 0)
		return fault(r, s->pos, "action must be specified");
	s->check = slice_eqs(action, "check");
	if (!s->check && !slice_eqs(action, "accept"))
		return fault(r, s->pos, "%s is not a valid action",
		    quote(r, action));
	return true;
}

static void
check_logins(struct reading *r, const struct ssh *s)
{
	static const char local[] = "localpart:*@";
	struct slice u, d;
	size_t i;

	if (s->users.n == 0) {
		(void)fault(r, s->pos, "users must be specified");
		return;
	}
	for (i = 0; i < s->users.n; i++) {
		u = s->users.v[i];
		if (u.n == 0 || slice_eqs(u, "*")) {
			(void)fault(r, s->pos, "user %s is not valid",
			    quote(r, u));
			continue;
		}
		if (!slice_prefix(u, local) || u.n == sizeof(local) - 1)
			continue;
		d = slice_mem(u.p + sizeof(local) - 1,
		    u.n - sizeof(local) + 1);
		if (!r->info->stored && !who_domain(r->info, d))
			(void)fault(r, s->pos, "%.*s is not associated with "
			    "this Tailnet and cannot be used in "
			    "user:*@<domain> expressions", SLICE_FMT(d));
	}
}

static void
check_env(struct reading *r, const struct ssh *s)
{
	size_t i;

	for (i = 0; i < s->env.n; i++)
		if (s->env.v[i].n == 0)
			(void)fault(r, s->pos,
			    "acceptEnv values cannot be empty");
}

static void
check_dst_auto(struct reading *r, const struct alias *al)
{
	if (al->ag == AG_INTERNET)
		(void)fault(r, al->pos, "autogroup:internet can only be "
		    "used in ACL destinations");
	else if (!alias_people(al) && al->ag != AG_TAGGED &&
	    al->ag != AG_SELF)
		(void)fault(r, al->pos, "autogroup not supported for SSH "
		    "destinations: %s, can be [autogroup:member "
		    "autogroup:tagged autogroup:self]", quote(r, al->text));
}

static void
check_dst(struct reading *r, const struct alias *al)
{
	switch (al->kind) {
	case AL_USER:
		break;
	case AL_TAG:
		(void)alias_defined(r, al, AT_SSH_SRC);
		break;
	case AL_AUTO:
		check_dst_auto(r, al);
		break;
	case AL_STAR:
		(void)fault(r, al->pos, "wildcard (*) is not supported as "
		    "SSH destination; use 'autogroup:member' for user-owned "
		    "devices, 'autogroup:tagged' for tagged devices, or "
		    "specific tags/users");
		break;
	default:
		(void)fault(r, al->pos, "invalid dst %s", quote(r, al->text));
	}
}

static bool
has_tagged(const struct aliases *src)
{
	size_t i;

	for (i = 0; i < src->n; i++)
		if (src->v[i].kind == AL_TAG || (src->v[i].kind == AL_AUTO &&
		    src->v[i].ag == AG_TAGGED))
			return true;
	return false;
}

static void
check_user_dst(struct reading *r, const struct aliases *src, bool tagged,
    const struct alias *al)
{
	if (tagged)
		(void)fault(r, al->pos, "tags in SSH source cannot access "
		    "user-owned devices (%.*s); use autogroup:tagged or "
		    "specific tags as destinations instead",
		    SLICE_FMT(al->text));
	else if (!r->info->stored && !who_only(r->who, src, al))
		(void)fault(r, al->pos, "user destination requires source "
		    "to contain only that same user %s; use autogroup:self "
		    "instead for same-user SSH access", quote(r, al->text));
}

/* policy.md 11.2: which sources may reach which destinations. */
static void
check_pairs(struct reading *r, const struct ssh *s)
{
	bool tagged = has_tagged(&s->src);
	const struct alias *al;
	size_t i;

	for (i = 0; i < s->dst.n && s->src.n > 0; i++) {
		al = &s->dst.v[i];
		if (al->kind == AL_USER)
			check_user_dst(r, &s->src, tagged, al);
		if (al->kind != AL_AUTO || !tagged)
			continue;
		if (al->ag == AG_SELF)
			(void)fault(r, al->pos, "autogroup:self destination "
			    "requires source to contain only users or "
			    "groups, not tags or autogroup:tagged");
		else if (alias_people(al))
			(void)fault(r, al->pos, "tags in SSH source cannot "
			    "access %.*s (user-owned devices)",
			    SLICE_FMT(al->text));
	}
}

static bool
read_period(struct reading *r, const struct ssh *s, struct slice text,
    int64_t *ns)
{
	const char *quoted = quote(r, text);
	struct slice unit;

	*ns = 0;
	if (slice_eqs(text, "always"))
		return true;
	switch (lex_duration(text, ns, &unit)) {
	case DURATION_BAD:
		return fault(r, s->pos, "time: invalid duration %s", quoted);
	case DURATION_BARE:
		return fault(r, s->pos, "time: missing unit in duration %s",
		    quoted);
	case DURATION_UNIT:
		return fault(r, s->pos, "time: unknown unit %s in duration "
		    "%s", quote(r, unit), quoted);
	case DURATION_OK:
		break;
	}
	return true;
}

static bool
check_period(struct reading *r, struct ssh *s, const struct ssh_raw *raw)
{
	int64_t ns = PERIOD_DEFAULT;
	char text[40];

	s->period = ns / SECOND;
	if (!raw->has_period)
		return true;
	if (!read_period(r, s, raw->period, &ns))
		return false;
	lex_duration_print(text, ns);
	if (ns < 0)
		return fault(r, s->pos,
		    "checkPeriod %s must be a positive duration", text);
	if (ns > PERIOD_MAX)
		return fault(r, s->pos,
		    "checkPeriod %s is above the max (168h)", text);
	if (!s->check)
		return fault(r, s->pos,
		    "checkPeriod is only valid with action \"check\"");
	s->period = ns / SECOND;
	return true;
}

void
check_sshs(struct reading *r)
{
	struct ssh *s;
	size_t i, k;
	bool action;

	for (i = 0; i < r->p->nsshs; i++) {
		s = &r->p->ssh[i];
		action = check_action(r, s, r->ssh[i].action);
		check_logins(r, s);
		check_env(r, s);
		for (k = 0; k < s->src.n; k++)
			(void)alias_check(r, &s->src.v[k], AT_SSH_SRC);
		for (k = 0; k < s->dst.n; k++)
			check_dst(r, &s->dst.v[k]);
		check_pairs(r, s);
		if (action)
			(void)check_period(r, s, &r->ssh[i]);
	}
}
