/*
 * Operations that administrators ask for, and how their answers wait for the
 * commit.  Each joins the current batch.  They return 0, or -1 with a text in
 * why and nothing changed.  uid is the peer's on the control socket.
 */

#ifndef DBD_OPS_INT_H
#define DBD_OPS_INT_H

#include "dbd/state_int.h"

/*
 * Queues a reply, row or notify for the link (ids as in m).  It is encoded
 * now and leaves at the end of the turn, after the commit and after the
 * changes, in the order queued.  m->fd must be -1.
 */
void	batch_reply(struct dbd *, struct link *, const struct msg *m);
/* The link is gone: what was queued for it is dropped. */
void	batch_forget(struct dbd *, const struct link *);

/* Users; name is unique in the tailnet.  *id is set on success. */
int	op_user_add(struct dbd *, struct slice name, struct slice display,
	    uint64_t *id, uint32_t uid, char *why, size_t);
int	op_user_rename(struct dbd *, uint64_t id, struct slice name,
	    uint32_t uid, char *why, size_t);
/* Refused while it owns nodes; its auth keys go with it. */
int	op_user_delete(struct dbd *, uint64_t id, uint32_t uid, char *why,
	    size_t);

/* enum user_role.  Who was the owner becomes an admin. */
int	op_user_role(struct dbd *, uint64_t id, uint8_t role, uint32_t uid,
	    char *why, size_t);

struct key_spec {
	uint64_t	 user;		/* 0: only with tags */
	bool		 reusable;
	bool		 ephemeral;
	uint64_t	 expires_s;	/* from now; 0 never */
	struct msg_list	 tags;		/* of r_text, each "tag:..." */
};

#define AUTHKEY_TEXT	96	/* longest secret text with NUL */

struct key_made {
	uint64_t	 id;
	int64_t		 expiry;
	char		 secret[AUTHKEY_TEXT]; /* the caller wipes it */
};

/* Auth keys. */
int	op_key_create(struct dbd *, const struct key_spec *, struct key_made *,
	    uint32_t uid, char *why, size_t);
/* It makes no node any more; those that it made stay. */
int	op_key_expire(struct dbd *, uint64_t id, uint32_t uid, char *why,
	    size_t);
int	op_key_delete(struct dbd *, uint64_t id, uint32_t uid, char *why,
	    size_t);

/* Nodes.  A name given here is kept when the client's hostname changes. */
int	op_node_rename(struct dbd *, uint64_t id, struct slice name,
	    uint32_t uid, char *why, size_t);
/* Replaces its tags (of r_text); at least one: it is owned by its tags then. */
int	op_node_tag(struct dbd *, uint64_t id, const struct msg_list *tags,
	    uint32_t uid, char *why, size_t);
/* To a user; takes its tags away. */
int	op_node_move(struct dbd *, uint64_t id, uint64_t user, uint32_t uid,
	    char *why, size_t);
/* at: Unix seconds, 0 never; past or now: at once. */
int	op_node_expire(struct dbd *, uint64_t id, int64_t at, uint32_t uid,
	    char *why, size_t);
/* Its key expires now: it must log in again. */
int	op_node_logout(struct dbd *, uint64_t id, uint32_t uid, char *why,
	    size_t);
int	op_node_delete(struct dbd *, uint64_t id, uint32_t uid, char *why,
	    size_t);
/*
 * Approves routes (of r_route) that it advertises, or takes that back.  An
 * exit route stands for those of both families.
 */
int	op_node_routes(struct dbd *, uint64_t id, const struct msg_list *,
	    bool approve, uint32_t uid, char *why, size_t);

/* Each is "tag:" and a name, none twice; else -1 and a text. */
int	tags_check(const struct msg_list *, char *why, size_t);

/*
 * Calls fn for every exposure of this boot and earlier ones in that slot and
 * generation (0: all), what is not yet written included.  fn may call
 * batch_reply(), but no operation.  -1 if the store failed.
 */
int	op_exposure_list(struct dbd *, uint16_t slot, uint64_t generation,
	    void (*fn)(const struct exposure_row *, void *), void *arg);
/*
 * Expires the node keys that those of this list held and that are still in
 * use; *n counts them.
 */
int	op_exposure_revoke(struct dbd *, uint16_t slot, uint64_t generation,
	    uint32_t *n, uint32_t uid, char *why, size_t);

#endif
