/* SIG and MESH links, the seat of STUN, and the keyd that looks at keys. */

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "regress/lib/superkit.h"

/* How many links of a kind p was given since mark. */
static unsigned int
links(const struct su_world *w, unsigned int mark, const struct proc *p,
    enum msg_link link)
{
	unsigned int i, n = 0;

	for (i = mark; i < w->nsent; i++)
		n += w->sent[i].to == p && w->sent[i].type == M_CFG_LINK &&
		    w->sent[i].value >> 16 == (uint32_t)link;
	return n;
}

/* All are READY; those of bits want it from this epoch on. */
static struct su_world *
serving(void **state, unsigned int wants, uint32_t from)
{
	struct su_world *w = *state;
	unsigned int i;

	w->wants = wants;
	w->wants_from = from;
	super_start(w->super, 1);
	su_ready(w, w->keyd);
	su_ready(w, w->dbd);
	if (w->stun != NULL)
		su_ready(w, w->stun);
	if (w->out != NULL)
		su_ready(w, w->out);
	for (i = 1; i <= WORKERS; i++)
		su_ready(w, w->worker[i]);
	assert_int_equal(w->serving, 1);
	return w;
}

static void
tell(struct su_world *w, struct proc *from, struct proc *of, enum link_why why)
{
	struct msg m;

	msg_init(&m, M_CFG_BLAME);
	m.u.cfg_blame.role = (uint8_t)proc_role(of);
	m.u.cfg_blame.slot = proc_slot(of);
	m.u.cfg_blame.generation = proc_generation(of);
	m.u.cfg_blame.why = (uint16_t)why;
	super_msg(w->super, from, &m);
}

/* Without a certificate and a relay there is none of it. */
static void
test_none(void **state)
{
	struct su_world *w = serving(state, 0, 0);
	unsigned int i;

	for (i = 1; i <= WORKERS; i++) {
		assert_int_equal(links(w, 0, w->worker[i], LINK_KEY), 1);
		assert_int_equal(links(w, 0, w->worker[i], LINK_SIG), 0);
		assert_int_equal(links(w, 0, w->worker[i], LINK_MESH), 0);
	}
	assert_null(w->stun);
	assert_int_equal(w->spawns, WORKERS + 2);
}

static void
test_made(void **state)
{
	struct su_world *w = serving(state, SUPER_SIG | SUPER_MESH, 1);
	unsigned int i, mark;

	for (i = 1; i <= WORKERS; i++) {
		assert_int_equal(links(w, 0, w->worker[i], LINK_SIG), 1);
		assert_int_equal(links(w, 0, w->worker[i], LINK_MESH),
		    WORKERS - 1);
	}
	assert_int_equal(links(w, 0, w->keyd, LINK_SIG), WORKERS);
	assert_int_equal(links(w, 0, w->keyd, LINK_MESH), 0);
	assert_int_equal(links(w, 0, w->dbd, LINK_SIG), 0);
	/* The next instance is joined with all. */
	su_died(w, w->worker[2]);
	mark = w->nsent;
	su_advance(w, 0);
	assert_int_equal(links(w, mark, w->worker[2], LINK_MESH), WORKERS - 1);
	assert_int_equal(links(w, mark, w->worker[1], LINK_MESH), 1);
	assert_int_equal(links(w, mark, w->worker[3], LINK_MESH), 1);
	assert_int_equal(links(w, mark, w->keyd, LINK_SIG), 1);
	assert_int_equal(su_last(w, w->worker[1], M_CFG_LINK)->generation,
	    proc_generation(w->worker[2]));
	su_died(w, w->keyd);
	mark = w->nsent;
	su_advance(w, 0);
	assert_int_equal(links(w, mark, w->keyd, LINK_SIG), WORKERS);
	assert_int_equal(links(w, mark, w->worker[1], LINK_SIG), 1);
	assert_int_equal(links(w, mark, w->worker[1], LINK_MESH), 0);
}

