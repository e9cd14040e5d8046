/* What dbd asks over OUT and what it is answered. */

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/compat/compat.h"
#include "regress/lib/fetchkit.h"
#include "regress/lib/pair.h"
#include "worker/fetch/out.h"

/* dbd at one end, out at the other. */
struct world {
	struct fk	*fk;
	struct pair	*pair;
	struct link	*dbd;
	struct fetch_out	*out;
	struct buf	 body;
	unsigned int	 rows;
	unsigned int	 replies;
	unsigned int	 signs;
	unsigned int	 ups, downs;
	bool		 quiet;		/* dbd does not answer */
	bool		 refuse;	/* challenges */
	struct msg	 last;
	char		 text[512];
};

static void
take_text(struct world *w, struct slice s)
{
	assert_true(slice_copy(w->text, sizeof(w->text), s));
}

static void
sign(struct world *w, const struct msg *m)
{
	const struct m_out_acme_sign *s = &m->u.out_acme_sign;
	char body[3000];
	struct msg r;

	w->signs++;
	if (w->quiet)
		return;
	(void)snprintf(body, sizeof(body), "%u %.*s %.*s %.*s", s->form,
	    SLICE_FMT(s->url), SLICE_FMT(s->nonce),
	    SLICE_FMT(s->account.n == 0 ? slice_str("-") : s->account));
	msg_init(&r, M_OUT_ACME_SIGNED);
	r.id = m->id;
	r.u.out_acme_signed.body = slice_str(body);
	link_reply(w->dbd, &r);
}

static void
challenge(struct world *w, const struct msg *m)
{
	struct msg r;

	if (m->u.out_acme_challenge.up)
		w->fk->ups = ++w->ups;
	else
		w->fk->downs = ++w->downs;
	msg_init(&r, w->refuse ? M_OUT_ACME_NO : M_OUT_ACME_READY);
	r.id = m->id;
	if (w->refuse)
		r.u.out_acme_no.text = slice_str("no worker");
	link_reply(w->dbd, &r);
}

static void
dbd_msg(struct link *l, const struct msg *m, void *tag, void *arg)
{
	struct world *w = arg;

	(void)l;
	(void)tag;
	switch (m->type) {
	case M_OUT_ACME_SIGN:
		sign(w, m);
		return;
	case M_OUT_ACME_CHALLENGE:
		challenge(w, m);
		return;
	case M_OUT_BODY:
		w->rows++;
		assert_true(m->u.out_body.octets.n > 0);
		buf_slice(&w->body, m->u.out_body.octets);
		return;
	case M_OUT_FAILED:
		take_text(w, m->u.out_failed.text);
		break;
	case M_OUT_PROBED:
		take_text(w, m->u.out_probed.text);
		break;
	case M_OUT_ACME_OK:
		take_text(w, m->u.out_acme_ok.chain);
		break;
	case M_OUT_ACME_FAILED:
		take_text(w, m->u.out_acme_failed.text);
		break;
	default:
		break;
	}
	w->replies++;
	w->last = *m;
}

static void
out_on_msg(struct link *l, const struct msg *m, void *tag, void *arg)
{
	struct world *w = arg;

	(void)l;
	fetch_out_msg(w->out, m, tag);
}

static void
on_down(struct link *l, enum link_why why, void *arg)
{
	struct world *w = arg;

	assert_int_equal(why, LINK_EOF);
	if (l != w->dbd)
		fetch_out_link(w->out, NULL);
	link_free(l);
}

static void
connect_link(struct world *w)
{
	struct link_conf a, b;

	pair_confs(&a, &b, LINK_OUT, ROLE_DBD, ROLE_OUT, w);
	a.on_msg = dbd_msg;
	b.on_msg = out_on_msg;
	a.on_down = b.on_down = on_down;
	pair_free(w->pair);
	w->pair = pair_new(fakeenv_env(w->fk->fe), &a, &b);
	w->dbd = pair_link(w->pair, PAIR_A);
	link_set_state(w->dbd, MSG_RUN);
	link_set_state(pair_link(w->pair, PAIR_B), MSG_RUN);
	fetch_out_link(w->out, pair_link(w->pair, PAIR_B));
}

