#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "common/json_read.h"
#include "common/log.h"
#include "worker/tailnet/dns_int.h"
#include "worker/tailnet/jsonpos.h"

#define RECORDS_TEXT	(4u << 20)

struct records {
	struct buf	 json;
	size_t		 n;
};

/* A file that is parsed, and where to say what is wrong with it. */
struct source {
	struct slice	 text;
	const char	*name;
	char		*why;
	size_t		 whylen;
};

static int
bad(const struct source *src, size_t at, const char *what)
{
	(void)snprintf(src->why, src->whylen, "%s:%u: %s", src->name,
	    jsonpos_line(src->text, at), what);
	return -1;
}

/* The record's members, or what is wrong with it. */
static const char *
record_get(const struct jval *v, struct slice *name, struct slice *type,
    struct slice *value)
{
	struct ip ip;
	bool aaaa;

	*type = slice_str("A");
	if (!jval_is_obj(v))
		return "record is no object";
	if (!jval_str(jval_get(v, "name"), name))
		return "record without name";
	/* One bad name crashes clients up to 1.103. */
	if (!dns_name_ok(*name))
		return "name is not a DNS name";
	if (jval_get(v, "type") != NULL && !jval_str(jval_get(v, "type"),
	    type))
		return "type is not a string";
	aaaa = slice_eqs(*type, "AAAA");
	if (!aaaa && !slice_eqs(*type, "A"))
		return "type must be A or AAAA";
	if (!jval_str(jval_get(v, "value"), value))
		return "record without value";
	if (!ip_parse(&ip, *value) || ip.family != (aaaa ? 6 : 4))
		return aaaa ? "value is not an IPv6 address" :
		    "value is not an IPv4 address";
	return NULL;
}

static int
read_record(const struct source *src, const struct jval *root, size_t k,
    struct json *j)
{
	struct slice name, type, value;
	const char *why;

	why = record_get(jval_at(root, k), &name, &type, &value);
	if (why != NULL)
		return bad(src, jsonpos_elem(src->text,
		    jsonpos_root(src->text), k), why);
	if (name.p[name.n - 1] == '.')
		name.n--;
	json_obj(j);
	json_key(j, "Name");
	json_str(j, name);
	json_key(j, "Type");
	json_str(j, type);
	json_key(j, "Value");
	json_str(j, value);
	json_end(j);
	return 0;
}

struct records *
records_parse(const void *p, size_t n, const char *name, char *why,
    size_t whylen)
{
	struct source src = { slice_mem(p, n), name, why, whylen };
	struct records *r = NULL;
	const struct jval *root;
	const char *what;
	struct jdoc *doc;
	struct json j;
	size_t at, k;

	if ((doc = json_read(p, n, RECORDS_TEXT, &what, &at)) == NULL) {
		(void)bad(&src, at, what);
		return NULL;
	}
	root = jdoc_root(doc);
	if (!jval_is_arr(root)) {
		(void)bad(&src, 0, "not an array of records");
		goto out;
	}
	r = xcalloc(1, sizeof(*r));
	r->n = jval_count(root);
	json_init(&j, &r->json);
	for (k = 0; k < r->n; k++) {
		if (read_record(&src, root, k, &j) == -1) {
			records_free(r);
			r = NULL;
			goto out;
		}
	}
 out:
	jdoc_free(doc, false);
	return r;
}

void
records_free(struct records *r)
{
	if (r == NULL)
		return;
	buf_free(&r->json);
	free(r);
}

size_t
records_count(const struct records *r)
{
	return r->n;
}

struct slice
records_json(const struct records *r)
{
	return buf_slice_of(&r->json);
}

/* Without the dot that may end it; n 0 if it is none. */
static struct slice
clean_name(struct slice s)
{
	if (!dns_name_ok(s))
		s.n = 0;
	else if (s.p[s.n - 1] == '.')
		s.n--;
	return s;
}

