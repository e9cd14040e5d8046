/* The table of attacks: see rogue.h. */

#include "regress/lib/attacks_int.h"

bool
act_fail(struct rogue *r, const char *why)
{
	r->why = why;
	return false;
}

void
act_wait(struct rogue *r)
{
	r->ops.wait(r->ops.arg);
}

#define FORGED		LINK_DB, LINK_FORGED
#define NONE		LINK_NONE, LINK_EOF
#define BAD(l, w)	LINK_ ## l, LINK_BAD_ ## w
#define KILLED		LINK_CFG, LINK_CLOSED

#define RUN(name, act, arg, ...)					\
	{ name, act_ ## act, arg, __VA_ARGS__, false, false }
#define EARLY(name, act, arg, ...)					\
	{ name, act_ ## act, arg, __VA_ARGS__, true, false }
#define MAYBE(name, act, arg, ...)					\
	{ name, act_ ## act, arg, __VA_ARGS__, false, true }

static const struct attack attacks[] = {
	RUN("ticket: mac", bent_lite, BEND_MAC, FORGED),
	RUN("ticket: mac's end", bent_lite, BEND_MAC_END, FORGED),
	RUN("ticket: machine key", bent_lite, BEND_KEY, FORGED),
	RUN("ticket: serial", bent_lite, BEND_SERIAL, FORGED),
	RUN("ticket: keyd's generation", bent_lite, BEND_SERIAL_GEN, FORGED),
	RUN("ticket: capver", bent_lite, BEND_CAPVER, FORGED),
	RUN("ticket: kind", bent_lite, BEND_KIND, FORGED),
	RUN("ticket: slot", bent_lite, BEND_SLOT, FORGED),
	RUN("ticket: generation", bent_lite, BEND_GENERATION, FORGED),
	RUN("ticket: zero", bent_lite, BEND_NOTHING, FORGED),
	RUN("ticket: old generation", bent_lite, BEND_OLD, FORGED),
	RUN("stolen ticket: lite", bent_lite, BEND_STOLEN, FORGED),
	RUN("stolen ticket: rewritten", bent_lite, BEND_MOVED, FORGED),
	RUN("stolen ticket: map", stolen_open, 0, FORGED),
	RUN("stolen ticket: logout", stolen_reg, 0, FORGED),
	RUN("stolen ticket: defer", stolen_defer, 0, FORGED),
	EARLY("stolen ticket: resume", bent_resume, BEND_STOLEN, FORGED),
	EARLY("old ticket: resume", bent_resume, BEND_OLD, FORGED),
	EARLY("rewritten ticket: resume", bent_resume, BEND_MOVED, FORGED),

	EARLY("other's node: resume", foreign_resume, 0, NONE),
	RUN("other's node: map", foreign_open, false, NONE),
	RUN("other's node: one map", foreign_open, true, NONE),
	RUN("other's node: lite", foreign_lite, 0, NONE),
	RUN("other's node: defer", foreign_defer, 0, NONE),
	RUN("other's node: started", foreign_started, 0, FORGED),
	RUN("other's node: close", foreign_close, 0, FORGED),
	EARLY("other's tailnet", foreign_replica, 0, NONE),
	RUN("leaves with a stream", leave_all, 0, FORGED),
	RUN("leaves again and again", leave_loop, 0, LINK_DB, LINK_OVERFLOW),

	RUN("register: no credential", bad_reg, REG_BARE, NONE),
	RUN("register: no such key", bad_reg, REG_NO_SUCH_KEY, NONE),
	RUN("register: used key", bad_reg, REG_USED_KEY, NONE),
	RUN("register: other's node key", bad_reg, REG_FOREIGN, NONE),
	RUN("register: log other out", bad_reg, REG_FOREIGN_LOGOUT, NONE),
	RUN("register: other's old key", bad_reg, REG_FOREIGN_OLD, NONE),
	RUN("register: other's answer", bad_reg, REG_AGAIN, NONE),
	RUN("register: follow-up", bad_reg, REG_FOLLOWUP, NONE),

	RUN("replay: recorded", replay, REPLAY_RECORD, NONE),
	RUN("replay: junk", replay, REPLAY_JUNK, NONE),
	RUN("replay: own key", replay, REPLAY_OWN, NONE),
	RUN("handshake: number twice", conn_twice, 0, BAD(KEY, ID)),
	RUN("handshake: not ready", confirm_twice, 0, BAD(KEY, ID)),
	RUN("handshake: flood", flood, 0, NONE),

	RUN("id 0: KEY", id_zero, LINK_KEY, BAD(KEY, ID)),
	RUN("id 0: DB", id_zero, LINK_DB, BAD(DB, ID)),
	RUN("id twice: KEY", id_twice, LINK_KEY, BAD(KEY, ID)),
	RUN("id twice: DB", id_twice, LINK_DB, BAD(DB, ID)),
	RUN("id of a notify: KEY", id_of_notify, LINK_KEY, BAD(KEY, ID)),
	RUN("id of a notify: DB", id_of_notify, LINK_DB, BAD(DB, ID)),
	RUN("id of a notify: CFG", id_of_notify, LINK_CFG, BAD(CFG, ID)),
	RUN("credit: accept", overrun, M_KEY_NOISE_ACCEPT, LINK_KEY,
	    LINK_CREDIT),
	MAYBE("credit: register", overrun, M_DB_REG, LINK_DB, LINK_CREDIT),
	MAYBE("credit: map", overrun, M_DB_MAP_OPEN, LINK_DB, LINK_CREDIT),
	MAYBE("credit: lite", overrun, M_DB_MAP_LITE, LINK_DB, LINK_CREDIT),
	EARLY("flood: have", have_flood, 0, LINK_DB, LINK_OVERFLOW),

#define LENGTHS(kind, t, l)						\
	kind("length: short " #t, mangled, MANGLED(M_ ## t,		\
	    MANGLE_SHORT), BAD(l, BODY)),				\
	kind("length: long " #t, mangled, MANGLED(M_ ## t,		\
	    MANGLE_LONG), BAD(l, BODY)),				\
	kind("length: none " #t, mangled, MANGLED(M_ ## t,		\
	    MANGLE_EMPTY), BAD(l, BODY)),				\
	kind("length: huge " #t, mangled, MANGLED(M_ ## t,		\
	    MANGLE_HUGE), BAD(l, BODY))
	LENGTHS(RUN, KEY_NOISE_ACCEPT, KEY),
	LENGTHS(RUN, KEY_NOISE_CONFIRM, KEY),
	LENGTHS(RUN, KEY_NOISE_DROP, KEY),
	LENGTHS(EARLY, DB_HAVE, DB),
	LENGTHS(EARLY, DB_RESUME, DB),
	LENGTHS(RUN, DB_REG, DB),
	LENGTHS(RUN, DB_MAP_OPEN, DB),
	LENGTHS(RUN, DB_MAP_LITE, DB),
	LENGTHS(RUN, DB_MAP_STARTED, DB),
	LENGTHS(RUN, DB_MAP_CLOSE, DB),
	LENGTHS(RUN, DB_MAP_DEFER, DB),
	LENGTHS(RUN, DB_LEAVE, DB),
	LENGTHS(RUN, CFG_BLAME, CFG),
	LENGTHS(RUN, CFG_STAT, CFG),
	LENGTHS(RUN, CFG_ALIVE_OK, CFG),
	RUN("length: record of 18", record_of, 18, BAD(KEY, BODY)),
	RUN("length: record of 4097", record_of, 4097, BAD(KEY, BODY)),
	RUN("length: list", long_list, 0, BAD(DB, BODY)),