static int
setup(void **state)
{
	static const char *const names[] = { "a.example", NULL };
	struct world *w;

	w = xcalloc(1, sizeof(*w));
	w->fk = fk_new("http-01", names);
	w->out = fetch_out_new(fakeenv_env(w->fk->fe), fk_ops(), w->fk);
	connect_link(w);
	*state = w;
	return 0;
}

static int
teardown(void **state)
{
	struct world *w = *state;

	fetch_out_free(w->out);
	pair_free(w->pair);
	assert_int_equal(env_timers(fakeenv_env(w->fk->fe)), 0);
	w->fk->ups = w->fk->downs = 0;
	fk_free(w->fk);
	buf_free(&w->body);
	free(w);
	return 0;
}

static void
ask_get(struct world *w, const char *url, uint32_t max)
{
	struct msg m;

	msg_init(&m, M_OUT_GET);
	m.u.out_get.url = slice_str(url);
	m.u.out_get.max = max;
	(void)link_request(w->dbd, &m, NULL, 0);
	(void)pair_run(w->pair);
}

static void
answer(struct world *w, unsigned int status, const char *body)
{
	static struct fk_answer a;

	memset(&a, 0, sizeof(a));
	a.status = status;
	(void)strlcpy(a.why, "no route to host", sizeof(a.why));
	a.n = strlcpy(a.body, body, sizeof(a.body));
	fk_answer(w->fk, &a);
	(void)pair_run(w->pair);
}

static void
document(void **state)
{
	struct world *w = *state;

	ask_get(w, "https://a.example/map", 1000);
	assert_int_equal(fetch_out_busy(w->out), 1);
	assert_string_equal(w->fk->waiting[0]->url, "https://a.example/map");
	assert_int_equal(w->fk->waiting[0]->max, 1000);
	assert_int_equal(w->fk->waiting[0]->method, ASK_GET);
	assert_false(w->fk->waiting[0]->insecure);
	answer(w, 200, "{\"Regions\":{}}");
	assert_int_equal(w->last.type, M_OUT_GOT);
	assert_int_equal(w->last.u.out_got.size, 14);
	assert_int_equal(w->rows, 1);
	assert_memory_equal(w->body.p, "{\"Regions\":{}}", 14);
	assert_int_equal(fetch_out_busy(w->out), 0);
}

/* Longer than one message. */
static void
document_in_parts(void **state)
{
	struct world *w = *state;
	struct fk_ask *q;
	struct answer a;
	char *big;

	ask_get(w, "https://a.example/map", UINT32_MAX);
	assert_true(w->fk->waiting[0]->max <= 4 * 1024 * 1024);
	big = xmalloc(150000);
	memset(big, 'x', 150000);
	big[0] = big[149999] = '"';
	memset(&a, 0, sizeof(a));
	a.status = 200;
	a.why = a.type = a.nonce = a.location = a.retry_after = "";
	a.body = slice_mem(big, 150000);
	q = w->fk->waiting[0];
	w->fk->nwaiting = 0;
	q->done(q->tag, &a);
	free(q);
	(void)pair_run(w->pair);
	assert_int_equal(w->last.u.out_got.size, 150000);
	assert_int_equal(w->rows, 3);
	assert_int_equal(w->body.n, 150000);
	assert_memory_equal(w->body.p, big, 150000);
	free(big);
}

static void
failed_is(struct world *w, unsigned int status, const char *text)
{
	assert_int_equal(w->last.type, M_OUT_FAILED);
	assert_int_equal(w->last.u.out_failed.status, status);
	assert_string_equal(w->text, text);
	assert_int_equal(w->rows, 0);
}

static void
no_document(void **state)
{
	static const char *const bad[] = {
		"http://a.example/", "file:///etc/passwd", "https://a\nb", "x"
	};
	struct world *w = *state;
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		ask_get(w, bad[i], 10);
		failed_is(w, 0, "not an https URL");
	}
	assert_int_equal(w->fk->asked, 0);
	ask_get(w, "https://a.example/", 100);
	answer(w, 0, "");
	failed_is(w, 0, "no route to host");
	ask_get(w, "https://a.example/", 100);
	answer(w, 404, "{}");
	failed_is(w, 404, "HTTP 404");
	ask_get(w, "https://a.example/", 100);
	answer(w, 301, "{}");
	failed_is(w, 301, "HTTP 301: redirects are not followed");
	ask_get(w, "https://a.example/", 100);
	answer(w, 204, "");
	failed_is(w, 204, "HTTP 204");
	ask_get(w, "https://a.example/", 100);
	answer(w, 200, "<html>");
	failed_is(w, 200, "not JSON: octet 0: a value "
	    "was expected");
	ask_get(w, "https://a.example/", 100);
	answer(w, 200, "");
	failed_is(w, 200, "not JSON: octet 0: unfinished");
	ask_get(w, "https://a.example/", 3);
	answer(w, 200, "[1,2]");
	failed_is(w, 0, "the answer is longer than it may be");
	assert_int_equal(w->replies, 11);
}

