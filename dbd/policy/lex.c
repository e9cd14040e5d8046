#include <stdio.h>
#include <string.h>

#include "dbd/policy/arena.h"
#include "dbd/policy/lex.h"

#define nitems(x)	(sizeof(x) / sizeof((x)[0]))

static const struct {
	const char	*name;
	uint8_t		 proto;
} protos[] = {		/* the first of a number is its name */
	{ "icmp", 1 }, { "igmp", 2 }, { "ipv4", 4 }, { "ip-in-ip", 4 },
	{ "tcp", 6 }, { "egp", 8 }, { "igp", 9 }, { "udp", 17 },
	{ "gre", 47 }, { "esp", 50 }, { "ah", 51 }, { "ipv6-icmp", 58 },
	{ "sctp", 132 }, { "fc", 133 }
};

static const struct {
	const char	*name;
	enum autogroup	 ag;
} autogroups[] = {
	{ "internet", AG_INTERNET }, { "member", AG_MEMBER },
	{ "members", AG_MEMBER }, { "tagged", AG_TAGGED },
	{ "self", AG_SELF }, { "danger-all", AG_DANGER_ALL },
	{ "nonroot", AG_NONROOT }, { "owner", AG_OWNER },
	{ "admin", AG_ADMIN }, { "it-admin", AG_NOBODY },
	{ "network-admin", AG_NOBODY }, { "billing-admin", AG_NOBODY },
	{ "auditor", AG_NOBODY }, { "shared", AG_NOBODY }
};

/* Unicode's White_Space in UTF-8; none is the end of another. */
static const char *const spaces[] = {
	" ", "\t", "\n", "\v", "\f", "\r", "\302\205", "\302\240",
	"\341\232\200", "\342\200\200", "\342\200\201", "\342\200\202",
	"\342\200\203", "\342\200\204", "\342\200\205", "\342\200\206",
	"\342\200\207", "\342\200\210", "\342\200\211", "\342\200\212",
	"\342\200\250", "\342\200\251", "\342\200\257", "\342\201\237",
	"\343\200\200"
};

/* The octets of a space at the beginning of s, or at its end; 0: none. */
static size_t
space(struct slice s, bool end)
{
	size_t i, n;

	for (i = 0; i < nitems(spaces); i++) {
		n = strlen(spaces[i]);
		if (s.n >= n && memcmp(end ? s.p + s.n - n : s.p, spaces[i],
		    n) == 0)
			return n;
	}
	return 0;
}

struct slice
lex_trim(struct slice s)
{
	size_t n;

	while ((n = space(s, false)) != 0) {
		s.p += n;
		s.n -= n;
	}
	while ((n = space(s, true)) != 0)
		s.n -= n;
	return s;
}

static bool
has(struct slice s, char c)
{
	return s.n != 0 && memchr(s.p, c, s.n) != NULL;
}

static struct slice
skip(struct slice s, size_t n)
{
	return slice_mem(s.p + n, s.n - n);
}

bool
lex_prefix(struct slice s, struct prefix *p, bool *slash)
{
	const char *zone;

	memset(p, 0, sizeof(*p));
	*slash = has(s, '/');
	if (*slash)
		return prefix_parse_loose(p, s);
	/* A zone means nothing in a tailnet. */
	if (has(s, ':') && (zone = memchr(s.p, '%', s.n)) != NULL &&
	    (size_t)(zone - s.p) + 1 < s.n)
		s.n = (size_t)(zone - s.p);
	if (!ip_parse(&p->addr, s))
		return false;
	p->bits = p->addr.family == 4 ? 32 : 128;
	return true;
}

static enum autogroup
autogroup(struct slice s)
{
	size_t i;

	for (i = 0; i < nitems(autogroups); i++)
		if (slice_eqs(s, autogroups[i].name))
			return autogroups[i].ag;
	return AG_NONE;
}

bool
lex_alias(struct alias *al, struct slice s)
{
	al->text = s;
	al->ag = AG_NONE;
	if (lex_prefix(s, &al->prefix, &al->slash)) {
		al->kind = AL_PREFIX;
		return true;
	}
	al->slash = false;
	if (slice_eqs(s, "*"))
		al->kind = AL_STAR;
	else if (slice_prefix(s, "user:*@"))
		al->kind = AL_DOMAIN;
	else if (has(s, '@'))
		al->kind = AL_USER;
	else if (slice_prefix(s, "group:"))
		al->kind = AL_GROUP;
	else if (slice_prefix(s, "tag:"))
		al->kind = AL_TAG;
	else if (slice_prefix(s, "autogroup:")) {
		al->kind = AL_AUTO;
		al->ag = autogroup(skip(s, strlen("autogroup:")));
	} else if (!has(s, ':'))
		al->kind = AL_HOST;
	else
		return false;
	return true;
}

/* "[v6]:ports" or "[v6]/len:ports". */
static bool
bracketed(struct arena *a, struct slice s, struct slice *host,
    struct slice *ports, const char **why)
{
	struct slice in, rest;
	struct prefix p;
	const char *at;
	char *joined;
	bool slash;
	size_t n;

