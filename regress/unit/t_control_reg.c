/* /machine/register: what dbd is asked, and how its answer is told. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/enc.h"
#include "common/ids.h"
#include "common/json_read.h"
#include "regress/lib/ctlworld.h"
#include "regress/lib/gojson.h"

#define KEY	"5f0e7c6b8a9d1234567890abcdef0011" \
		"2233445566778899aabbccddeeff0011"

static const char *
body(unsigned int version, const char *more)
{
	static char text[4][2048];
	static unsigned int turn;
	char *dst = text[turn++ % 4];

	snprintf(dst, sizeof(text[0]), "{\"Version\":%u,\"NodeKey\":"
	    "\"nodekey:" KEY "\",\"Hostinfo\":{\"OS\":\"linux\","
	    "\"Hostname\":\"h\"}%s}", version, more);
	return dst;
}

static struct cw_ask *
ask(struct wire *x, const char *more)
{
	return cw_ask(x, "POST", "/machine/register", body(148, more));
}

static void
reg_no(struct ctlworld *w, const struct msg *reg, const char *text)
{
	struct msg m;

	msg_init(&m, M_DB_REG_NO);
	m.u.db_reg_no.text = slice_str(text);
	cw_say(w, &m, reg);
}

static void
reg_ok(struct ctlworld *w, const struct msg *reg, const char *display,
    const char *picture, bool expired)
{
	struct msg m;

	msg_init(&m, M_DB_REG_OK);
	m.u.db_reg_ok.tailnet = 1;
	m.u.db_reg_ok.node = 2;
	m.u.db_reg_ok.user.id = 3;
	m.u.db_reg_ok.user.name = slice_str("alice@example.com");
	m.u.db_reg_ok.user.display = slice_str(display);
	m.u.db_reg_ok.user.picture = slice_str(picture);
	m.u.db_reg_ok.user.created = 1785924000;
	m.u.db_reg_ok.machine_ok = !expired;
	m.u.db_reg_ok.key_expired = expired;
	cw_say(w, &m, reg);
}

static void
t_asked(void **state)
{
	struct ctlworld *w = *state;
	struct wire *x = cw_client(w, 3, 131);
	uint8_t machine[KEY_LEN], pub[KEY_LEN];
	const struct m_db_reg *q;
	struct cw_ask *a;

	a = ask(x, ",\"OldNodeKey\":\"nodekey:" KEY "\",\"NLKey\":\"nlpub:"
	    KEY "\",\"Auth\":{\"AuthKey\":\"hskey-abc\"},\"Expiry\":"
	    "\"1970-01-01T00:02:03Z\",\"Followup\":\"https://x/y\","
	    "\"Ephemeral\":true,\"NodeKeySignature\":null");
	assert_int_equal(cw_count(w, M_DB_REG), 1);
	assert_int_equal(a->status, 0);
	q = &cw_got(w, M_DB_REG, 0)->u.db_reg;
	assert_false(q->again);
	memset(machine, 3, sizeof(machine));
	noise_clamp(machine);
	noise_public(pub, machine);
	assert_memory_equal(q->ticket.key, pub, KEY_LEN);
	assert_int_equal(q->ticket.capver, 131);
	assert_memory_equal(q->node_key, q->old_node_key, KEY_LEN);
	assert_memory_equal(q->node_key, q->nl_key, KEY_LEN);
	assert_false(key_is_zero(q->node_key));
	assert_true(q->has_auth);
	assert_true(slice_eqs(q->auth_key, "hskey-abc"));
	assert_true(q->has_expiry);
	assert_int_equal(q->expiry, 123);
	assert_true(slice_eqs(q->followup, "https://x/y"));
	assert_true(q->ephemeral);
	assert_true(slice_eqs(q->hostinfo.os, "linux"));
	assert_true(slice_eqs(q->hostinfo.hostname, "h"));
}

static const struct jval *
answer(const struct cw_ask *a, struct jdoc **doc)
{
	const char *why;

	assert_true(a->ended && a->error == 0);
	assert_int_equal(a->status, 200);
	assert_non_null(memmem(a->fields.p, a->fields.n,
	    "content-type: application/json\n", 31));
	why = gojson_check("RegisterResponse", buf_slice_of(&a->body));
	assert_string_equal(why == NULL ? "" : why, "");
	*doc = json_read(a->body.p, a->body.n, 1 << 20, NULL, NULL);
	assert_non_null(*doc);
	return jdoc_root(*doc);
}

static void
text_is(const struct jval *o, const char *name, const char *want)
{
	struct slice s;

	assert_true(jval_str(jval_get(o, name), &s));
	assert_true(slice_eqs(s, want));
}

static void
flag_is(const struct jval *o, const char *name, bool want)
{
	bool b;

	assert_true(jval_bool(jval_get(o, name), &b));
	assert_int_equal(b, want);
}

static void
t_accepted(void **state)
{
	struct ctlworld *w = *state;
	struct wire *x = cw_client(w, 3, 148);
	const struct jval *o;
	struct jdoc *doc;
	struct cw_ask *a;
	uint64_t id;

	a = ask(x, "");
	reg_ok(w, cw_got(w, M_DB_REG, 0), "Al \"x\" \xc3\xa4\n",
	    "https://p/1", false);
	o = answer(a, &doc);
	flag_is(o, "MachineAuthorized", true);
	flag_is(o, "NodeKeyExpired", false);
	text_is(o, "AuthURL", "");
	text_is(o, "Error", "");
	assert_true(jval_u64(jval_get(jval_get(o, "User"), "ID"), &id));
	assert_int_equal(id, 3);
	text_is(jval_get(o, "User"), "DisplayName", "Al \"x\" \xc3\xa4\n");
	text_is(jval_get(o, "User"), "ProfilePicURL", "https://p/1");
	text_is(jval_get(o, "User"), "Created", "2026-08-05T10:00:00Z");
	assert_true(jval_u64(jval_get(jval_get(o, "Login"), "ID"), &id));
	assert_int_equal(id, 3);
	text_is(jval_get(o, "Login"), "LoginName", "alice@example.com");
	text_is(jval_get(o, "Login"), "DisplayName",
	    "Al \"x\" \xc3\xa4\n");
	jdoc_free(doc, false);
	/* without a display name the login name stands for it */
	a = ask(x, "");
	reg_ok(w, cw_got(w, M_DB_REG, 1), "", "", true);
	o = answer(a, &doc);
	flag_is(o, "MachineAuthorized", false);
	flag_is(o, "NodeKeyExpired", true);
	text_is(jval_get(o, "User"), "DisplayName", "alice@example.com");
	assert_null(jval_get(jval_get(o, "User"), "ProfilePicURL"));
	jdoc_free(doc, false);
}