static void
ask_probe(struct world *w, const char *host, uint16_t port, const char *ip4,
    const char *ip6, bool insecure)
{
	struct msg m;

	msg_init(&m, M_OUT_PROBE);
	m.u.out_probe.host = slice_str(host);
	m.u.out_probe.port = port;
	m.u.out_probe.ip4 = slice_str(ip4);
	m.u.out_probe.ip6 = slice_str(ip6);
	m.u.out_probe.insecure = insecure;
	(void)link_request(w->dbd, &m, NULL, 0);
	(void)pair_run(w->pair);
}

static void
probes(void **state)
{
	struct world *w = *state;
	const struct fk_ask *q;

	ask_probe(w, "derp.example", 8443, "192.0.2.1", "none", true);
	q = w->fk->waiting[0];
	assert_string_equal(q->url,
	    "https://derp.example:8443/derp/latency-check");
	assert_string_equal(q->ip4, "192.0.2.1");
	assert_string_equal(q->ip6, "none");
	assert_true(q->insecure);
	assert_int_equal(q->max, 8192);
	answer(w, 200, "");
	assert_true(w->last.u.out_probed.ok);
	assert_int_equal(w->last.u.out_probed.us, 1234);
	ask_probe(w, "2001:db8::1", 443, "", "", false);
	assert_string_equal(w->fk->waiting[0]->url,
	    "https://[2001:db8::1]:443/derp/latency-check");
	assert_false(w->fk->waiting[0]->insecure);
	answer(w, 204, "");
	assert_true(w->last.u.out_probed.ok);
	ask_probe(w, "derp.example", 443, "", "", false);
	answer(w, 404, "");
	assert_false(w->last.u.out_probed.ok);
	assert_string_equal(w->text, "HTTP 404");
	ask_probe(w, "derp.example", 443, "", "", false);
	answer(w, 0, "");
	assert_false(w->last.u.out_probed.ok);
	assert_string_equal(w->text, "no route to host");
	ask_probe(w, "derp.example/../x?", 443, "", "", false);
	assert_string_equal(w->text, "no such host and port can be");
	ask_probe(w, "u@derp.example", 443, "", "", false);
	assert_string_equal(w->text, "no such host and port can be");
	ask_probe(w, "derp.example", 0, "", "", false);
	assert_string_equal(w->text, "no such host and port can be");
	assert_int_equal(w->fk->asked, 4);
	assert_int_equal(w->replies, 7);
}

static void
many_at_once(void **state)
{
	struct world *w = *state;
	int i;

	for (i = 0; i < 64; i++)
		ask_probe(w, "derp.example", 443, "", "", false);
	for (i = 0; i < 16; i++)
		ask_get(w, "https://a.example/", 100);
	assert_int_equal(fetch_out_busy(w->out), 80);
	for (i = 0; i < 64; i++)
		answer(w, 200, "");
	for (i = 0; i < 16; i++)
		answer(w, 200, "{}");
	assert_int_equal(w->replies, 80);
	assert_int_equal(fetch_out_busy(w->out), 0);
}

static void
ask_acme(struct world *w)
{
	struct r_text name = { slice_str("a.example") };
	struct buf names = { 0 };
	struct msg m;

	msg_init(&m, M_OUT_ACME_RUN);
	m.u.out_acme_run.directory = slice_str(FK_DIRECTORY);
	m.u.out_acme_run.challenge = 1;
	msg_list_add(&m.u.out_acme_run.names, &names, MR_TEXT, &name);
	msg_list_close(&m.u.out_acme_run.names, &names);
	(void)link_request(w->dbd, &m, NULL, 0);
	(void)pair_run(w->pair);
	buf_free(&names);
}