/* A reload that brings certificates brings the links, once. */
static void
test_reload(void **state)
{
	struct su_world *w = serving(state, SUPER_SIG, 2);
	unsigned int mark = w->nsent, i;
	uint32_t epoch;
	char why[256];

	for (epoch = 2; epoch <= 3; epoch++) {
		assert_true(super_reload(w->super, epoch, why, sizeof(why)));
		su_staged(w, w->check, epoch, NULL);
		su_died(w, w->check);
		su_staged(w, w->keyd, epoch, NULL);
		su_staged(w, w->dbd, epoch, NULL);
		for (i = 1; i <= WORKERS; i++) {
			assert_int_equal(links(w, mark, w->worker[i],
			    LINK_SIG), epoch - 2);
			su_staged(w, w->worker[i], epoch, NULL);
		}
		assert_true(w->outcome_ok);
	}
	for (i = 1; i <= WORKERS; i++)
		assert_int_equal(links(w, mark, w->worker[i], LINK_SIG), 1);
	assert_int_equal(links(w, mark, w->keyd, LINK_SIG), WORKERS);
	assert_int_equal(links(w, mark, w->keyd, LINK_KEY), 0);
}

/* A link between equals goes down: nobody is killed, and it is made again. */
static void
test_mesh(void **state)
{
	static const unsigned int after[] = { 1000, 2000, 5000, 30000, 30000 };
	struct su_world *w = serving(state, SUPER_MESH, 1);
	struct proc *a = w->worker[1], *b = w->worker[3];
	unsigned int mark, i;

	for (i = 0; i < 5; i++) {
		mark = w->nsent;
		tell(w, a, b, LINK_FORGED);
		su_advance(w, 10);
		tell(w, b, a, LINK_EOF);	/* the other end */
		su_advance(w, after[i] - 11);
		assert_int_equal(links(w, mark, a, LINK_MESH), 0);
		su_advance(w, 1);
		assert_int_equal(links(w, mark, a, LINK_MESH), 1);
		assert_int_equal(links(w, mark, b, LINK_MESH), 1);
		assert_int_equal(su_last(w, a, M_CFG_LINK)->generation,
		    proc_generation(b));
		assert_int_equal(links(w, mark, w->worker[2], LINK_MESH), 0);
	}
	assert_int_equal(w->kills, 0);
	/* Other pairs do not wait for this one. */
	mark = w->nsent;
	tell(w, a, w->worker[2], LINK_EOF);
	su_advance(w, 1000);
	assert_int_equal(links(w, mark, w->worker[2], LINK_MESH), 1);
	/* One that held for a minute is no trouble any more. */
	su_advance(w, 61000);
	mark = w->nsent;
	tell(w, b, a, LINK_BAD_BODY);
	su_advance(w, 1000);
	assert_int_equal(links(w, mark, a, LINK_MESH), 1);
	assert_int_equal(w->kills, 0);
}

/* Who reports by the hundred gets no more links and fills no log. */
static void
test_mesh_flood(void **state)
{
	struct su_world *w = serving(state, SUPER_MESH, 1);
	unsigned int mark = w->nsent, i;

	for (i = 0; i < 1000; i++) {
		tell(w, w->worker[1], w->worker[2], LINK_FORGED);
		w->log[0] = '\0';
		tell(w, w->worker[1], w->worker[2], LINK_FORGED);
		assert_string_equal(w->log, "");
		su_advance(w, 100);
	}
	/* 100 s: after 1, 2, 5 and then each 30 */
	assert_in_range(links(w, mark, w->worker[2], LINK_MESH), 4, 6);
	assert_int_equal(w->kills, 0);
}

