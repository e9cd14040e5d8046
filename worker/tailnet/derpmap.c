#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/ip.h"
#include "common/json.h"
#include "common/json_read.h"
#include "common/log.h"
#include "worker/tailnet/derpmap_int.h"
#include "worker/tailnet/jsonpos.h"

#define TEXT_MAX	(1u << 20)
#define REGIONS_MAX	1000
#define REGION_ID_MAX	65535	/* home DERP is a u16 */
#define NODES_MAX	64	/* of a region */
#define STR_MAX		255
#define CODE_MAX	32	/* of a record derp_node */
#define HASH_HEX	64	/* SHA-256 in sha256-raw: */
#define NODE_NONE	SIZE_MAX

struct region {
	uint64_t	 id;
	struct slice	 key;
	const struct jval *v;
};

/*
 * Which value of the text.  Where it stands is looked for only to complain:
 * that takes time in proportion to the text, which may be long.
 */
struct place {
	const char	*member;	/* of the root; NULL: the root */
	const struct region *region;	/* in it; NULL: that member */
	size_t		 node;		/* of it; NODE_NONE: the region */
};

struct node_name {
	struct slice	 name;
	size_t		 nth;		/* of all that were read */
	struct place	 at;
};

/* A map that is being read. */
struct reader {
	struct slice	 text;
	const char	*name;
	char		*why;
	size_t		 whylen;
	struct region	*region;
	size_t		 nregions;
	struct node_name *node;
	size_t		 nnodes;
	bool		 remote;	/* from a URL */
	bool		 relays;	/* a node that is not STUNOnly */
	unsigned int	 unknown;	/* keys without a meaning, and one */
	char		 first[64];	/* of them, */
	unsigned int	 line;		/* which stands here */
	struct derpmap	*map;
};

static int
bad_at(const struct reader *rd, size_t at, const char *what)
{
	(void)snprintf(rd->why, rd->whylen, "%s:%u: %s", rd->name,
	    jsonpos_line(rd->text, at), what);
	return -1;
}

/* Where in the text it stands. */
static size_t
find(const struct reader *rd, const struct place *p)
{
	size_t at = jsonpos_root(rd->text);

	if (p->member != NULL)
		at = jsonpos_member(rd->text, at, slice_str(p->member));
	if (p->region != NULL)
		at = jsonpos_member(rd->text, at, p->region->key);
	if (p->node != NODE_NONE)
		at = jsonpos_elem(rd->text, jsonpos_member(rd->text, at,
		    slice_str("Nodes")), p->node);
	return at;
}

static int
bad(const struct reader *rd, const struct place *at, const char *what)
{
	return bad_at(rd, find(rd, at), what);
}

static int
bad_field(const struct reader *rd, const struct place *at, const char *field,
    const char *what)
{
	char t[128];

	(void)snprintf(t, sizeof(t), "%s %s", field, what);
	return bad_at(rd, jsonpos_member(rd->text, find(rd, at),
	    slice_str(field)), t);
}

/* Counts the members whose names are not in the list, which NULL ends. */
static void
see_names(struct reader *rd, const struct jval *v, const struct place *at,
    const char *const *known)
{
	const struct jval *member;
	const char *const *k;
	struct slice name;
	void *it = NULL;

	while (jval_each(v, &it, &name, &member)) {
		for (k = known; *k != NULL; k++)
			if (name.n == strlen(*k) &&
			    strncasecmp(name.p, *k, name.n) == 0)
				break;
		if (*k != NULL || rd->unknown++ != 0)
			continue;
		rd->line = jsonpos_line(rd->text, jsonpos_member(rd->text,
		    find(rd, at), name));
		(void)strlcpy(rd->first, log_vis(name), sizeof(rd->first));
	}
}

/* Optional members; *out is untouched where there is none. */
static int
get_str(const struct reader *rd, const struct jval *v,
    const struct place *at, const char *field, struct slice *out)
{
	if (jval_get(v, field) == NULL)
		return 0;
	if (!jval_str(jval_get(v, field), out))
		return bad_field(rd, at, field, "is not a string");
	if (out->n > STR_MAX)
		return bad_field(rd, at, field, "is too long");
	return 0;
}