/* Tagged nodes have the owner that maps name, whichever way dbd says it. */
static void
t_tagged(void **state)
{
	static const uint64_t said[] = { 0, USER_TAGGED };
	struct ctlworld *w = *state;
	struct wire *x = cw_client(w, 3, 148);
	const struct jval *o;
	struct jdoc *doc;
	struct cw_ask *a;
	struct msg m;
	uint64_t id;
	size_t i;

	for (i = 0; i < sizeof(said) / sizeof(said[0]); i++) {
		a = ask(x, "");
		msg_init(&m, M_DB_REG_OK);
		m.u.db_reg_ok.tailnet = 1;
		m.u.db_reg_ok.node = 2;
		m.u.db_reg_ok.user.id = said[i];
		m.u.db_reg_ok.user.name = slice_str("tagged-devices");
		m.u.db_reg_ok.machine_ok = true;
		cw_say(w, &m, cw_got(w, M_DB_REG, i));
		o = answer(a, &doc);
		assert_true(jval_u64(jval_get(jval_get(o, "User"), "ID"),
		    &id));
		assert_int_equal(id, USER_TAGGED);
		assert_int_equal(id, 9007199254740991);
		text_is(jval_get(o, "User"), "DisplayName", "Tagged Devices");
		assert_true(jval_u64(jval_get(jval_get(o, "Login"), "ID"),
		    &id));
		assert_int_equal(id, USER_TAGGED);
		text_is(jval_get(o, "Login"), "LoginName", "tagged-devices");
		jdoc_free(doc, false);
	}
}

/* HTTP 200 and a text that the user sees (trap 47). */
static void
t_refused(void **state)
{
	static const char *const texts[] = { "auth key expired",
	    "\"quoted\" \\ and \x01 <b>", "%s%n%100000d",
	    "\xe2\x82\xac\xf0\x9f\x98\x80" };
	struct ctlworld *w = *state;
	struct wire *x = cw_client(w, 3, 148);
	const struct jval *o;
	struct jdoc *doc;
	struct cw_ask *a;
	size_t i;

	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		a = ask(x, "");
		reg_no(w, cw_got(w, M_DB_REG, i), texts[i]);
		o = answer(a, &doc);
		flag_is(o, "MachineAuthorized", false);
		text_is(o, "Error", texts[i]);
		jdoc_free(doc, false);
	}
}

