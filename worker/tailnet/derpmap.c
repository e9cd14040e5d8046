#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/enc.h"
#include "common/ip.h"
#include "common/json.h"
#include "common/json_read.h"
#include "worker/tailnet/derpmap.h"
#include "worker/tailnet/jsonpos.h"

#define TEXT_MAX	(1u << 20)
#define REGIONS_MAX	1000
#define REGION_ID_MAX	65535	/* home DERP is a u16 */
#define NODES_MAX	64	/* of a region */
#define STR_MAX		255
#define HTTPS_PORT	443	/* what a client takes where none is said */
#define STUN_PORT	3478

struct region {
	uint64_t	 id;
	const struct jval *v;
	size_t		 at;		/* in the text */
};

struct node_name {
	struct slice	 name;
	size_t		 at;
};

/* A region's JSON, among the pieces of its map. */
struct piece {
	uint64_t	 id;
	size_t		 at;
	size_t		 n;		/* 0: null */
};

struct derpmap {
	struct buf	 json;		/* the whole */
	struct buf	 head;		/* what comes before the regions */
	struct buf	 pieces;
	struct piece	*piece;		/* by number */
	size_t		 npieces;
	size_t		 nregions;	/* that are not null */
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
	bool		 relays;	/* a node that is not STUNOnly */
};

static int
bad(const struct reader *rd, size_t at, const char *what)
{
	(void)snprintf(rd->why, rd->whylen, "%s:%u: %s", rd->name,
	    jsonpos_line(rd->text, at), what);
	return -1;
}

static int
bad_field(const struct reader *rd, size_t at, const char *field,
    const char *what)
{
	char t[128];

	(void)snprintf(t, sizeof(t), "%s %s", field, what);
	return bad(rd, jsonpos_member(rd->text, at, slice_str(field)), t);
}

/* Optional members; *out is untouched where there is none. */
static int
get_str(const struct reader *rd, const struct jval *v, size_t at,
    const char *field, struct slice *out)
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
get_int(const struct reader *rd, const struct jval *v, size_t at,
    const char *field, int64_t least, int64_t *out)
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
put_bool(const struct reader *rd, const struct jval *v, size_t at,
    const char *field, struct json *j)
{
	bool b = false;

	if (jval_get(v, field) != NULL && !jval_bool(jval_get(v, field), &b))
		return bad_field(rd, at, field, "is not true or false");
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
put_double(const struct reader *rd, const struct jval *v, size_t at,
    const char *field, struct json *j)
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
put_addr(const struct reader *rd, const struct jval *v, size_t at,
    const char *field, uint8_t family, struct json *j)
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

static bool
cert_ok(struct slice s)
{
	static const char raw[] = "sha256-raw:";
	uint8_t hash[32];

	if (!slice_prefix(s, raw))
		return host_ok(s);
	s.p += strlen(raw);
	s.n -= strlen(raw);
	return hex_dec(hash, sizeof(hash), s);
}

static int
put_host(struct reader *rd, const struct jval *v, size_t at, struct json *j)
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
put_ports(struct reader *rd, const struct jval *v, size_t at, struct json *j)
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
		rd->relays = true;
	if (derp != 0) {
		json_key(j, "DERPPort");
		json_i64(j, derp);
	}
	return 0;
}

static int
put_node(struct reader *rd, const struct jval *v, size_t at, uint64_t region,
    struct json *j)
{
	struct slice name = slice_str("");
	uint64_t id = 0;