static int
get_int(const struct reader *rd, const struct jval *v,
    const struct place *at, const char *field, int64_t least, int64_t *out)
{
	if (jval_get(v, field) == NULL)
		return 0;
	if (!jval_i64(jval_get(v, field), out))
		return bad_field(rd, at, field, "is not an integer");
	if (*out < least || *out > 65535)
		return bad_field(rd, at, field, "is out of range");
	return 0;
}

static int
get_bool(const struct reader *rd, const struct jval *v,
    const struct place *at, const char *field, bool *b)
{
	*b = false;
	if (jval_get(v, field) != NULL && !jval_bool(jval_get(v, field), b))
		return bad_field(rd, at, field, "is not true or false");
	return 0;
}

static int
put_bool(const struct reader *rd, const struct jval *v,
    const struct place *at, const char *field, struct json *j)
{
	bool b;

	if (get_bool(rd, v, at, field, &b) == -1)
		return -1;
	if (b) {
		json_key(j, field);
		json_bool(j, true);
	}
	return 0;
}

static void
put_str(struct json *j, const char *field, struct slice s)
{
	if (s.n == 0)
		return;
	json_key(j, field);
	json_str(j, s);
}

static void
put_number(struct json *j, double d)
{
	char t[40];

	(void)snprintf(t, sizeof(t), "%.15g", d);
	json_raw(j, slice_str(t));
}

static int
put_double(const struct reader *rd, const struct jval *v,
    const struct place *at, const char *field, struct json *j)
{
	double d = 0;

	if (jval_get(v, field) == NULL)
		return 0;
	if (!jval_double(jval_get(v, field), &d) || !isfinite(d))
		return bad_field(rd, at, field, "is not a number");
	json_key(j, field);
	put_number(j, d);
	return 0;
}

/* "" leaves it to DNS, "none" switches the family off. */
static int
put_addr(const struct reader *rd, const struct jval *v,
    const struct place *at, const char *field, uint8_t family, struct json *j)
{
	struct slice s = slice_str("");
	struct ip ip;

	if (get_str(rd, v, at, field, &s) == -1)
		return -1;
	if (s.n != 0 && !(family != 0 && slice_eqs(s, "none")) &&
	    (!ip_parse(&ip, s) || (family != 0 && ip.family != family)))
		return bad_field(rd, at, field, "is not an address");
	put_str(j, field, s);
	return 0;
}

static bool
host_ok(struct slice s)
{
	struct ip ip;

	return dns_name_ok(s) || ip_parse(&ip, s);
}

/* Clients compare the hash as a text: no capitals (trap 33). */
static bool
cert_ok(struct slice s)
{
	static const char raw[] = "sha256-raw:";
	size_t i;

	if (!slice_prefix(s, raw))
		return host_ok(s);
	if (s.n != strlen(raw) + HASH_HEX)
		return false;
	for (i = strlen(raw); i < s.n; i++)
		if (memchr("0123456789abcdef", s.p[i], 16) == NULL)
			return false;
	return true;
}

static int
put_host(struct reader *rd, const struct jval *v, const struct place *at,
    struct json *j)
{
	struct slice host = slice_str(""), cert = slice_str("");

	if (get_str(rd, v, at, "HostName", &host) == -1 ||
	    get_str(rd, v, at, "CertName", &cert) == -1)
		return -1;
	if (!host_ok(host))
		return bad_field(rd, at, "HostName",
		    "is missing or not a name");
	if (cert.n != 0 && !cert_ok(cert))
		return bad_field(rd, at, "CertName",
		    "is neither a name nor sha256-raw:");
	put_str(j, "HostName", host);
	put_str(j, "CertName", cert);
	return 0;
}

static int
put_ports(struct reader *rd, const struct jval *v, const struct place *at,
    struct json *j, bool *relays)
{
	int64_t stun = 0, derp = 0;
	bool only = false;