/* One of the two ends meanwhile: its next instance has its links already. */
static void
test_mesh_death(void **state)
{
	struct su_world *w = serving(state, SUPER_MESH, 1);
	struct proc *a = w->worker[1], *b = w->worker[2];
	unsigned int mark;

	tell(w, a, b, LINK_EOF);
	su_died(w, b);
	su_advance(w, 0);
	su_ready(w, b);
	mark = w->nsent;
	su_advance(w, 5000);
	assert_int_equal(links(w, mark, a, LINK_MESH), 0);
	/* A report of one that is gone says nothing of the next. */
	su_died(w, b);
	tell(w, a, b, LINK_EOF);
	su_advance(w, 0);
	mark = w->nsent;
	su_advance(w, 5000);
	assert_int_equal(links(w, mark, a, LINK_MESH), 0);
	assert_int_equal(w->kills, 0);
	/* Of oneself there is nothing to report. */
	tell(w, a, a, LINK_EOF);
	assert_ptr_equal(w->killed, a);
}

/* Without a relay nobody has a link to an equal: it is an accusation. */
static void
test_mesh_unwanted(void **state)
{
	struct su_world *w = serving(state, SUPER_SIG, 1);

	tell(w, w->worker[1], w->worker[2], LINK_EOF);
	assert_int_equal(w->kills, 1);
	assert_ptr_equal(w->killed, w->worker[1]);
	/* dbd and keyd are equals that never meet. */
	tell(w, w->keyd, w->dbd, LINK_EOF);
	assert_ptr_equal(w->killed, w->keyd);
}

/* SIG: to be without is no accusation; anything else against keyd is one. */
static void
test_sig(void **state)
{
	struct su_world *w = serving(state, SUPER_SIG | SUPER_MESH, 1);
	unsigned int mark = w->nsent;

	tell(w, w->worker[1], w->keyd, LINK_DEADLINE);
	su_advance(w, 1000);
	assert_int_equal(links(w, mark, w->worker[1], LINK_SIG), 1);
	assert_int_equal(links(w, mark, w->keyd, LINK_SIG), 1);
	assert_int_equal(w->kills, 0);
	tell(w, w->worker[1], w->dbd, LINK_EOF);
	assert_ptr_equal(w->killed, w->worker[1]);
	tell(w, w->worker[2], w->keyd, LINK_BAD_BODY);
	assert_ptr_equal(w->killed, w->worker[2]);
	/* A worker that breaks the rules on it is killed. */
	tell(w, w->keyd, w->worker[3], LINK_BAD_BODY);
	assert_ptr_equal(w->killed, w->worker[3]);
	assert_int_equal(w->kills, 3);
	assert_int_equal(proc_state(w->keyd), PROC_RUN);
}

/* Without certificates nobody misses it, nor is anybody killed for that. */
static void
test_sig_unwanted(void **state)
{
	struct su_world *w = serving(state, 0, 0);
	unsigned int mark = w->nsent;

	tell(w, w->worker[1], w->keyd, LINK_EOF);
	su_advance(w, 60000);
	assert_int_equal(links(w, mark, w->keyd, LINK_SIG), 0);
	assert_int_equal(w->kills, 0);
}

static void
test_stun(void **state)
{
	struct su_world *w = *state;
	unsigned int i;
	struct msg m;

	w->wants = SUPER_STUN;
	w->wants_from = 1;
	super_start(w->super, 1);
	assert_non_null(w->stun);
	su_ready(w, w->keyd);
	su_ready(w, w->dbd);
	for (i = 1; i <= WORKERS; i++)
		su_ready(w, w->worker[i]);
	/* All or none. */
	assert_int_equal(w->serving, 0);
	su_ready(w, w->stun);
	assert_int_equal(w->serving, 1);
	assert_int_equal(su_count(w, 0, w->stun, M_CFG_START), 1);
	assert_int_equal(su_count(w, 0, w->stun, M_CFG_LINK), 0);
	msg_init(&m, M_CFG_CTL_STATUS);
	m.id = 9;
	super_msg(w->super, w->dbd, &m);
	assert_int_equal(su_count(w, 0, w->dbd, M_CFG_CTL_ROW), WORKERS + 4);
	su_died(w, w->stun);
	su_advance(w, 0);
	assert_int_equal(proc_state(w->stun), PROC_STARTING);
	su_died(w, w->stun);
	su_advance(w, 199);
	assert_int_equal(proc_state(w->stun), PROC_DOWN);
	su_advance(w, 1);
	assert_int_equal(proc_state(w->stun), PROC_STARTING);
	su_ready(w, w->stun);
	assert_int_equal(proc_state(w->stun), PROC_RUN);
	super_stop(w->super);
	assert_int_equal(su_count(w, 0, w->stun, M_CFG_STOP), 1);
}