#define TYPES(l, t)							\
	RUN("type: " #l " " #t, type_of, TYPE(LINK_ ## l, t),		\
	    BAD(l, TYPE))
	TYPES(KEY, M_NONE),
	TYPES(KEY, M_MAX),
	TYPES(KEY, 0xfffffff),
	TYPES(KEY, M_KEY_SERVER),
	TYPES(KEY, M_KEY_NOISE_READY),
	TYPES(KEY, M_KEY_NOISE_NO),
	TYPES(KEY, M_KEY_NOISE_OK),
	TYPES(KEY, M_DB_REG),
	TYPES(KEY, M_CFG_SECRET),
	TYPES(KEY, M_CFG_FILE),
	TYPES(DB, M_NONE),
	TYPES(DB, M_MAX),
	TYPES(DB, 0xfffffff),
	TYPES(DB, M_DB_HAVE),
	TYPES(DB, M_DB_RESUME),
	TYPES(DB, M_DB_HELLO_DONE),
	TYPES(DB, M_DB_REG_OK),
	TYPES(DB, M_DB_MAP_OK),
	TYPES(DB, M_DB_LITE_NO),
	TYPES(DB, M_DB_SNAPSHOT),
	TYPES(DB, M_DB_SNAPSHOT_PART),
	TYPES(DB, M_DB_NODE_PUT),
	TYPES(DB, M_DB_BATCH),
	TYPES(DB, M_CTL_HELLO),
	TYPES(DB, M_CTL_KEY_CREATE),
	TYPES(DB, M_CTL_NODE_DELETE),
	TYPES(DB, M_CTL_OK),
	TYPES(DB, M_CFG_CONF_DBD),
	TYPES(DB, M_CFG_CTL_LISTEN),
	TYPES(CFG, M_NONE),
	TYPES(CFG, M_MAX),
	TYPES(CFG, 0xfffffff),
	TYPES(CFG, M_CFG_READY),
	TYPES(CFG, M_CFG_STOP),
	TYPES(CFG, M_CFG_BOOT),
	TYPES(CFG, M_CFG_KEY_MADE),
	TYPES(CFG, M_CFG_ALIVE_ASK),
	TYPES(CFG, M_CFG_CTL_RELOAD),
	TYPES(CFG, M_CFG_CTL_VERBOSE),
	TYPES(CFG, M_CFG_CTL_STATUS),
	TYPES(CFG, M_CFG_CTL_DONE),

	MAYBE("descriptor: KEY", with_fd, LINK_KEY, BAD(KEY, FD)),
	MAYBE("descriptor: DB", with_fd, LINK_DB, BAD(DB, FD)),
	MAYBE("descriptor: CFG", with_fd, LINK_CFG, BAD(CFG, FD)),

	/* master itself kills who accuses one that is not below it. */
	RUN("blames: dbd", blame, ROLE_DBD, KILLED),
	RUN("blames: keyd", blame, ROLE_KEYD, KILLED),
	RUN("blames: every dbd", blame_all, ROLE_DBD, KILLED),
	RUN("blames: every keyd", blame_all, ROLE_KEYD, KILLED),
	RUN("blames: its sibling", blame, ROLE_WORKER, KILLED),
	RUN("blames: master", blame, ROLE_MASTER, KILLED),
	RUN("blames: nobody", blame, ROLE_NONE, KILLED),
	RUN("blames: no role", blame, 200, KILLED),
	RUN("stray answer: 1", stray_staged, 1, BAD(CFG, ID)),
	RUN("stray answer: 7", stray_staged, 7, BAD(CFG, ID)),
	RUN("stray answer: 0", stray_staged, 0, BAD(CFG, ID))
};

const struct attack *
attack_get(size_t k)
{
	return k < sizeof(attacks) / sizeof(attacks[0]) ? &attacks[k] : NULL;
}

/* What only an allowed act is answered with. */
static unsigned int
rewards(const struct rogue *r)
{
	static const enum msg_type good[] = {
		M_KEY_NOISE_OK, M_DB_REG_OK, M_DB_MAP_OK, M_DB_LITE_OK
	};
	unsigned int n = 0;
	size_t i;

	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		n += rogue_count(r, good[i]);
	return n;
}

bool
attack_run(struct rogue *r, const struct attack *a)
{
	unsigned int before = rewards(r);

	r->why = NULL;
	if (!a->run(r, a->arg))
		return false;
	/* A live client of its own is what it may have. */
	if (a->run == act_foreign_resume)
		before++;
	else if (a->run == act_leave_loop)
		before += 3;
	if (rewards(r) != before)
		return act_fail(r, "it was rewarded");
	return true;
}