	if (get_int(rd, v, at, "STUNPort", -1, &stun) == -1 ||
	    get_int(rd, v, at, "DERPPort", 0, &derp) == -1)
		return -1;
	if (stun != 0) {
		json_key(j, "STUNPort");
		json_i64(j, stun);
	}
	if (put_bool(rd, v, at, "STUNOnly", j) == -1)
		return -1;
	if (!jval_bool(jval_get(v, "STUNOnly"), &only) || !only)
		*relays = true;
	if (derp != 0) {
		json_key(j, "DERPPort");
		json_i64(j, derp);
	}
	return 0;
}

/*
 * What switches a client's checks off or sends it elsewhere is for root's file
 * alone: whoever has the URL could have all clients' packets (derp.md 14, S16).
 */
static int
check_remote(const struct reader *rd, const struct jval *v,
    const struct place *at)
{
	static const char *const texts[] = { "CertName", "STUNTestIP" };
	struct slice s;
	bool insecure;
	size_t i;

	if (!rd->remote)
		return 0;
	if (get_bool(rd, v, at, "InsecureForTests", &insecure) == -1)
		return -1;
	if (insecure)
		return bad_field(rd, at, "InsecureForTests",
		    "is not taken from a URL");
	for (i = 0; i < 2; i++) {
		s = slice_str("");
		if (get_str(rd, v, at, texts[i], &s) == -1)
			return -1;
		if (s.n != 0)
			return bad_field(rd, at, texts[i],
			    "is not taken from a URL");
	}
	return 0;
}

/*
 * Clients make a URL of the IPv4 address, and without a literal one a broken
 * URL (trap 32).
 */
static int
put_port80(struct reader *rd, const struct jval *v, const struct place *at,
    struct json *j)
{
	struct slice ip4 = slice_str("");
	struct ip ip;
	bool b;

	if (get_bool(rd, v, at, "CanPort80", &b) == -1 ||
	    get_str(rd, v, at, "IPv4", &ip4) == -1)
		return -1;
	return !b || !ip_parse(&ip, ip4) ? 0 :
	    put_bool(rd, v, at, "CanPort80", j);
}

/* For who wants to know how it is; what is in v has been checked. */
static void
keep_node(struct reader *rd, const struct jval *v, const struct place *at,
    struct slice code)
{
	struct slice cert = slice_str("");
	struct r_derp_node n;
	int64_t port = 0;

	memset(&n, 0, sizeof(n));
	n.region = (uint16_t)at->region->id;
	n.code = code.n <= CODE_MAX ? code : slice_str("");
	n.ip4 = n.ip6 = cert;
	(void)get_str(rd, v, at, "Name", &n.node);
	(void)get_str(rd, v, at, "HostName", &n.host);
	(void)get_str(rd, v, at, "CertName", &cert);
	(void)get_str(rd, v, at, "IPv4", &n.ip4);
	(void)get_str(rd, v, at, "IPv6", &n.ip6);
	(void)get_int(rd, v, at, "DERPPort", 0, &port);
	(void)get_bool(rd, v, at, "InsecureForTests", &n.insecure);
	(void)get_bool(rd, v, at, "STUNOnly", &n.stun_only);
	n.port = port == 0 ? HTTPS_PORT : (uint16_t)port;
	/* A probe believes nothing that it hears. */
	n.insecure = n.insecure || cert.n != 0;
	if (!msg_rec_ok(MR_DERP_NODE, &n))
		return;
	msg_rec_encode(&rd->map->nodes, MR_DERP_NODE, &n);
	rd->map->nnodes++;
}

static int
put_node(struct reader *rd, const struct jval *v, const struct place *at,
    struct slice code, struct json *j, bool *relays)
{
	static const char *const known[] = { "Name", "RegionID", "HostName",
	    "CertName", "IPv4", "IPv6", "STUNPort", "STUNOnly", "DERPPort",
	    "InsecureForTests", "STUNTestIP", "CanPort80", NULL };
	const struct region *r = at->region;
	struct slice name = slice_str("");
	uint64_t id = 0;