/* It has a part in a reload, and holds none up. */
static void
test_stun_reload(void **state)
{
	struct su_world *w = serving(state, SUPER_STUN, 1);
	unsigned int i;
	char why[256];

	assert_true(super_reload(w->super, 2, why, sizeof(why)));
	su_staged(w, w->check, 2, NULL);
	su_died(w, w->check);
	su_staged(w, w->keyd, 2, NULL);
	su_staged(w, w->dbd, 2, NULL);
	for (i = 1; i <= WORKERS; i++)
		su_staged(w, w->worker[i], 2, NULL);
	assert_int_equal(w->outcomes, 0);
	su_advance(w, 5000);
	assert_ptr_equal(w->killed, w->stun);
	assert_int_equal(w->outcomes, 1);
	assert_true(w->outcome_ok);
	su_died(w, w->stun);
	su_advance(w, 0);
	assert_int_equal(su_last(w, w->stun, M_CFG_STAGE)->value, 2);
	su_died(w, w->stun);
	assert_true(super_reload(w->super, 3, why, sizeof(why)));
}

/* OUT and ACME, with the process that connects out. */
static void
test_out(void **state)
{
	struct su_world *w = serving(state, SUPER_OUT | SUPER_ACME, 1);
	unsigned int mark;
	struct msg m;

	assert_string_equal(proc_name(w->out), "fetch out");
	assert_int_equal(links(w, 0, w->out, LINK_OUT), 1);
	assert_int_equal(links(w, 0, w->dbd, LINK_OUT), 1);
	assert_int_equal(links(w, 0, w->keyd, LINK_ACME), 1);
	assert_int_equal(links(w, 0, w->dbd, LINK_ACME), 1);
	assert_int_equal(su_count(w, 0, w->out, M_CFG_LINK), 1);
	assert_int_equal(su_count(w, 0, w->out, M_CFG_START), 1);
	assert_int_equal(links(w, 0, w->worker[1], LINK_OUT), 0);
	assert_int_equal(links(w, 0, w->worker[1], LINK_ACME), 0);
	msg_init(&m, M_CFG_CTL_STATUS);
	m.id = 9;
	super_msg(w->super, w->dbd, &m);
	assert_int_equal(su_count(w, 0, w->dbd, M_CFG_CTL_ROW), WORKERS + 4);
	/* Back at once, and with dbd anew. */
	su_died(w, w->out);
	mark = w->nsent;
	su_advance(w, 0);
	assert_int_equal(proc_state(w->out), PROC_STARTING);
	assert_int_equal(links(w, mark, w->out, LINK_OUT), 1);
	assert_int_equal(links(w, mark, w->dbd, LINK_OUT), 1);
	assert_int_equal(links(w, mark, w->keyd, LINK_ACME), 0);
	su_ready(w, w->out);
	assert_int_equal(proc_state(w->out), PROC_RUN);
	su_died(w, w->dbd);
	mark = w->nsent;
	su_advance(w, 0);
	assert_int_equal(links(w, mark, w->out, LINK_OUT), 1);
	assert_int_equal(links(w, mark, w->keyd, LINK_ACME), 1);
	/* dbd is above it, and it is above workers. */
	su_ready(w, w->dbd);
	tell(w, w->out, w->dbd, LINK_BAD_BODY);
	assert_ptr_equal(w->killed, w->out);
	su_died(w, w->out);
	su_advance(w, 1000);
	su_ready(w, w->out);
	tell(w, w->dbd, w->out, LINK_BAD_BODY);
	assert_int_equal(w->kills, 2);
	assert_ptr_equal(w->killed, w->out);
	super_stop(w->super);
}