	if (!jval_is_obj(v))
		return bad(rd, at, "node is no object");
	if (get_str(rd, v, at, "Name", &name) == -1)
		return -1;
	if (name.n == 0)
		return bad(rd, at, "node without Name");
	if (!jval_u64(jval_get(v, "RegionID"), &id) || id != region)
		return bad_field(rd, at, "RegionID",
		    "of the node is not its region's");
	rd->node = xrealloc(rd->node, rd->nnodes + 1, sizeof(rd->node[0]));
	rd->node[rd->nnodes].name = name;
	rd->node[rd->nnodes++].at = at;
	json_obj(j);
	put_str(j, "Name", name);
	json_key(j, "RegionID");
	json_u64(j, region);
	if (put_host(rd, v, at, j) == -1 ||
	    put_addr(rd, v, at, "IPv4", 4, j) == -1 ||
	    put_addr(rd, v, at, "IPv6", 6, j) == -1 ||
	    put_ports(rd, v, at, j) == -1 ||
	    put_bool(rd, v, at, "InsecureForTests", j) == -1 ||
	    put_addr(rd, v, at, "STUNTestIP", 0, j) == -1 ||
	    put_bool(rd, v, at, "CanPort80", j) == -1)
		return -1;
	json_end(j);
	return 0;
}