	if (!jval_is_obj(v))
		return bad(rd, at, "node is no object");
	see_names(rd, v, at, known);
	if (get_str(rd, v, at, "Name", &name) == -1)
		return -1;
	if (name.n == 0)
		return bad(rd, at, "node without Name");
	if (!jval_u64(jval_get(v, "RegionID"), &id) || id != r->id)
		return bad_field(rd, at, "RegionID",
		    "of the node is not its region's");
	rd->node = xrealloc(rd->node, rd->nnodes + 1, sizeof(rd->node[0]));
	rd->node[rd->nnodes].name = name;
	rd->node[rd->nnodes].at = *at;
	rd->node[rd->nnodes].nth = rd->nnodes;
	rd->nnodes++;
	json_obj(j);
	put_str(j, "Name", name);
	json_key(j, "RegionID");
	json_u64(j, r->id);
	if (check_remote(rd, v, at) == -1 ||
	    put_host(rd, v, at, j) == -1 ||
	    put_addr(rd, v, at, "IPv4", 4, j) == -1 ||
	    put_addr(rd, v, at, "IPv6", 6, j) == -1 ||
	    put_ports(rd, v, at, j, relays) == -1 ||
	    put_bool(rd, v, at, "InsecureForTests", j) == -1 ||
	    put_addr(rd, v, at, "STUNTestIP", 0, j) == -1 ||
	    put_port80(rd, v, at, j) == -1)
		return -1;
	json_end(j);
	keep_node(rd, v, at, code);
	return 0;
}

static int
put_nodes(struct reader *rd, const struct place *at, struct slice code,
    struct json *j)
{
	const struct jval *v = at->region->v, *nodes = jval_get(v, "Nodes");
	struct place node = *at;
	size_t n = jval_count(nodes);
	bool relays = false, no_home;

	if (!jval_is_arr(nodes) || n == 0 || n > NODES_MAX)
		return bad_field(rd, at, "Nodes",
		    "must be an array of 1 to 64 nodes");
	json_key(j, "Nodes");
	json_arr(j);
	for (node.node = 0; node.node < n; node.node++)
		if (put_node(rd, jval_at(nodes, node.node), &node, code, j,
		    &relays) == -1)
			return -1;
	json_end(j);
	rd->relays = rd->relays || relays;
	/* A client may make it its home, which it never reaches (trap 26). */
	if (get_bool(rd, v, at, "NoMeasureNoHome", &no_home) == -1)
		return -1;
	if (!relays && !no_home)
		return bad_field(rd, at, "Nodes",
		    "are all STUNOnly, without NoMeasureNoHome");
	return 0;
}

static int
put_region(struct reader *rd, const struct region *r, struct piece *piece,
    struct json *j)
{
	static const char *const known[] = { "RegionID", "RegionCode",
	    "RegionName", "Latitude", "Longitude", "Avoid", "NoMeasureNoHome",
	    "Nodes", NULL };
	const struct place at = { "Regions", r, NODE_NONE };
	struct slice code = slice_str(""), name = slice_str("");

	see_names(rd, r->v, &at, known);
	if (get_str(rd, r->v, &at, "RegionCode", &code) == -1 ||
	    get_str(rd, r->v, &at, "RegionName", &name) == -1)
		return -1;
	json_obj(j);
	json_key(j, "RegionID");
	json_u64(j, r->id);
	put_str(j, "RegionCode", code);
	put_str(j, "RegionName", name);
	if (put_double(rd, r->v, &at, "Latitude", j) == -1 ||
	    put_double(rd, r->v, &at, "Longitude", j) == -1 ||
	    get_bool(rd, r->v, &at, "Avoid", &piece->avoid) == -1)
		return -1;
	piece->avoid_at = rd->map->pieces.n - piece->at;
	if (put_bool(rd, r->v, &at, "Avoid", j) == -1 ||
	    put_bool(rd, r->v, &at, "NoMeasureNoHome", j) == -1 ||
	    put_nodes(rd, &at, code, j) == -1)
		return -1;
	json_end(j);
	return 0;
}

/* A decimal number without leading zeros, 1..REGION_ID_MAX; 0 if not. */
static uint64_t
region_id(struct slice s)
{
	uint64_t id = 0;
	size_t i;

	if (s.n == 0 || s.n > 5 || s.p[0] == '0')
		return 0;
	for (i = 0; i < s.n; i++) {
		if (s.p[i] < '0' || s.p[i] > '9')
			return 0;
		id = id * 10 + (uint64_t)(s.p[i] - '0');
	}
	return id <= REGION_ID_MAX ? id : 0;
}