/* All that are there take epoch; the check processes go. */
static void
reload(struct su_world *w, uint32_t epoch, bool out)
{
	unsigned int i;
	char why[256];

	w->check_out = NULL;
	assert_true(super_reload(w->super, epoch, why, sizeof(why)));
	assert_true((w->check_out != NULL) == out);
	su_staged(w, w->check, epoch, NULL);
	if (out) {
		assert_int_equal(su_count(w, 0, w->check_out, M_CFG_LINK), 0);
		assert_string_equal(proc_name(w->check_out), "check out");
		su_staged(w, w->check_out, epoch, NULL);
		su_died(w, w->check_out);
	}
	su_died(w, w->check);
	su_staged(w, w->keyd, epoch, NULL);
	su_staged(w, w->dbd, epoch, NULL);
	for (i = 1; i <= WORKERS; i++)
		su_staged(w, w->worker[i], epoch, NULL);
}

/* A reload brings it, and one takes it away. */
static void
test_out_comes(void **state)
{
	struct su_world *w = serving(state, SUPER_OUT, 2);
	unsigned int mark = w->nsent;
	struct msg m;

	assert_null(w->out);
	reload(w, 2, true);
	assert_true(w->outcome_ok);
	assert_non_null(w->out);
	assert_int_equal(proc_state(w->out), PROC_STARTING);
	assert_int_equal(links(w, mark, w->out, LINK_OUT), 1);
	assert_int_equal(links(w, mark, w->dbd, LINK_OUT), 1);
	assert_int_equal(su_last(w, w->out, M_CFG_STAGE)->value, 2);
	su_ready(w, w->out);
	assert_int_equal(proc_state(w->out), PROC_RUN);
	/* One that waits for its next start does not keep a reload away. */
	su_died(w, w->out);
	su_advance(w, 0);
	su_died(w, w->out);
	assert_int_equal(proc_state(w->out), PROC_DOWN);
	reload(w, 3, true);
	assert_int_equal(w->outcomes, 2);
	su_advance(w, 200);
	assert_int_equal(su_last(w, w->out, M_CFG_STAGE)->value, 3);
	su_ready(w, w->out);
	w->wants = 0;
	mark = w->kills;
	reload(w, 4, false);
	assert_int_equal(w->outcomes, 2);
	su_staged(w, w->out, 4, NULL);
	assert_int_equal(w->outcomes, 3);
	assert_ptr_equal(w->killed, w->out);
	su_died(w, w->out);
	su_advance(w, 120000);
	assert_int_equal(proc_state(w->out), PROC_DOWN);
	msg_init(&m, M_CFG_CTL_STATUS);
	super_msg(w->super, w->dbd, &m);
	assert_int_equal(su_count(w, 0, w->dbd, M_CFG_CTL_ROW), WORKERS + 3);
	/* And again, while it is down; then away before it is ready. */
	w->wants = SUPER_OUT;
	reload(w, 5, true);
	assert_int_equal(proc_state(w->out), PROC_STARTING);
	su_died(w, w->out);
	w->wants = 0;
	reload(w, 6, false);
	assert_int_equal(w->outcomes, 5);
	su_advance(w, 120000);
	assert_int_equal(proc_state(w->out), PROC_DOWN);
}

