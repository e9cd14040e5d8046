#include <stdio.h>
#include <string.h>

#include "common/compat/compat.h"
#include "common/json_read.h"
#include "worker/fetch/acme_int.h"
#include "worker/fetch/text.h"

#define URN	"urn:ietf:params:acme:error:"
#define BEGIN	"-----BEGIN CERTIFICATE-----"
#define END	"-----END CERTIFICATE-----"

/* Parses an object; NULL if it is none. */
static struct jdoc *
parse(struct slice s)
{
	struct jdoc *d;

	d = json_read(s.p, s.n, OBJ_MAX, NULL, NULL);
	if (d != NULL && !jval_is_obj(jdoc_root(d))) {
		jdoc_free(d, false);
		d = NULL;
	}
	return d;
}

static bool
get_str(char *dst, size_t n, const struct jval *v, const char *name)
{
	struct slice s;

	return jval_str(jval_get(v, name), &s) && slice_copy(dst, n, s);
}

static bool
put_url(char dst[URL], const struct jval *v)
{
	struct slice s;

	return jval_str(v, &s) && text_url_ok(s) && slice_copy(dst, URL, s);
}

static bool
get_status(enum obj_status *st, const struct jval *v)
{
	static const struct {
		const char	*name;
		enum obj_status	 st;
	} all[] = {
		{ "pending", OBJ_PENDING }, { "ready", OBJ_READY },
		{ "processing", OBJ_PROCESSING }, { "valid", OBJ_VALID },
		{ "invalid", OBJ_INVALID }, { "deactivated", OBJ_OVER },
		{ "expired", OBJ_OVER }, { "revoked", OBJ_OVER }
	};
	struct slice s;
	size_t i;

	if (!jval_str(jval_get(v, "status"), &s))
		return false;
	for (i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (slice_eqs(s, all[i].name)) {
			*st = all[i].st;
			return true;
		}
	return false;
}

/* "type: detail (of NAME: detail)" as far as it goes. */
static void
read_problem(struct problem *p, const struct jval *v)
{
	const struct jval *sub = jval_at(jval_get(v, "subproblems"), 0);
	char detail[ACME_TEXT] = "", name[254] = "", more[ACME_TEXT] = "";
	char text[4 * ACME_TEXT];
	struct slice s;

	if (jval_str(jval_get(v, "type"), &s)) {
		if (slice_prefix(s, URN)) {
			s.p += strlen(URN);
			s.n -= strlen(URN);
		}
		text_clean(p->type, sizeof(p->type), s);
	}
	if (jval_str(jval_get(v, "detail"), &s))
		text_clean(detail, sizeof(detail), s);
	if (jval_str(jval_get(sub, "detail"), &s))
		text_clean(more, sizeof(more), s);
	(void)get_str(name, sizeof(name), jval_get(sub, "identifier"),
	    "value");
	(void)snprintf(text, sizeof(text), "%s%s%s%s%s%s%s%s", p->type,
	    p->type[0] != '\0' && detail[0] != '\0' ? ": " : "", detail,
	    more[0] != '\0' ? " (" : "", more[0] != '\0' ? name : "",
	    more[0] != '\0' && name[0] != '\0' ? ": " : "", more,
	    more[0] != '\0' ? ")" : "");
	text_clean(p->text, sizeof(p->text), slice_str(text));
}

void
obj_problem(struct problem *p, struct slice octets)
{
	struct jdoc *d = parse(octets);

	memset(p, 0, sizeof(*p));
	if (d != NULL)
		read_problem(p, jdoc_root(d));
	jdoc_free(d, false);
}

static void
put_why(char dst[ACME_TEXT], const struct jval *error)
{
	struct problem p;

	memset(&p, 0, sizeof(p));
	if (error != NULL)
		read_problem(&p, error);
	(void)strlcpy(dst, p.text, ACME_TEXT);
}

const char *
obj_directory(struct directory *dir, struct slice octets)
{
	struct jdoc *d = parse(octets);
	const struct jval *v;
	const char *why = NULL;

	memset(dir, 0, sizeof(*dir));
	if (d == NULL)
		return "not a JSON object";
	v = jdoc_root(d);
	if (!put_url(dir->new_nonce, jval_get(v, "newNonce")))
		why = "no good URL newNonce";
	else if (!put_url(dir->new_account, jval_get(v, "newAccount")))
		why = "no good URL newAccount";
	else if (!put_url(dir->new_order, jval_get(v, "newOrder")))
		why = "no good URL newOrder";
	else if (jval_get(v, "revokeCert") != NULL &&
	    !put_url(dir->revoke, jval_get(v, "revokeCert")))
		why = "no good URL revokeCert";
	(void)jval_bool(jval_get(jval_get(v, "meta"),
	    "externalAccountRequired"), &dir->external);
	jdoc_free(d, false);
	return why;
}

const char *
obj_account(enum obj_status *st, struct slice octets)
{
	struct jdoc *d = parse(octets);
	bool good;

	if (d == NULL)
		return "not a JSON object";
	good = get_status(st, jdoc_root(d));
	jdoc_free(d, false);
	return good ? NULL : "no good status";
}

static const char *
read_order(struct order *o, const struct jval *v)
{
	const struct jval *auth = jval_get(v, "authorizations");
	size_t i;

	if (!get_status(&o->status, v))
		return "no good status";
	put_why(o->why, jval_get(v, "error"));
	if (!put_url(o->finalize, jval_get(v, "finalize")))
		return "no good URL finalize";
	if (jval_get(v, "certificate") != NULL &&
	    !put_url(o->certificate, jval_get(v, "certificate")))
		return "no good URL certificate";
	o->nauth = jval_count(auth);
	if (!jval_is_arr(auth) || o->nauth == 0 || o->nauth > ACME_NAMES)
		return "no good list of authorizations";
	for (i = 0; i < o->nauth; i++)
		if (!put_url(o->auth[i], jval_at(auth, i)))
			return "no good URL of an authorization";
	return NULL;
}

const char *
obj_order(struct order *o, struct slice octets)
{
	struct jdoc *d = parse(octets);
	const char *why;

	memset(o, 0, sizeof(*o));
	if (d == NULL)
		return "not a JSON object";
	why = read_order(o, jdoc_root(d));
	jdoc_free(d, false);
	return why;
}

static const char *
read_challenge(struct authz *a, const struct jval *v)
{
	enum obj_status st;

	if (!put_url(a->url, jval_get(v, "url")))
		return "no good URL of a challenge";
	if (!get_str(a->token, sizeof(a->token), v, "token") ||
	    !text_b64url_ok(slice_str(a->token)))
		return "no good token of a challenge";
	if (!get_status(&st, v))
		return "no good status of a challenge";
	a->found = true;
	put_why(a->why, jval_get(v, "error"));
	return NULL;
}

static const char *
read_authz(struct authz *a, const struct jval *v, const char *kind)
{
	const struct jval *all = jval_get(v, "challenges"), *c;
	struct slice s;
	size_t i;

	if (!get_status(&a->status, v))
		return "no good status";
	if (!get_str(a->name, sizeof(a->name), jval_get(v, "identifier"),
	    "value") || !text_name_ok(slice_str(a->name)))
		return "no good identifier";
	(void)jval_bool(jval_get(v, "wildcard"), &a->wildcard);
	if (!jval_is_arr(all))
		return "no list of challenges";
	for (i = 0; i < jval_count(all); i++) {
		c = jval_at(all, i);
		if (jval_str(jval_get(c, "type"), &s) && slice_eqs(s, kind))
			return read_challenge(a, c);
	}
	return NULL;
}

const char *
obj_authz(struct authz *a, struct slice octets, const char *kind)
{
	struct jdoc *d = parse(octets);
	const char *why;

	memset(a, 0, sizeof(*a));
	if (d == NULL)
		return "not a JSON object";
	why = read_authz(a, jdoc_root(d), kind);
	jdoc_free(d, false);
	return why;
}

/* The next line; false at the end. */
static bool
line_of(struct slice *s, struct slice *line)
{
	const char *nl;

	if (s->n == 0)
		return false;
	nl = memchr(s->p, '\n', s->n);
	line->p = s->p;
	line->n = nl == NULL ? s->n : (size_t)(nl - s->p);
	s->p += line->n + (nl != NULL);
	s->n -= line->n + (nl != NULL);
	while (line->n > 0 && (line->p[line->n - 1] == '\r' ||
	    line->p[line->n - 1] == ' '))
		line->n--;
	return true;
}

static bool
is_base64(struct slice s)
{
	size_t i;

	for (i = 0; i < s.n; i++)
		if (strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvw"
		    "xyz0123456789+/=", s.p[i]) == NULL || s.p[i] == '\0')
			return false;
	return s.n > 0;
}

const char *
obj_chain(struct slice s)
{
	size_t certs = 0, lines = 0;
	bool within = false;
	struct slice line;

	while (line_of(&s, &line)) {
		if (!within && slice_eqs(line, BEGIN)) {
			within = true;
			lines = 0;
		} else if (within && slice_eqs(line, END) && lines > 0) {
			within = false;
			certs++;
		} else if (within && is_base64(line))
			lines++;
		else if (within || line.n > 0)
			return "something else than certificates";
	}
	if (within)
		return "a certificate that is cut off";
	return certs > 0 ? NULL : "no certificate";
}