static int
collect(struct reader *rd, const struct jval *regions)
{
	struct place at = { "Regions", NULL, NODE_NONE };
	const struct jval *v;
	struct region *r;
	struct slice name;
	void *it = NULL;
	uint64_t own;

	rd->region = xcalloc(jval_count(regions), sizeof(*r));
	while (jval_each(regions, &it, &name, &v)) {
		at.region = r = &rd->region[rd->nregions];
		r->key = name;
		r->v = v;
		if ((r->id = region_id(name)) == 0)
			return bad(rd, &at,
			    "key of a region is not a number from 1 to 65535");
		rd->nregions++;
		if (v == NULL)
			continue;
		if (!jval_is_obj(v))
			return bad(rd, &at, "region is no object");
		if (!jval_u64(jval_get(v, "RegionID"), &own) || own != r->id)
			return bad_field(rd, &at, "RegionID",
			    "is not the region's key");
	}
	return 0;
}

static int
region_cmp(const void *va, const void *vb)
{
	const struct region *a = va, *b = vb;

	return a->id < b->id ? -1 : a->id > b->id;
}

static int
name_cmp(const void *va, const void *vb)
{
	const struct node_name *a = va, *b = vb;
	int c;

	if ((c = slice_cmp(a->name, b->name)) != 0)
		return c;
	return a->nth < b->nth ? -1 : a->nth > b->nth;
}

static int
check_names(const struct reader *rd)
{
	const struct node_name *a, *b;
	size_t i;

	if (rd->nnodes != 0)
		qsort(rd->node, rd->nnodes, sizeof(rd->node[0]), name_cmp);
	for (i = 1; i < rd->nnodes; i++) {
		a = &rd->node[i - 1];
		b = &rd->node[i];
		if (!slice_eq(a->name, b->name))
			continue;
		/* That which stands behind the other. */
		if (find(rd, &a->at) > find(rd, &b->at))
			b = a;
		return bad_field(rd, &b->at, "Name", "is another node's");
	}
	return 0;
}

/* Each as a piece of its own. */
static int
read_regions(struct reader *rd, const struct jval *root, struct derpmap *d)
{
	const struct jval *regions = jval_get(root, "Regions");
	static const struct place at = { NULL, NULL, NODE_NONE };
	size_t k, n = jval_count(regions);
	struct piece *piece;
	struct json j;

	if (!jval_is_obj(regions) || n == 0 || n > REGIONS_MAX)
		return bad_field(rd, &at, "Regions",
		    "must be an object of 1 to 1000 regions");
	if (collect(rd, regions) == -1)
		return -1;
	qsort(rd->region, rd->nregions, sizeof(rd->region[0]), region_cmp);
	d->piece = xcalloc(rd->nregions, sizeof(d->piece[0]));
	for (k = 0; k < rd->nregions; k++) {
		piece = &d->piece[d->npieces++];
		piece->id = rd->region[k].id;
		piece->at = d->pieces.n;
		if (rd->region[k].v == NULL)
			continue;
		json_init(&j, &d->pieces);
		if (put_region(rd, &rd->region[k], piece, &j) == -1)
			return -1;
		piece->n = d->pieces.n - piece->at;
		d->nregions++;
	}
	if (d->nregions != 0 && !rd->relays)
		return bad(rd, &at, "no node is a relay: all are STUNOnly");
	return check_names(rd);
}

/*
 * HomeParams.RegionScore: below 1 favours a region, above it penalises.  An
 * empty one takes back what a client was told before; none would not.
 */