static void
t_too_old(void **state)
{
	struct ctlworld *w = *state;
	struct wire *x = cw_client(w, 3, 112);
	const struct jval *o;
	struct jdoc *doc;
	struct slice s;
	struct cw_ask *a;

	a = cw_ask(x, "POST", "/machine/register", body(112, ""));
	o = answer(a, &doc);
	assert_true(jval_str(jval_get(o, "Error"), &s));
	assert_non_null(memmem(s.p, s.n, "1.80", 4));
	flag_is(o, "MachineAuthorized", false);
	jdoc_free(doc, false);
	assert_int_equal(cw_count(w, M_DB_REG), 0);
	(void)cw_ask(x, "POST", "/machine/register", body(113, ""));
	assert_int_equal(cw_count(w, M_DB_REG), 1);
}

static void
t_malformed(void **state)
{
	static const char *const bad[] = { "", "{", "[]", "{}",
	    "{\"Version\":148}", "{\"Version\":148,\"NodeKey\":\"\"}",
	    "{\"Version\":148,\"NodeKey\":\"nodekey:" KEY "\",\"Auth\":[]}",
	    "{\"Version\":148,\"NodeKey\":\"nodekey:" KEY
	    "\",\"Expiry\":\"soon\"}" };
	struct ctlworld *w = *state;
	struct wire *x = cw_client(w, 3, 148);
	struct cw_ask *a;
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		a = cw_ask(x, "POST", "/machine/register", bad[i]);
		assert_int_equal(a->status, 400);
		assert_true(a->ended && a->error == 0);
		assert_true(a->body.n > 2 && a->body.n < 200);
	}
	assert_int_equal(cw_count(w, M_DB_REG), 0);
	/* and the session goes on */
	a = ask(x, "");
	reg_no(w, cw_got(w, M_DB_REG, 0), "no");
	assert_int_equal(a->status, 200);
}

/* dbd dies between the commit and the answer: it is asked again. */
static void
t_again(void **state)
{
	struct ctlworld *w = *state;
	struct wire *x = cw_client(w, 3, 148);
	const struct msg *m;
	struct cw_ask *a, *b;
	uint32_t id;

	a = ask(x, ",\"Auth\":{\"AuthKey\":\"once\"}");
	b = ask(x, ",\"Auth\":{\"AuthKey\":\"twice\"}");
	id = cw_got(w, M_DB_REG, 0)->id;
	ctlworld_db(w, false);
	ctlworld_pass(w, 30 * US_PER_S);
	assert_int_equal(a->status, 0);		/* delayed, not refused */
	ctlworld_db(w, true);
	assert_int_equal(cw_count(w, M_DB_REG), 2);
	m = cw_got(w, M_DB_REG, 1);
	assert_true(m->u.db_reg.again);
	assert_int_equal(m->id, id);
	assert_true(slice_eqs(m->u.db_reg.auth_key, "once"));
	reg_ok(w, m, "", "", false);
	assert_int_equal(a->status, 200);
	m = cw_got(w, M_DB_REG, 2);
	assert_non_null(m);
	assert_false(m->u.db_reg.again);
	assert_true(slice_eqs(m->u.db_reg.auth_key, "twice"));
	reg_no(w, m, "auth key already used");
	assert_int_equal(b->status, 200);
}

static void
t_gone(void **state)
{
	struct ctlworld *w = *state;
	struct wire *x = cw_client(w, 3, 148), *y = cw_client(w, 4, 148);
	struct cw_ask *a;

	a = ask(x, "");
	cw_cancel(a);
	(void)ask(y, "");
	wire_close(y);
	ctlworld_run(w);
	reg_ok(w, cw_got(w, M_DB_REG, 0), "", "", false);
	reg_no(w, cw_got(w, M_DB_REG, 1), "no");
	assert_int_equal(a->status, 0);
	a = ask(x, "");
	reg_ok(w, cw_got(w, M_DB_REG, 2), "", "", false);
	assert_int_equal(a->status, 200);
}

/* Register, then map at once, before the answer: in this order (5.16). */
static void
t_then_map(void **state)
{
	struct ctlworld *w = *state;
	struct wire *x = cw_client(w, 3, 148);
	struct cw_ask *a = ask(x, "");

	(void)cw_ask(x, "POST", "/machine/map", body(148,
	    ",\"Stream\":true,\"Compress\":\"zstd\""));
	assert_int_equal(cw_count(w, M_DB_MAP_OPEN), 0);
	reg_ok(w, cw_got(w, M_DB_REG, 0), "", "", false);
	assert_int_equal(a->status, 200);
	assert_int_equal(cw_count(w, M_DB_MAP_OPEN), 1);
}

int
main(void)
{
#define T(t)	cmocka_unit_test_setup_teardown(t, ctlworld_setup, \
		    ctlworld_teardown)
	const struct CMUnitTest tests[] = {
		T(t_asked), T(t_accepted), T(t_tagged), T(t_refused),
		T(t_too_old), T(t_malformed), T(t_again), T(t_gone),
		T(t_then_map)
	};
#undef T

	return cmocka_run_group_tests(tests, NULL, NULL);
}
