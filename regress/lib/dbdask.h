/* What the tests of dbd ask for again and again. */

#ifndef REGRESS_LIB_DBDASK_H
#define REGRESS_LIB_DBDASK_H

#include "regress/lib/dbdworld.h"

#define ASK_PAST	123		/* what a logout says */

struct ask_reg {
	uint32_t	 machine;
	uint64_t	 serial;	/* 0: 1 */
	uint32_t	 key;		/* of the node; 0: none */
	uint32_t	 old;		/* OldNodeKey; 0: none */
	const char	*auth;		/* NULL: none */
	const char	*host;		/* NULL: "host" */
	const char	*tag;		/* a requested tag */
	const char	*followup;
	int64_t		 expiry;	/* 0: none */
	bool		 ephemeral;
};

/*
 * A first start with workers in slots 1 and 2 (k2 NULL: in 1 alone), the user
 * alice and her reusable key.  Logs are kept from here on.
 */
struct dbdworld	*ask_world(struct dbdworker **k, struct dbdworker **k2,
		    uint64_t *alice, const char **key);
/* Of cmocka: *state is the world, which is freed. */
int		 ask_teardown(void **state);
/* Log lines are kept, not written, from here on. */
void		 ask_log(void);
/* What was logged since; its beginning is lost when it is much. */
const char	*ask_logged(void);
/* The default tailnet's number of changes. */
uint64_t	 ask_seq(struct dbdworld *);
/* NULL if what each of them holds equals the truth, else what does not. */
const char	*ask_differs(struct dbdworker *, struct dbdworker *);

/* A user of the default tailnet; returns the id. */
uint64_t	 ask_user(struct dbdworld *, const char *name);
/*
 * An auth key of the user (0: of the tag alone); its text, in one of four
 * static buffers.  tag may be NULL.
 */
const char	*ask_key(struct dbdworld *, uint64_t user, bool reusable,
		    bool ephemeral, uint64_t expires_s, const char *tag);
/* Fills the message; b holds what it points to. */
void		 ask_reg_msg(struct dbdworker *, const struct ask_reg *,
		    struct msg *, struct buf *b);
/* Sends it; the request's id. */
uint32_t	 ask_reg_send(struct dbdworker *, const struct ask_reg *);
/* Sends it, runs, and returns the reply (DB_REG_OK or DB_REG_NO). */
const struct msg *ask_reg(struct dbdworker *, const struct ask_reg *);
/* The same, expects success and returns the node's id. */
uint64_t	 ask_join(struct dbdworker *, uint32_t machine, uint32_t key,
		    const char *auth, const char *host);
/* True if the reply is a refusal with this text. */
bool		 ask_refused(const struct msg *, const char *text);

/* A map stream of machine and node key; the reply. */
const struct msg *ask_open(struct dbdworker *, uint32_t machine,
		    uint64_t serial, uint32_t key, uint64_t stream);
/* The same, and the first map is handed over. */
void		 ask_stream(struct dbdworker *, uint32_t machine,
		    uint64_t serial, uint32_t key, uint64_t stream,
		    uint64_t node);
void		 ask_close(struct dbdworker *, uint64_t node, uint64_t stream);

/*
 * A list of the prefixes, or of the one tag, whose octets are in the buffer;
 * and such a list of prefixes as text, each with a blank behind it, in a
 * static buffer.
 */
struct msg_list	 ask_prefixes(struct buf *, const char *prefixes);
struct msg_list	 ask_tag(struct buf *, const char *tag);
const char	*ask_print(struct msg_list);
/* Machine and key n say by a lite update that they advertise just these. */
void		 ask_advertise(struct dbdworker *, uint32_t n, uint32_t h2,
		    const char *prefixes);

/* A version of the default tailnet's policy as it is stored. */
struct ask_policy_row {
	uint32_t	 version;
	uint32_t	 uid;
	char		 text[256];	/* beginnings of them */
	char		 reason[256];
	size_t		 blob;
};

/* The version, which there must be; 0: the newest. */
struct ask_policy_row ask_stored(struct dbdworld *, uint32_t version);
/* Sets the default tailnet's policy; it must be taken. */
void		 ask_policy(struct dbdworld *, const char *text);
/* Is the answer to this request stored?  As store_find_result(). */
int		 ask_result(struct dbdworld *, uint16_t slot,
		    uint64_t generation, uint32_t request);

struct ask_lite {
	uint32_t	 machine;
	uint64_t	 serial;	/* 0: 1 */
	uint32_t	 h2;
	uint32_t	 key;
	uint32_t	 disco;		/* 0: none */
	uint16_t	 port;		/* of the one endpoint; 0: none */
	uint16_t	 derp;
	const char	*host;		/* NULL: no Hostinfo */
};

void		 ask_lite_msg(struct dbdworker *, const struct ask_lite *,
		    struct msg *, struct buf *b);
uint32_t	 ask_lite_send(struct dbdworker *, const struct ask_lite *);
const struct msg *ask_lite(struct dbdworker *, const struct ask_lite *);

#endif