/* One thing happens, if any. */
static bool
step(struct world *w)
{
	uint64_t due, now = env_now(fakeenv_env(w->fk->fe));

	if (pair_run(w->pair) > 0)
		return true;
	if (w->fk->nwaiting > 0)
		fk_serve(w->fk);
	else if ((due = env_next(fakeenv_env(w->fk->fe))) != ENV_NEVER)
		fakeenv_advance(w->fk->fe, due > now ? due - now : 0);
	else
		return false;
	return true;
}

static void
certificate(void **state)
{
	struct world *w = *state;
	int i;

	for (i = 0; i < 2; i++) {
		ask_acme(w);
		while (step(w))
			;
		assert_int_equal(w->last.type, M_OUT_ACME_OK);
		assert_string_equal(w->text, FK_CHAIN);
		assert_int_equal(w->ups, i + 1);
		assert_int_equal(w->downs, i + 1);
		w->fk->finalized = w->fk->valid[0] = false;
		w->fk->triggered[0] = false;
	}
	assert_int_equal(w->replies, 2);
	assert_int_equal(w->signs, 16);
}

static void
no_challenge(void **state)
{
	struct world *w = *state;

	w->refuse = true;
	ask_acme(w);
	while (step(w))
		;
	assert_int_equal(w->last.type, M_OUT_ACME_FAILED);
	assert_string_equal(w->text, "challenge: no worker");
	assert_int_equal(w->ups, 1);
	assert_int_equal(w->downs, 1);
	/* and another one works */
	w->refuse = false;
	ask_acme(w);
	while (step(w))
		;
	assert_int_equal(w->last.type, M_OUT_ACME_OK);
}

/* dbd answers the request for a signature after the run is over. */
static void
late_signature(void **state)
{
	struct world *w = *state;
	struct msg r;
	int i;

	w->quiet = true;
	ask_acme(w);
	for (i = 0; w->signs == 0 && i < 100; i++)
		(void)step(w);
	assert_int_equal(w->signs, 1);
	fakeenv_advance(w->fk->fe, 1801 * US_PER_S);
	(void)pair_run(w->pair);
	assert_int_equal(w->last.type, M_OUT_ACME_FAILED);
	assert_string_equal(w->text, "not done after 30 minutes");
	msg_init(&r, M_OUT_ACME_SIGNED);
	r.id = 1;
	r.u.out_acme_signed.body = slice_str("late");
	link_reply(w->dbd, &r);
	(void)pair_run(w->pair);
	assert_int_equal(w->fk->nwaiting, 0);
	w->quiet = false;
	ask_acme(w);
	while (step(w))
		;
	assert_int_equal(w->last.type, M_OUT_ACME_OK);
}

/* dbd dies at any moment; its next life begins anew. */
static void
dies_at(struct world *w, int at)
{
	int i;

	ask_acme(w);
	for (i = 0; i < at; i++)
		(void)step(w);
	ask_get(w, "https://a.example/", 100);
	ask_probe(w, "derp.example", 443, "", "", false);
	assert_true(fetch_out_busy(w->out) >= 2);
	pair_kill(w->pair, PAIR_A);
	w->dbd = NULL;
	(void)pair_run(w->pair);
	fakeenv_advance(w->fk->fe, 0);
	assert_int_equal(fetch_out_busy(w->out), 0);
	assert_int_equal(w->fk->nwaiting, 0);
	assert_int_equal(env_timers(fakeenv_env(w->fk->fe)), 0);
	connect_link(w);
	w->fk->finalized = w->fk->valid[0] = w->fk->triggered[0] = false;
	w->ups = w->downs = w->fk->ups = w->fk->downs = 0;
}

static void
dbd_dies(void **state)
{
	struct world *w = *state;
	unsigned int before = 0;
	int at;

	for (at = 0; w->replies == before; at++)
		dies_at(w, at);
	assert_true(at > 20);
	assert_int_equal(w->last.type, M_OUT_ACME_OK);
}

int
main(void)
{
#define T(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(document),
		T(document_in_parts),
		T(no_document),
		T(probes),
		T(many_at_once),
		T(certificate),
		T(no_challenge),
		T(late_signature),
		T(dbd_dies)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
