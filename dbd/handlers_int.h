/* What workers ask: one handler for each message type of the DB link. */

#ifndef DBD_HANDLERS_INT_H
#define DBD_HANDLERS_INT_H

#include "dbd/dbd_int.h"

void	on_reg(struct worker *, const struct msg *);
void	on_map_open(struct worker *, const struct msg *);
void	on_map_lite(struct worker *, const struct msg *);
void	on_map_started(struct worker *, const struct msg *);
void	on_map_close(struct worker *, const struct msg *);
void	on_map_defer(struct worker *, const struct msg *);
void	on_leave(struct worker *, const struct msg *);

/*
 * True if the ticket is a machine's and of this worker; else the link is
 * down: return at once.
 */
bool	ticket_ok(struct worker *, const struct r_ticket *);
/* A request sent again whose answer is stored: answers it, true. */
bool	answered_before(struct worker *, const struct msg *);
/*
 * The node with this key if it is of the ticket's machine; else NULL and the
 * HTTP status of the refusal.
 */
struct node *ticket_node(struct dbd *, const struct r_ticket *,
	    const uint8_t node_key[KEY_LEN], uint16_t *status);

/*
 * Services, then host keys, then what describes the device are taken out of r
 * until what peers see of it, routes aside, is at most 4 KB of JSON.  Returns
 * what was, for the log; NULL: none.
 */
const char *node_fit(struct dbd *, struct r_node *r);
/* Logs it, if it is not NULL. */
void	node_fit_log(const struct r_node *r, const char *left_out);
/* Takes one of the node's tokens, which come back with time; false: none. */
bool	budget_take(struct node *, struct budget *);
/* The time after which a node or a machine has one more; 0: no limit. */
uint64_t budget_us(const struct dbd *);
/*
 * The budget of a machine for making nodes, if it is used up; else NULL, and
 * maker_take() takes one of its tokens.
 */
const struct budget *maker_spent(struct dbd *, const uint8_t machine[KEY_LEN]);
void	maker_take(struct dbd *, const uint8_t machine[KEY_LEN]);
void	makers_init(struct dbd *);
void	makers_free(struct dbd *);
/*
 * Likewise of an auth key, for nodes that take the place of those which their
 * clients deleted; *us: the time after which there is one more token.
 */
const struct budget *anew_spent(struct authkey *, uint64_t *us);
void	anew_take(struct authkey *);
void	anew_init(struct authkey *);

/* Whose budget a registration waits for. */
enum reg_why { REG_NODE, REG_MACHINE, REG_KEY };

/*
 * This budget is used up; us brings a token.  The registration is looked at
 * again when its turn has come.  number: of the node or the key; a machine is
 * that of the request.  Of more than four of a node or a machine, and of more
 * than 384 of a worker, the oldest is refused.
 */
void	reg_defer(struct worker *, uint32_t id, const struct m_db_reg *,
	    enum reg_why, uint64_t number, const struct budget *,
	    uint64_t us);
/* Drops those of a worker that is gone. */
void	reg_waits_free(struct worker *);
/* The budget's timer: applies the update that waits. */
void	lite_due(void *node);
/* Drops the update that waits; reply: and says that a newer one took over. */
void	lite_forget(struct node *, bool reply);

#endif
