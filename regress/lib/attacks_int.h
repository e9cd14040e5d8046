/* The acts of which attacks.c makes its table. */

#ifndef REGRESS_LIB_ATTACKS_INT_H
#define REGRESS_LIB_ATTACKS_INT_H

#include "regress/lib/rogue.h"

/* How a ticket is bent. */
enum bend {
	BEND_MAC,
	BEND_MAC_END,
	BEND_KEY,		/* the victim's machine key */
	BEND_SERIAL,
	BEND_SERIAL_GEN,
	BEND_CAPVER,
	BEND_KIND,
	BEND_SLOT,		/* the victim's worker */
	BEND_GENERATION,
	BEND_STOLEN,		/* the victim's ticket, as it is */
	BEND_MOVED,		/* the victim's, said to be of this worker */
	BEND_OLD,		/* of this slot's former instance */
	BEND_NOTHING		/* all zero */
};

/* Registrations without a right to them. */
enum reg_how {
	REG_BARE,		/* a new node key and nothing else */
	REG_NO_SUCH_KEY,
	REG_USED_KEY,		/* the victim's, burned */
	REG_FOREIGN,		/* the victim's node key */
	REG_FOREIGN_LOGOUT,
	REG_FOREIGN_OLD,	/* as OldNodeKey */
	REG_AGAIN,		/* the victim's stored answer */
	REG_FOLLOWUP
};

/* What is sent as first record where there is no client. */
enum replay_how {
	REPLAY_RECORD,		/* what the client sent then */
	REPLAY_JUNK,
	REPLAY_OWN		/* made with its own client's key */
};

/* What is wrong with a body. */
enum mangle {
	MANGLE_SHORT,
	MANGLE_LONG,
	MANGLE_EMPTY,
	MANGLE_HUGE
};

/* Arguments: a type and what is done to it; a link and a type on it. */
#define MANGLED(type, how)	((type) << 2 | (how))
#define TYPE(link, type)	((unsigned int)(link) << 28 | (type))

/* Sets r->why; false. */
bool	act_fail(struct rogue *, const char *why);
void	act_wait(struct rogue *);

/* Each is an attack's run(); the number is the row's argument. */
bool	act_bent_lite(struct rogue *, unsigned int);
bool	act_stolen_open(struct rogue *, unsigned int);
bool	act_stolen_reg(struct rogue *, unsigned int);
bool	act_stolen_defer(struct rogue *, unsigned int);
bool	act_bent_resume(struct rogue *, unsigned int);
bool	act_foreign_resume(struct rogue *, unsigned int);
bool	act_foreign_open(struct rogue *, unsigned int);
bool	act_foreign_lite(struct rogue *, unsigned int);
bool	act_foreign_defer(struct rogue *, unsigned int);
bool	act_foreign_started(struct rogue *, unsigned int);
bool	act_foreign_close(struct rogue *, unsigned int);
bool	act_foreign_replica(struct rogue *, unsigned int);
bool	act_leave_all(struct rogue *, unsigned int);
bool	act_leave_loop(struct rogue *, unsigned int);
bool	act_bad_reg(struct rogue *, unsigned int);
bool	act_replay(struct rogue *, unsigned int);
bool	act_conn_twice(struct rogue *, unsigned int);
bool	act_confirm_twice(struct rogue *, unsigned int);
bool	act_id_zero(struct rogue *, unsigned int);
bool	act_id_twice(struct rogue *, unsigned int);
bool	act_id_of_notify(struct rogue *, unsigned int);
bool	act_overrun(struct rogue *, unsigned int);
bool	act_flood(struct rogue *, unsigned int);
bool	act_have_flood(struct rogue *, unsigned int);
bool	act_mangled(struct rogue *, unsigned int);
bool	act_record_of(struct rogue *, unsigned int);
bool	act_long_list(struct rogue *, unsigned int);
bool	act_type_of(struct rogue *, unsigned int);
bool	act_with_fd(struct rogue *, unsigned int);
bool	act_blame(struct rogue *, unsigned int);
bool	act_blame_all(struct rogue *, unsigned int);
bool	act_stray_staged(struct rogue *, unsigned int);

#endif