static int
put_scores(struct reader *rd, const struct jval *root, struct json *j)
{
	static const char *const known[] = { "RegionScore", NULL };
	const struct jval *home = jval_get(root, "HomeParams");
	const struct jval *scores = jval_get(home, "RegionScore"), *v;
	static const struct place at = { "HomeParams", NULL, NODE_NONE };
	struct slice name;
	void *it = NULL;
	double d;

	/* Which relay clients prefer is ours to say, not a URL's (S16). */
	if (rd->remote)
		home = scores = NULL;
	if (home != NULL && !jval_is_obj(home))
		return bad(rd, &at, "HomeParams is no object");
	see_names(rd, home, &at, known);
	if (scores != NULL && !jval_is_obj(scores))
		return bad_field(rd, &at, "RegionScore", "is no object");
	json_key(j, "HomeParams");
	json_obj(j);
	json_key(j, "RegionScore");
	json_obj(j);
	while (scores != NULL && jval_each(scores, &it, &name, &v)) {
		if (region_id(name) == 0 || !jval_double(v, &d) ||
		    !isfinite(d) || d <= 0)
			return bad_at(rd, jsonpos_member(rd->text,
			    jsonpos_member(rd->text, find(rd, &at),
			    slice_str("RegionScore")), name),
			    "score is not a positive number of a region");
		json_keys(j, name);
		put_number(j, d);
		rd->map->scores = true;
	}
	json_end(j);
	json_end(j);
	return 0;
}

static int
read_map(struct reader *rd, const struct jval *root, struct derpmap *d)
{
	static const char *const known[] = { "HomeParams", "Regions",
	    "omitDefaultRegions", NULL };
	static const struct place at = { NULL, NULL, NODE_NONE };
	struct json j;

	if (!jval_is_obj(root))
		return bad_at(rd, 0, "not a DERP map: no object");
	see_names(rd, root, &at, known);
	json_init(&j, &d->head);
	json_obj(&j);
	if (put_scores(rd, root, &j) == -1)
		return -1;
	if (!rd->remote && get_bool(rd, root, &at, "omitDefaultRegions",
	    &d->omits) == -1)
		return -1;
	return read_regions(rd, root, d);
}

/* A misspelt key has no effect, which nobody would see (trap 30). */
static void
warn_unknown(const struct reader *rd)
{
	if (rd->unknown == 1)
		log_warnx("%s:%u: unknown key \"%s\" has no effect", rd->name,
		    rd->line, rd->first);
	else if (rd->unknown != 0)
		log_warnx("%s:%u: unknown key \"%s\", like %u more, has no "
		    "effect", rd->name, rd->line, rd->first, rd->unknown - 1);
}

static struct derpmap *
parse(const void *p, size_t n, const char *name, char *why, size_t whylen,
    bool remote)
{
	struct reader rd = { .text = slice_mem(p, n), .name = name,
	    .why = why, .whylen = whylen, .remote = remote };
	struct derpmap *d;
	const char *what;
	struct jdoc *doc;
	size_t at;

	if ((doc = json_read(p, n, TEXT_MAX, &what, &at)) == NULL) {
		(void)bad_at(&rd, at, what);
		return NULL;
	}
	rd.map = d = xcalloc(1, sizeof(*d));
	if (read_map(&rd, jdoc_root(doc), d) == -1) {
		derpmap_free(d);
		d = NULL;
	} else {
		derpmap_finish(d, 0, slice_str(""), NULL);
		warn_unknown(&rd);
	}
	free(rd.region);
	free(rd.node);
	jdoc_free(doc, false);
	return d;
}

struct derpmap *
derpmap_parse(const void *p, size_t n, const char *name, char *why,
    size_t whylen)
{
	return parse(p, n, name, why, whylen, false);
}

struct derpmap *
derpmap_parse_remote(const void *p, size_t n, const char *name, char *why,
    size_t whylen)
{
	return parse(p, n, name, why, whylen, true);
}

void
derpmap_free(struct derpmap *d)
{
	if (d == NULL)
		return;
	buf_free(&d->json);
	buf_free(&d->head);
	buf_free(&d->pieces);
	buf_free(&d->nodes);
	free(d->piece);
	free(d);
}

struct slice
derpmap_json(const struct derpmap *d)
{
	return buf_slice_of(&d->json);
}

struct msg_list
derpmap_nodes(const struct derpmap *d)
{
	struct msg_list l = { d->nodes.p, d->nodes.n, d->nnodes };

	return l;
}

size_t
derpmap_regions(const struct derpmap *d)
{
	return d->nregions;
}