	*why = "square brackets are only valid around IPv6 addresses";
	if ((at = memchr(s.p, ']', s.n)) == NULL)
		return false;
	in = slice_mem(s.p + 1, (size_t)(at - s.p) - 1);
	rest = skip(s, in.n + 2);
	if (!has(in, ':') || has(in, '/') || !lex_prefix(in, &p, &slash))
		return false;
	at = rest.n == 0 ? NULL : memchr(rest.p, ':', rest.n);
	n = at == NULL ? 0 : (size_t)(at - rest.p) + 1;
	if (n > 1 && rest.p[0] != '/')
		return false;
	if (n == 0 || n == rest.n) {
		*why = n == 0 ? "hostport must contain a colon" :
		    "input cannot end with a colon character";
		return false;
	}
	*ports = skip(rest, n);
	joined = arena_alloc(a, in.n + n);
	memcpy(joined, in.p, in.n);
	memcpy(joined + in.n, rest.p, n - 1);
	*host = slice_mem(joined, in.n + n - 1);
	return true;
}

bool
lex_hostport(struct arena *a, struct slice s, struct slice *host,
    struct slice *ports, const char **why)
{
	size_t n;

	if (!has(s, ':')) {
		*why = "hostport must contain a colon";
		return false;
	}
	if (s.p[0] == '[')
		return bracketed(a, s, host, ports, why);
	for (n = s.n; s.p[n - 1] != ':'; n--)
		continue;
	if (n == 1) {
		*why = "input cannot start with a colon character";
		return false;
	}
	if (n == s.n) {
		*why = "input cannot end with a colon character";
		return false;
	}
	*host = slice_mem(s.p, n - 1);
	*ports = skip(s, n);
	return true;
}

/* Decimal digits alone; what no port can be is 65536. */
static bool
integer(struct slice s, uint32_t *out)
{
	uint32_t v = 0;
	size_t i;

	if (s.n == 0)
		return false;
	for (i = 0; i < s.n; i++) {
		if (s.p[i] < '0' || s.p[i] > '9')
			return false;
		if (v <= 65535)
			v = v * 10 + (uint32_t)(s.p[i] - '0');
	}
	*out = v;
	return true;
}

static const char *
port(struct slice s, uint16_t *out)
{
	uint32_t v;

	if (!integer(s, &v))
		return "invalid first integer";
	if (v > 65535)
		return "port number out of range";
	*out = (uint16_t)v;
	return NULL;
}

/* "N" or "A-B"; empty pieces around hyphens do not count. */
static const char *
port_range(struct slice s, uint16_t *first, uint16_t *last)
{
	struct slice part[3];
	const char *why;
	size_t i, start = 0, n = 0;

	if (!has(s, '-')) {
		if ((why = port(s, first)) != NULL)
			return why;
		if (*first == 0)
			return "first port must be >0, or use '*' for "
			    "wildcard";
		*last = *first;
		return NULL;
	}
	for (i = 0; i <= s.n && n < 3; i++) {
		if (i < s.n && s.p[i] != '-')
			continue;
		if (i > start)
			part[n++] = slice_mem(s.p + start, i - start);
		start = i + 1;
	}
	if (n != 2)
		return "invalid port range format";
	if ((why = port(part[0], first)) != NULL ||
	    (why = port(part[1], last)) != NULL)
		return why;
	if (*first > *last)
		return "invalid port range: first port is greater than "
		    "last port";
	return NULL;
}

bool
lex_ports(struct arena *a, struct slice s, struct ports *out,
    const char **why)
{
	size_t i, n = 1, start = 0;

	for (i = 0; i < s.n; i++)
		n += s.p[i] == ',';
	out->v = arena_array(a, n, sizeof(*out->v));
	out->n = 0;
	if (slice_eqs(s, "*")) {
		out->v[0].last = 65535;
		out->n = 1;
		return true;
	}
	for (i = 0; i <= s.n; i++) {
		if (i < s.n && s.p[i] != ',')
			continue;
		*why = port_range(slice_mem(s.p + start, i - start),
		    &out->v[out->n].first, &out->v[out->n].last);
		if (*why != NULL)
			return false;
		out->n++;
		start = i + 1;
	}
	return true;
}

static bool
same_name(struct slice s, const char *name, bool fold)
{
	size_t i;
	char c;

	if (s.n != strlen(name))
		return false;
	for (i = 0; i < s.n; i++) {
		c = s.p[i];
		if (fold && c >= 'A' && c <= 'Z')
			c = (char)(c - 'A' + 'a');
		if (c != name[i])
			return false;
	}
	return true;
}

enum lex_proto
lex_proto(struct slice s, bool fold, uint8_t *out)
{
	uint32_t v;
	size_t i;

	if (slice_eqs(s, "*"))
		return PROTO_STAR;
	for (i = 0; i < nitems(protos); i++)
		if (same_name(s, protos[i].name, fold)) {
			*out = protos[i].proto;
			return PROTO_OK;
		}
	if (!integer(s, &v))
		return PROTO_UNKNOWN;
	if (s.p[0] == '0')
		return PROTO_ZERO;
	if (v > 255)
		return PROTO_RANGE;
	*out = (uint8_t)v;
	return PROTO_OK;
}

const char *
lex_proto_name(uint8_t proto, char buf[4])
{
	size_t i;

	for (i = 0; i < nitems(protos); i++)
		if (protos[i].proto == proto)
			return protos[i].name;
	(void)snprintf(buf, 4, "%u", proto);
	return buf;
}
