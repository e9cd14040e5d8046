/* Requests outside Noise, and the table of those inside. */

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/enc.h"
#include "common/log.h"
#include "common/version.h"
#include "worker/control/derp_int.h"

#define TEXT_MAX	256

void
reply_text(struct req *r, unsigned int status, const char *fmt, ...)
{
	struct req_head h = { status, "text/plain; charset=utf-8", -1, NULL,
	    NULL, NULL, NULL };
	char text[TEXT_MAX];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text) - 1, fmt, ap);
	va_end(ap);
	if (n < 0)
		n = 0;
	if ((size_t)n > sizeof(text) - 2)
		n = sizeof(text) - 2;
	text[n++] = '\n';
	req_set_tag(r, NULL);
	req_reply(r, &h, text, (size_t)n);
}

/* It is there, but not for this method (RFC 9110 15.5.6). */
static void
reply_method(struct req *r, const char *allow)
{
	struct req_head h = { 405, "text/plain; charset=utf-8", -1, "allow",
	    allow, NULL, NULL };
	char text[TEXT_MAX];

	(void)snprintf(text, sizeof(text), "use %s\n", allow);
	req_reply(r, &h, text, strlen(text));
}

void
reply_json(struct req *r, unsigned int status, struct buf *b)
{
	struct req_head h = { status, "application/json", -1, NULL, NULL, NULL,
	    NULL };

	req_set_tag(r, NULL);
	req_reply(r, &h, b->p, b->n);
	buf_free(b);
}

/*
 * protocol.md 1.1: asked at every login, so cheap and never refused.  A zero
 * legacy key, because an empty string would break the client's parser.
 */
static void
get_key(struct control *c, struct req *r)
{
	static const uint8_t zero[KEY_LEN];
	struct buf b = { 0 };
	char text[KEY_TEXT];
	const uint8_t *key;

	if (!slice_prefix(req_query(r), "v=")) {
		reply_text(r, 400, "the query must begin with v=, the client's "
		    "capability version");
		return;
	}
	if ((key = net_server_key(c->net)) == NULL) {
		reply_text(r, 503, "no key yet");
		return;
	}
	key_print(text, KEY_MACHINE, zero);
	buf_printf(&b, "{\"legacyPublicKey\":\"%s\",", text);
	key_print(text, KEY_MACHINE, key);
	buf_printf(&b, "\"publicKey\":\"%s\"}", text);
	reply_json(r, 200, &b);
}

static void
get_health(struct control *c, struct req *r)
{
	struct req_head h = { 200, "application/health+json", -1, NULL, NULL,
	    NULL, NULL };
	const char *text = "{\"status\":\"pass\"}";

	if (c->db == NULL || net_server_key(c->net) == NULL) {
		h.status = 503;
		text = "{\"status\":\"fail\"}";
	}
	req_reply(r, &h, text, strlen(text));
}

static void
get_version(struct control *c, struct req *r)
{
	struct buf b = { 0 };

	(void)c;
	buf_printf(&b, "{\"version\":\"%s\",\"minimum_capability\":%d}",
	    HEADSCALED_VERSION, CAPVER_MIN);
	reply_json(r, 200, &b);
}

/* HTTP/1.1's never come here (worker/net/ts2021.c). */
static void
no_ts2021(struct control *c, struct req *r)
{
	(void)c;
	reply_text(r, 426, "ts2021 requires a connection upgrade, in "
	    "HTTP/1.1");
}

static bool
get_or_head(const struct req *r)
{
	return slice_eqs(req_method(r), "GET") ||
	    slice_eqs(req_method(r), "HEAD");
}

static bool
get_only(const struct req *r)
{
	return slice_eqs(req_method(r), "GET");
}

static bool
post_only(const struct req *r)
{
	return slice_eqs(req_method(r), "POST");
}

static const struct plain {
	const char	*path;		/* with a / at its end: and below */
	void		(*answer)(struct control *, struct req *);
	bool		(*takes)(const struct req *);	/* NULL: any method */
	const char	*allow;
} plain[] = {
	{ "/key", get_key, get_or_head, "GET, HEAD" },
	{ "/health", get_health, get_or_head, "GET, HEAD" },
	{ "/version", get_version, get_or_head, "GET, HEAD" },
	{ "/ts2021", no_ts2021, NULL, NULL },
	{ "/derp", get_derp, get_only, "GET" },
	{ "/derp/probe", get_probe, get_or_head, "GET, HEAD" },
	{ "/derp/latency-check", get_probe, get_or_head, "GET, HEAD" },
	{ "/generate_204", get_generate_204, NULL, NULL },
	{ "/bootstrap-dns", get_bootstrap_dns, get_or_head, "GET, HEAD" },
	{ "/verify", post_verify, post_only, "POST" },
	{ "/.well-known/acme-challenge/", get_challenge, get_or_head,
	    "GET, HEAD" }
};

static bool
is_path(struct slice path, const char *want)
{
	return want[strlen(want) - 1] == '/' ? slice_prefix(path, want) :
	    slice_eqs(path, want);
}

void
on_plain(struct req *r, void *arg)
{
	struct control *c = arg;
	size_t i;

	for (i = 0; i < sizeof(plain) / sizeof(plain[0]); i++) {
		if (!is_path(req_path(r), plain[i].path))
			continue;
		if (plain[i].takes != NULL && !plain[i].takes(r))
			reply_method(r, plain[i].allow);
		else
			plain[i].answer(c, r);
		return;
	}
	reply_text(r, 404, "no such page");
}

void
on_noise(struct req *r, void *arg)
{
	struct control *c = arg;
	struct slice path = req_path(r);
	bool post = slice_eqs(req_method(r), "POST");
	bool reg = slice_eqs(path, "/machine/register");
	struct buf b = { 0 };

	if ((reg || slice_eqs(path, "/machine/map")) && !post)
		reply_method(r, "POST");
	else if (reg)
		register_request(c, r);
	else if (slice_eqs(path, "/machine/map"))
		map_request(c, r);
	else if (slice_eqs(path, "/machine/update-health") && post) {
		/* clients up to 2025 tell of their health here */
		struct req_head h = { 204, NULL, -1, NULL, NULL, NULL, NULL };

		req_reply(r, &h, NULL, 0);
	} else if (slice_prefix(path, "/machine/")) {
		buf_str(&b, "{\"error\":\"not built yet\"}");
		reply_json(r, 501, &b);
	} else
		reply_text(r, 404, "no such page");
}