/* protocol.md 5.10: what clients understand. */
static bool
resolver_ok(struct slice s)
{
	struct ipport ipp;
	struct ip ip;

	if (slice_prefix(s, "https://"))
		return s.n > strlen("https://");
	if (slice_prefix(s, "http://"))
		return s.n > strlen("http://");
	return ip_parse(&ip, s) || ipport_parse(&ipp, s);
}

static void
put_resolvers(struct json *j, const struct msg_list *list)
{
	struct msg_list it = *list;
	struct r_resolver r;

	json_arr(j);
	while (msg_list_next(&it, MR_RESOLVER, &r)) {
		if (!resolver_ok(r.v))
			continue;
		json_obj(j);
		json_key(j, "Addr");
		json_str(j, r.v);
		json_end(j);
	}
	json_end(j);
}

/* An empty list: the client answers itself. */
static void
put_routes(struct json *j, const struct tn_conf *c, struct slice domain)
{
	struct msg_list it = c->split;
	struct r_split s;

	json_key(j, "Routes");
	json_obj(j);
	while (msg_list_next(&it, MR_SPLIT, &s)) {
		s.suffix = clean_name(s.suffix);
		if (s.suffix.n == 0 || (c->magic_dns &&
		    slice_eq(s.suffix, domain)))
			continue;
		json_keys(j, s.suffix);
		put_resolvers(j, &s.resolvers);
	}
	if (c->magic_dns && domain.n != 0) {
		json_keys(j, domain);
		json_arr(j);
		json_end(j);
	}
	json_end(j);
}

static void
put_domains(struct json *j, const struct tn_conf *c, struct slice domain)
{
	struct msg_list it = c->search;
	struct r_text t;

	json_key(j, "Domains");
	json_arr(j);
	if (domain.n != 0)
		json_str(j, domain);
	while (msg_list_next(&it, MR_TEXT, &t)) {
		t.v = clean_name(t.v);
		if (t.v.n != 0 && !slice_eq(t.v, domain))
			json_str(j, t.v);
	}
	json_end(j);
}

void
dns_json(struct buf *b, const struct tn_conf *c, struct slice domain,
    const struct records *records)
{
	struct json j;

	if (!dns_name_ok(domain))
		domain.n = 0;
	json_init(&j, b);
	json_obj(&j);
	if (c->resolvers.count != 0) {
		/* Resolvers overrides what the host has. */
		json_key(&j, c->override_local ? "Resolvers" :
		    "FallbackResolvers");
		put_resolvers(&j, &c->resolvers);
	}
	put_routes(&j, c, domain);
	put_domains(&j, c, domain);
	json_key(&j, "Proxied");
	json_bool(&j, c->magic_dns);
	if (records != NULL && records->n != 0) {
		json_key(&j, "ExtraRecords");
		json_arr(&j);
		buf_slice(b, records_json(records));
		json_comma(&j, true);
		json_end(&j);
	}
	json_end(&j);
}

static void
check_resolvers(const struct msg_list *list, const char *of)
{
	struct msg_list it = *list;
	struct r_resolver r;

	while (msg_list_next(&it, MR_RESOLVER, &r))
		if (!resolver_ok(r.v))
			log_warnx("%s resolver=%s: left out, no address or "
			    "https URL", of, log_vis(r.v));
}

void
dns_check(const struct tn_conf *c)
{
	struct msg_list it;
	struct r_split s;
	struct r_text t;

	if (c->base_domain.n != 0 && !dns_name_ok(c->base_domain))
		log_warnx("base_domain=%s: not a DNS name",
		    log_vis(c->base_domain));
	check_resolvers(&c->resolvers, "dns");
	it = c->search;
	while (msg_list_next(&it, MR_TEXT, &t))
		if (!dns_name_ok(t.v))
			log_warnx("search domain=%s: left out, not a DNS name",
			    log_vis(t.v));
	it = c->split;
	while (msg_list_next(&it, MR_SPLIT, &s)) {
		if (!dns_name_ok(s.suffix))
			log_warnx("split suffix=%s: left out, not a DNS name",
			    log_vis(s.suffix));
		check_resolvers(&s.resolvers, "split dns");
	}
}