static int
put_region(struct reader *rd, const struct region *r, struct json *j)
{
	struct slice code = slice_str(""), name = slice_str("");
	const struct jval *nodes = jval_get(r->v, "Nodes");
	size_t k, at, n = jval_count(nodes);

	if (get_str(rd, r->v, r->at, "RegionCode", &code) == -1 ||
	    get_str(rd, r->v, r->at, "RegionName", &name) == -1)
		return -1;
	if (!jval_is_arr(nodes) || n == 0 || n > NODES_MAX)
		return bad_field(rd, r->at, "Nodes",
		    "must be an array of 1 to 64 nodes");
	json_obj(j);
	json_key(j, "RegionID");
	json_u64(j, r->id);
	put_str(j, "RegionCode", code);
	put_str(j, "RegionName", name);
	if (put_double(rd, r->v, r->at, "Latitude", j) == -1 ||
	    put_double(rd, r->v, r->at, "Longitude", j) == -1 ||
	    put_bool(rd, r->v, r->at, "Avoid", j) == -1 ||
	    put_bool(rd, r->v, r->at, "NoMeasureNoHome", j) == -1)
		return -1;
	json_key(j, "Nodes");
	json_arr(j);
	at = jsonpos_member(rd->text, r->at, slice_str("Nodes"));
	for (k = 0; k < n; k++)
		if (put_node(rd, jval_at(nodes, k), jsonpos_elem(rd->text, at,
		    k), r->id, j) == -1)
			return -1;
	json_end(j);
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
collect(struct reader *rd, const struct jval *regions, size_t at)
{
	const struct jval *v;
	struct region *r;
	struct slice name;
	void *it = NULL;
	uint64_t own;

	rd->region = xcalloc(jval_count(regions), sizeof(*r));
	while (jval_each(regions, &it, &name, &v)) {
		r = &rd->region[rd->nregions];
		r->at = jsonpos_member(rd->text, at, name);
		r->v = v;
		if ((r->id = region_id(name)) == 0)
			return bad(rd, r->at,
			    "key of a region is not a number from 1 to 65535");
		rd->nregions++;
		if (v == NULL)
			continue;
		if (!jval_is_obj(v))
			return bad(rd, r->at, "region is no object");
		if (!jval_u64(jval_get(v, "RegionID"), &own) || own != r->id)
			return bad_field(rd, r->at, "RegionID",
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
	return a->at < b->at ? -1 : a->at > b->at;
}

static int
check_names(const struct reader *rd)
{
	size_t i;

	qsort(rd->node, rd->nnodes, sizeof(rd->node[0]), name_cmp);
	for (i = 1; i < rd->nnodes; i++)
		if (slice_eq(rd->node[i].name, rd->node[i - 1].name))
			return bad_field(rd, rd->node[i].at, "Name",
			    "is another node's");
	return 0;
}

/* Each as a piece of its own. */
static int
read_regions(struct reader *rd, const struct jval *root, struct derpmap *d)
{
	const struct jval *regions = jval_get(root, "Regions");
	size_t k, n = jval_count(regions), at = jsonpos_root(rd->text);
	struct piece *piece;
	struct json j;

	if (!jval_is_obj(regions) || n == 0 || n > REGIONS_MAX)
		return bad_field(rd, at, "Regions",
		    "must be an object of 1 to 1000 regions");
	if (collect(rd, regions, jsonpos_member(rd->text, at,
	    slice_str("Regions"))) == -1)
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
		if (put_region(rd, &rd->region[k], &j) == -1)
			return -1;
		piece->n = d->pieces.n - piece->at;
		d->nregions++;
	}
	if (d->nregions != 0 && !rd->relays)
		return bad(rd, at, "no node is a relay: all are STUNOnly");
	return check_names(rd);
}

/*
 * HomeParams.RegionScore: below 1 favours a region, above it penalises.  An
 * empty one takes back what a client was told before; none would not.
 */
static int
put_scores(struct reader *rd, const struct jval *root, struct json *j)
{
	const struct jval *home = jval_get(root, "HomeParams");
	const struct jval *scores = jval_get(home, "RegionScore"), *v;
	size_t at = jsonpos_member(rd->text, jsonpos_root(rd->text),
	    slice_str("HomeParams"));
	struct slice name;
	void *it = NULL;
	double d;

	if (home != NULL && !jval_is_obj(home))
		return bad(rd, at, "HomeParams is no object");
	at = jsonpos_member(rd->text, at, slice_str("RegionScore"));
	if (scores != NULL && !jval_is_obj(scores))
		return bad(rd, at, "RegionScore is no object");
	json_key(j, "HomeParams");
	json_obj(j);
	json_key(j, "RegionScore");
	json_obj(j);
	while (scores != NULL && jval_each(scores, &it, &name, &v)) {
		if (region_id(name) == 0 || !jval_double(v, &d) ||
		    !isfinite(d) || d <= 0)
			return bad(rd, jsonpos_member(rd->text, at, name),
			    "score is not a positive number of a region");
		json_keys(j, name);
		put_number(j, d);
	}
	json_end(j);
	json_end(j);
	return 0;
}

static int
read_map(struct reader *rd, const struct jval *root, struct derpmap *d)
{
	struct json j;

	if (!jval_is_obj(root))
		return bad(rd, 0, "not a DERP map: no object");
	json_init(&j, &d->head);
	json_obj(&j);
	if (put_scores(rd, root, &j) == -1 || put_bool(rd, root,
	    jsonpos_root(rd->text), "omitDefaultRegions", &j) == -1)
		return -1;
	return read_regions(rd, root, d);
}

/* The pieces in the order of their numbers, own among them. */
static void
assemble(struct derpmap *d, uint64_t own, struct slice region)
{
	const struct piece *p;
	struct json j;
	struct buf *b = &d->json;
	char id[8];
	size_t i;

	json_init(&j, b);
	json_obj(&j);
	for (i = 0; i <= d->npieces; i++) {
		p = i < d->npieces ? &d->piece[i] : NULL;
		if (region.n != 0 && (p == NULL || p->id >= own)) {
			(void)snprintf(id, sizeof(id), "%u",
			    (unsigned int)own);
			json_keys(&j, slice_str(id));
			json_raw(&j, region);
			region.n = 0;
		}
		if (p == NULL || p->n == 0 || p->id == own)
			continue;
		(void)snprintf(id, sizeof(id), "%u", (unsigned int)p->id);
		json_keys(&j, slice_str(id));
		json_raw(&j, slice_mem(d->pieces.p + p->at, p->n));
	}
	json_end(&j);
}

/* The whole JSON: head, regions, end. */
static void
finish(struct derpmap *d, uint64_t own, struct slice region)
{
	struct buf regions = { NULL, 0, 0 };

	assemble(d, own, region);
	regions = d->json;
	memset(&d->json, 0, sizeof(d->json));
	buf_slice(&d->json, buf_slice_of(&d->head));
	buf_str(&d->json, ",\"Regions\":");
	buf_slice(&d->json, buf_slice_of(&regions));
	buf_str(&d->json, "}");
	buf_free(&regions);
}

struct derpmap *
derpmap_parse(const void *p, size_t n, const char *name, char *why,
    size_t whylen)
{
	struct reader rd = { .text = slice_mem(p, n), .name = name,
	    .why = why, .whylen = whylen };
	struct derpmap *d;
	const char *what;
	struct jdoc *doc;
	size_t at;

	if ((doc = json_read(p, n, TEXT_MAX, &what, &at)) == NULL) {
		(void)bad(&rd, at, what);
		return NULL;
	}
	d = xcalloc(1, sizeof(*d));
	if (read_map(&rd, jdoc_root(doc), d) == -1) {
		derpmap_free(d);
		d = NULL;
	} else
		finish(d, 0, slice_str(""));
	free(rd.region);
	free(rd.node);
	jdoc_free(doc, false);
	return d;
}

void
derpmap_free(struct derpmap *d)
{
	if (d == NULL)
		return;
	buf_free(&d->json);
	buf_free(&d->head);
	buf_free(&d->pieces);
	free(d->piece);
	free(d);
}

/* A name that no node of the map has. */
static void
own_name(const struct derpmap *d, uint64_t id, char name[16])
{
	char member[32];
	char c;

	for (c = 'a'; c <= 'z'; c++) {
		(void)snprintf(name, 16, "%u%c", (unsigned int)id, c);
		(void)snprintf(member, sizeof(member), "\"Name\":\"%s\"",
		    name);
		if (memmem(d->pieces.p, d->pieces.n, member,
		    strlen(member)) == NULL)
			return;
	}
}

static void
put_port(struct json *j, const char *field, int port, int usual)
{
	if (port == usual)
		return;
	json_key(j, field);
	json_i64(j, port);
}

static void
put_flag(struct json *j, const char *field, bool v)
{
	if (!v)
		return;
	json_key(j, field);
	json_bool(j, true);
}

static void
put_own(struct buf *b, const struct r_relay *own, const char *name)
{
	struct json j;

	json_init(&j, b);
	json_obj(&j);
	json_key(&j, "RegionID");
	json_u64(&j, own->region);
	put_str(&j, "RegionCode", own->code);
	put_str(&j, "RegionName", own->name);
	json_key(&j, "Nodes");
	json_arr(&j);
	json_obj(&j);
	put_str(&j, "Name", slice_str(name));
	json_key(&j, "RegionID");
	json_u64(&j, own->region);
	put_str(&j, "HostName", own->host);
	put_str(&j, "IPv4", own->ip4);
	put_str(&j, "IPv6", own->ip6);
	put_port(&j, "STUNPort", own->stun_port == 0 ? -1 : own->stun_port,
	    STUN_PORT);
	put_port(&j, "DERPPort", own->port, HTTPS_PORT);
	put_flag(&j, "InsecureForTests", own->insecure);
	put_flag(&j, "CanPort80", own->port80);
	json_end(&j);
	json_end(&j);
	json_end(&j);
}

struct derpmap *
derpmap_join(const struct derpmap *file, const struct r_relay *own)
{
	struct buf region = { NULL, 0, 0 };
	struct derpmap *d;
	char name[16];
	size_t i;

	if (!own->in_map && (file == NULL || file->nregions == 0))
		return NULL;
	d = xcalloc(1, sizeof(*d));
	if (file != NULL) {
		buf_slice(&d->head, buf_slice_of(&file->head));
		buf_slice(&d->pieces, buf_slice_of(&file->pieces));
		d->npieces = file->npieces;
		d->piece = xcalloc(d->npieces, sizeof(d->piece[0]));
		memcpy(d->piece, file->piece,
		    d->npieces * sizeof(d->piece[0]));
	} else
		buf_str(&d->head, "{\"HomeParams\":{\"RegionScore\":{}}");
	for (i = 0; i < d->npieces; i++)
		if (d->piece[i].n != 0 &&
		    !(own->in_map && d->piece[i].id == own->region))
			d->nregions++;
	if (own->in_map) {
		own_name(d, own->region, name);
		put_own(&region, own, name);
		d->nregions++;
	}
	finish(d, own->region, buf_slice_of(&region));
	buf_free(&region);
	return d;
}

struct slice
derpmap_json(const struct derpmap *d)
{
	return buf_slice_of(&d->json);
}

size_t
derpmap_regions(const struct derpmap *d)
{
	return d->nregions;
}
