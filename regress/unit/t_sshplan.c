/* SSH policies of nodes (policy.md 11.4): whose rules, and byte for byte. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "regress/lib/plankit.h"
#include "worker/tailnet/tailnets_int.h"

#define IP(a)		"{\"nodeIP\":\"" a "\"}"
#define ACCEPT		"{\"accept\":true,\"allowAgentForwarding\":true," \
    "\"allowLocalPortForwarding\":true,\"allowRemotePortForwarding\":true}"
#define HOLD		"{\"holdAndDelegate\":\"https://control.example/" \
    "machine/ssh/action/$SRC_NODE_ID/to/$DST_NODE_ID" \
    "?local_user=$LOCAL_USER\"}"
#define USERS		"{\"root\":\"\",\"ubuntu\":\"ubuntu\"}"

/* IPv4 addresses sort before IPv6 ones: nodes a and b, or a alone. */
#define ONE(a)		"[" IP("100.64.0." #a) "," \
    IP("fd7a:115c:a1e0::40:" #a) "]"
#define TWO(a, b)	"[" IP("100.64.0." #a) "," IP("100.64.0." #b) "," \
    IP("fd7a:115c:a1e0::40:" #a) "," IP("fd7a:115c:a1e0::40:" #b) "]"
#define RULE(who, users, action) "{\"principals\":" who ",\"sshUsers\":" \
    users ",\"action\":" action "}"
#define POLICY(rules)	"{\"rules\":[" rules "]}"

static const uint32_t to_member[] = { PK_MEMBER };
static const uint32_t to_t0[] = { PK_T0 };
static const struct pol_local locals[] = {
	{ 1, { "\"ann\"", 5 } }, { 2, { "\"bob\"", 5 } }
};

/* An accept rule; the caller says more of it. */
static struct pol_ssh *
add(struct plankit *k, uint32_t src, const uint32_t *dst)
{
	struct pol_ssh *s = &k->pol.ssh[k->pol.pol.nsshs++];

	memset(s, 0, sizeof(*s));
	s->src = src;
	s->dst = dst;
	s->ndst = dst != NULL;
	s->users = slice_str(USERS);
	s->prov.section = POL_SSH;
	s->prov.line = 1;
	return s;
}

/* Nodes 1 and 3 of user 1, 2 of user 2, 4 with t0, 5 with t1 and t2. */
static struct plankit *
world(void)
{
	struct plankit *k = plk_new();

	plk_node(k, 3, 1, 0, 0);
	plk_node(k, 1, 1, 0, 0);
	plk_node(k, 2, 2, 0, 0);
	plk_node(k, 4, 0, 0, 1);
	plk_node(k, 5, 0, 1, 2);
	return k;
}

static void
t_none(void **state)
{
	struct plankit *k = world();

	(void)state;
	assert_string_equal(plk_ssh(k, 1), POLICY(""));
	(void)add(k, pk_src(&k->pol, PK_T5, -1), to_member);
	(void)add(k, pk_src(&k->pol, PK_MEMBER, -1), NULL);
	plk_policy(k);
	assert_string_equal(plk_ssh(k, 1), POLICY(""));
	plk_free(k);
}

/* Check rules stand before accept rules; else the policy's order. */
static void
t_order(void **state)
{
	struct plankit *k = world();
	struct pol_ssh *s;

	(void)state;
	(void)add(k, pk_src(&k->pol, PK_U1, -1), to_t0);
	s = add(k, pk_src(&k->pol, PK_U2, -1), to_t0);
	s->check = true;
	s->period = 3600;
	s->env = slice_str("[\"GIT_*\"]");
	plk_policy(k);
	assert_string_equal(plk_ssh(k, 4), POLICY(
	    "{\"principals\":" ONE(2) ",\"sshUsers\":" USERS ",\"action\":"
	    HOLD ",\"acceptEnv\":[\"GIT_*\"]},"
	    RULE(TWO(1, 3), USERS, ACCEPT)));
	assert_string_equal(plk_ssh(k, 5), POLICY(""));
	assert_string_equal(plk_ssh(k, 1), POLICY(""));
	plk_free(k);
}

static void
t_self(void **state)
{
	struct plankit *k = world();
	struct pol_ssh *s;

	(void)state;
	s = add(k, pk_src(&k->pol, PK_MEMBER, -1), to_t0);
	s->self = true;
	plk_policy(k);
	assert_string_equal(plk_ssh(k, 1), POLICY(RULE(TWO(1, 3), USERS,
	    ACCEPT)));
	assert_string_equal(plk_ssh(k, 2), POLICY(RULE(ONE(2), USERS,
	    ACCEPT)));
	assert_non_null(strstr(plk_ssh(k, 4), IP("100.64.0.2")));
	assert_string_equal(plk_ssh(k, 5), POLICY(""));
	plk_free(k);
}

/* By autogroup:tagged a node is there once for each of its tags. */
static void
t_tagged(void **state)
{
	struct plankit *k = world();

	(void)state;
	(void)add(k, pk_src(&k->pol, PK_TAGGED, -1), to_t0);
	plk_policy(k);
	assert_string_equal(plk_ssh(k, 4), POLICY(RULE("["
	    IP("100.64.0.4") "," IP("100.64.0.5") "," IP("100.64.0.5") ","
	    IP("fd7a:115c:a1e0::40:4") "," IP("fd7a:115c:a1e0::40:5") ","
	    IP("fd7a:115c:a1e0::40:5") "]", USERS, ACCEPT)));
	(void)add(k, pk_src(&k->pol, PK_T1, PK_T2, -1), to_t0);
	plk_policy(k);
	assert_string_equal(plk_ssh(k, 4), POLICY(RULE(ONE(5), USERS,
	    ACCEPT)));
	plk_free(k);
}

/* One rule for each user, one more for the local part, then tagged ones. */
static void
t_locals(void **state)
{
	struct plankit *k = world();
	struct pol_ssh *s;

	(void)state;
	plk_node(k, 6, 3, 0, 0);
	s = add(k, pk_src(&k->pol, PK_MEMBER, PK_T1, -1), to_t0);
	s->locals = true;
	s->local = locals;
	s->nlocals = 2;
	plk_policy(k);
	assert_string_equal(plk_ssh(k, 4), POLICY(
	    RULE(TWO(1, 3), USERS, ACCEPT) ","
	    RULE(TWO(1, 3), "{\"ann\":\"ann\"}", ACCEPT) ","
	    RULE(ONE(2), USERS, ACCEPT) ","
	    RULE(ONE(2), "{\"bob\":\"bob\"}", ACCEPT) ","
	    RULE(ONE(6), USERS, ACCEPT) ","
	    RULE(ONE(5), USERS, ACCEPT)));
	/* Sources may enter themselves. */
	assert_string_equal(plk_ssh(k, 3), POLICY(
	    RULE(TWO(1, 3), USERS, ACCEPT) ","
	    RULE(TWO(1, 3), "{\"ann\":\"ann\"}", ACCEPT)));
	assert_string_equal(plk_ssh(k, 6), POLICY(
	    RULE(ONE(6), USERS, ACCEPT)));
	assert_string_equal(plk_ssh(k, 5), POLICY(
	    RULE(ONE(5), USERS, ACCEPT)));
	plk_free(k);
}

/* A tagged node enters itself once for each tag that it has. */
static void
t_tagged_self(void **state)
{
	struct plankit *k = world();
	struct pol_ssh *s;

	(void)state;
	plk_node(k, 7, 0, 1, 3);
	s = add(k, pk_src(&k->pol, PK_TAGGED, -1), to_member);
	s->locals = true;
	s->local = locals;
	s->nlocals = 2;
	plk_policy(k);
	assert_string_equal(plk_ssh(k, 5), POLICY(RULE("["
	    IP("100.64.0.5") "," IP("100.64.0.5") ","
	    IP("fd7a:115c:a1e0::40:5") "," IP("fd7a:115c:a1e0::40:5") "]",
	    USERS, ACCEPT)));
	assert_string_equal(plk_ssh(k, 4), POLICY(RULE(ONE(4), USERS,
	    ACCEPT)));
	plk_free(k);
}

/*
 * What a change does not touch stays byte for byte: clients judge live
 * sessions again when their policy is another.
 */
static void
t_stable(void **state)
{
	struct plankit *k = world();
	struct plan *was = NULL, *now;
	unsigned int i;

	(void)state;
	for (i = 0; i < 2; i++) {
		(void)add(k, pk_src(&k->pol, PK_U1, -1), to_t0);
		if (i == 1)
			pk_row(&k->pol, pk_src(&k->pol, PK_U2, -1), PK_T0, 0);
		plk_policy(k);
		now = plk_plan(k, 4);
		if (i == 1) {
			assert_int_equal(plan_diff(was, now), PLAN_FILTER);
			plan_unref(was);
		}
		was = now;
	}
	/* Another's node; then one of the source's; then it is gone. */
	plk_node(k, 8, 2, 0, 0);
	now = plk_plan(k, 4);
	assert_int_equal(plan_diff(was, now) & PLAN_SSH, 0);
	plan_unref(now);
	plk_node(k, 9, 1, 0, 0);
	now = plk_plan(k, 4);
	assert_int_equal(plan_diff(was, now) & PLAN_SSH, PLAN_SSH);
	plan_unref(now);
	plk_gone(k, 9);
	now = plk_plan(k, 4);
	assert_int_equal(plan_diff(was, now) & PLAN_SSH, 0);
	plan_unref(now);
	plan_unref(was);
	plk_free(k);
}

/* The server's address is in hold URLs. */
static void
t_url(void **state)
{
	struct plankit *k = world();
	struct tn_conf c = { 0 };
	struct pol_ssh *s;
	struct plan *was, *now;

	(void)state;
	s = add(k, pk_src(&k->pol, PK_U1, -1), to_t0);
	s->check = true;
	s->period = 0;
	plk_policy(k);
	was = plk_plan(k, 4);
	assert_non_null(strstr(plk_ssh(k, 4), HOLD));
	c.server_url = slice_str("https://other.example:8443");
	c.base_domain = slice_str("ts.example");
	tailnets_conf(k->tn, &c);
	now = plk_plan(k, 4);
	assert_int_equal(plan_diff(was, now), PLAN_SSH);
	assert_non_null(strstr(plk_ssh(k, 4),
	    "\"https://other.example:8443/machine/ssh/action/"));
	plan_unref(now);
	plan_unref(was);
	plk_free(k);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_none),
		cmocka_unit_test(t_order),
		cmocka_unit_test(t_self),
		cmocka_unit_test(t_tagged),
		cmocka_unit_test(t_locals),
		cmocka_unit_test(t_tagged_self),
		cmocka_unit_test(t_stable),
		cmocka_unit_test(t_url),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