/* A fresh one looks at certificates; who runs then holds nobody up. */
static void
test_out_reload(void **state)
{
	struct su_world *w = serving(state, SUPER_OUT, 1);
	char why[256];

	assert_true(super_reload(w->super, 2, why, sizeof(why)));
	su_staged(w, w->check, 2, NULL);
	su_staged(w, w->check_out, 2, "CA certificates: there are none");
	assert_int_equal(w->outcomes, 1);
	assert_false(w->outcome_ok);
	assert_string_equal(w->outcome_why, "CA certificates: there are none");
	su_died(w, w->check);
	su_died(w, w->check_out);
	assert_int_equal(proc_state(w->out), PROC_RUN);
	reload(w, 3, true);
	su_staged(w, w->out, 3, "no");
	assert_ptr_equal(w->killed, w->out);
	assert_int_equal(w->outcomes, 2);
	assert_true(w->outcome_ok);
	su_died(w, w->out);
	su_advance(w, 0);
	assert_int_equal(su_last(w, w->out, M_CFG_STAGE)->value, 3);
	su_ready(w, w->out);
	reload(w, 4, true);
	su_advance(w, 5000);
	assert_ptr_equal(w->killed, w->out);
	assert_true(w->outcome_ok);
	assert_int_equal(w->outcomes, 3);
}

/* Keys are looked at by a fresh keyd, too: both have to agree. */
static void
test_check_keyd(void **state)
{
	struct su_world *w = serving(state, SUPER_KEYS, 2);
	unsigned int mark = w->nsent, spawns;
	char why[256];

	assert_null(w->check_keyd);
	assert_true(super_reload(w->super, 2, why, sizeof(why)));
	assert_non_null(w->check_keyd);
	assert_true(proc_is_check(w->check_keyd));
	assert_string_equal(proc_name(w->check_keyd), "check keyd");
	assert_int_equal(su_count(w, mark, NULL, M_CFG_LINK), 0);
	su_staged(w, w->check, 2, NULL);
	assert_int_equal(su_count(w, mark, w->keyd, M_CFG_STAGE), 0);
	su_staged(w, w->check_keyd, 2, "c.pem and k.pem: not a pair");
	assert_int_equal(w->outcomes, 1);
	assert_false(w->outcome_ok);
	assert_string_equal(w->outcome_why, "c.pem and k.pem: not a pair");
	assert_int_equal(w->kills, 2);
	assert_int_equal(su_count(w, mark, w->keyd, M_CFG_STAGE), 0);
	/* Both have to be gone. */
	su_died(w, w->check);
	spawns = w->spawns;
	assert_true(super_reload(w->super, 3, why, sizeof(why)));
	assert_int_equal(w->spawns, spawns);
	su_died(w, w->check_keyd);
	assert_int_equal(w->spawns, spawns + 2);
	su_staged(w, w->check_keyd, 3, NULL);
	assert_int_equal(su_count(w, mark, w->keyd, M_CFG_STAGE), 0);
	su_staged(w, w->check, 3, NULL);
	assert_int_equal(su_count(w, mark, w->keyd, M_CFG_STAGE), 1);
	/* The one that runs is another. */
	assert_ptr_not_equal(w->check_keyd, w->keyd);
	assert_int_equal(proc_state(w->keyd), PROC_RUN);
}

static void
test_check_keyd_dies(void **state)
{
	struct su_world *w = *state;

	w->wants = SUPER_KEYS;
	w->wants_from = 1;
	super_check(w->super, 1);
	assert_int_equal(w->spawns, 2);
	su_staged(w, w->check, 1, NULL);
	assert_int_equal(w->outcomes, 0);
	su_died(w, w->check_keyd);
	assert_int_equal(w->outcomes, 1);
	assert_false(w->outcome_ok);
	assert_string_equal(w->outcome_why, "the check process died");
	su_died(w, w->check);
	super_check(w->super, 1);
	su_staged(w, w->check_keyd, 1, NULL);
	su_staged(w, w->check, 1, NULL);
	assert_int_equal(w->outcomes, 2);
	assert_true(w->outcome_ok);
}

#define T(f)	cmocka_unit_test_setup_teardown(f, su_setup, su_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_none), T(test_made), T(test_reload), T(test_mesh),
		T(test_mesh_flood), T(test_mesh_death), T(test_mesh_unwanted),
		T(test_sig), T(test_sig_unwanted), T(test_stun),
		T(test_stun_reload), T(test_out), T(test_out_comes),
		T(test_out_reload), T(test_check_keyd),
		T(test_check_keyd_dies)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
