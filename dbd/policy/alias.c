#include <string.h>

#include "dbd/policy/read_int.h"

#define INTERNET_ONLY_DST \
	"autogroup:internet can only be used in ACL destinations"

void
alias_resolve(const struct reading *r, struct alias *al)
{
	size_t i;

	if (al->kind != AL_HOST)
		return;
	i = names_find(&r->hosts, al->text);
	if (i == SIZE_MAX)
		memset(&al->prefix, 0, sizeof(al->prefix));
	else
		al->prefix = r->p->host[i].prefix;
}

static bool
tag_missing(struct reading *r, const struct alias *al, enum place at)
{
	const char *tag = quote(r, al->text);

	switch (at) {
	case AT_ACL_SRC:
	case AT_GRANT_SRC:
		return fault(r, al->pos, "src=tag not found: %s", tag);
	case AT_ACL_DST:
		return fault(r, al->pos, "dst=%s: tag not found: %s", tag,
		    tag);
	default:
		return fault(r, al->pos, "tag not found: %s", tag);
	}
}

static bool
domain_check(struct reading *r, const struct alias *al, enum place at)
{
	struct slice d;

	d = slice_mem(al->text.p + 7, al->text.n - 7);	/* "user:*@" */
	if (r->info->stored || who_domain(r->info, d))
		return true;
	return fault(r, al->pos, "%s%.*s is not associated with this Tailnet "
	    "and cannot be used in user:*@<domain> expressions",
	    at == AT_SSH_SRC ? "[ssh] " : "", SLICE_FMT(d));
}

bool
alias_defined(struct reading *r, const struct alias *al, enum place at)
{
	switch (al->kind) {
	case AL_TAG:
		return names_find(&r->owners, al->text) != SIZE_MAX ||
		    tag_missing(r, al, at);
	case AL_GROUP:
		return names_find(&r->groups, al->text) != SIZE_MAX ||
		    fault(r, al->pos, "group not defined in policy: %s",
		    quote(r, al->text));
	case AL_HOST:
		if (al->prefix.addr.family != 0)
			return true;
		if (at == AT_TARGET)
			return fault(r, al->pos, "%s: invalid address",
			    quote(r, al->text));
		return fault(r, al->pos, "host not defined in policy: %s",
		    quote(r, al->text));
	case AL_DOMAIN:
		return domain_check(r, al, at);
	default:
		return true;
	}
}

/* autogroup:NAME as a source of traffic. */
static bool
auto_src(struct reading *r, const struct alias *al)
{
	switch (al->ag) {
	case AG_MEMBER:
	case AG_TAGGED:
	case AG_DANGER_ALL:
	case AG_OWNER:
	case AG_ADMIN:
	case AG_NOBODY:
		return true;
	case AG_SELF:
		return fault(r, al->pos, "%s not valid on the src side of a "
		    "rule", quote(r, al->text));
	case AG_INTERNET:
		return fault(r, al->pos, INTERNET_ONLY_DST);
	default:
		return fault(r, al->pos, "autogroup not supported for ACL "
		    "sources: %s, can be [autogroup:member autogroup:tagged "
		    "autogroup:danger-all]", quote(r, al->text));
	}
}

static bool
auto_dst(struct reading *r, const struct alias *al, enum place at)
{
	switch (al->ag) {
	case AG_INTERNET:
	case AG_MEMBER:
	case AG_TAGGED:
	case AG_SELF:
	case AG_OWNER:
	case AG_ADMIN:
	case AG_NOBODY:
		return true;
	case AG_DANGER_ALL:
		return fault(r, al->pos,
		    "cannot use autogroup:danger-all as a dst");
	case AG_NONE:
		if (at == AT_ACL_DST)
			return fault(r, al->pos, "invalid autogroup: got %s, "
			    "must be one of [autogroup:internet "
			    "autogroup:member autogroup:nonroot "
			    "autogroup:tagged autogroup:self "
			    "autogroup:danger-all]", quote(r, al->text));
		/* FALLTHROUGH */
	default:
		return fault(r, al->pos, "autogroup not supported for ACL "
		    "destinations: %s, can be [autogroup:internet "
		    "autogroup:member autogroup:tagged autogroup:self]",
		    quote(r, al->text));
	}
}

bool
alias_people(const struct alias *al)
{
	return al->kind == AL_AUTO && (al->ag == AG_MEMBER ||
	    al->ag == AG_OWNER || al->ag == AG_ADMIN || al->ag == AG_NOBODY);
}

/* autogroup:NAME that names nodes, of people or not. */
static bool
is_nodes(const struct alias *al)
{
	return al->ag == AG_TAGGED || alias_people(al);
}

static bool
auto_check(struct reading *r, const struct alias *al, enum place at)
{
	switch (at) {
	case AT_ACL_SRC:
	case AT_GRANT_SRC:
		return auto_src(r, al);
	case AT_ACL_DST:
	case AT_GRANT_DST:
		return auto_dst(r, al, at);
	case AT_SSH_SRC:
		if (is_nodes(al))
			return true;
		if (al->ag == AG_INTERNET)
			return fault(r, al->pos, INTERNET_ONLY_DST);
		return fault(r, al->pos, "autogroup not supported for SSH "
		    "sources: %s, can be [autogroup:member "
		    "autogroup:tagged]", quote(r, al->text));
	case AT_TARGET:
		return is_nodes(al) || fault(r, al->pos, "nodeAttrs "
		    "target does not support this autogroup: %s, can be "
		    "[autogroup:member autogroup:tagged]",
		    quote(r, al->text));
	case AT_OWNER:
	case AT_APPROVER:
		break;		/* judged when it was read */
	}
	return true;
}

static bool
ssh_src_kind(struct reading *r, const struct alias *al)
{
	const char *what;

	switch (al->kind) {
	case AL_PREFIX:
		what = "an address or prefix";
		break;
	case AL_STAR:
		what = "the wildcard *";
		break;
	case AL_HOST:
		what = "a host";
		break;
	default:
		return true;
	}
	return fault(r, al->pos, "alias not supported for SSH source: %s, %s",
	    what, quote(r, al->text));
}

bool
alias_check(struct reading *r, struct alias *al, enum place at)
{
	alias_resolve(r, al);
	if (al->kind == AL_AUTO)
		return auto_check(r, al, at);
	if (at == AT_SSH_SRC && !ssh_src_kind(r, al))
		return false;
	return alias_defined(r, al, at);
}
