/* What dbd keeps: tailnets, users, nodes, auth keys. */

#ifndef DBD_TYPES_H
#define DBD_TYPES_H

#include "common/enc.h"
#include "common/msg.h"

#define HASH_LEN	32	/* SHA-256 */
#define BATCH_LEN	16

/* Policy of a tailnet, as stored. */
enum policy_kind {
	POLICY_DENY_ALL = 0,
	POLICY_ALLOW_ALL = 1,
	POLICY_COMPILED = 2	/* of its text */
};

struct tailnet_row {
	uint64_t	 id;
	struct slice	 name;		/* "default" */
	struct slice	 stable_id;
	uint64_t	 seq;		/* of its last operation */
	uint8_t		 batch[BATCH_LEN]; /* of its last batch */
	enum policy_kind policy;	/* of the newest policy version, */
	uint32_t	 version;	/* which is this one; 0: none */
	int64_t		 created;
};

struct user_row {
	uint64_t	 tailnet;
	struct r_user	 user;
};

/* The node as workers know it, and what only dbd knows. */
struct node_row {
	uint64_t	 tailnet;
	struct r_node	 node;		/* online is not stored as truth: only
					 * as the "was online" hint */
	uint8_t		 nl_key[KEY_LEN];
	uint64_t	 key_id;	/* auth key that made it; 0 none */
	bool		 mapped;	/* has completed a first map */
	bool		 renamed;	/* an administrator chose its name */
	struct msg_list	 refused;	/* of r_route: an administrator took
					 * them back; no policy approves them
					 * until they are advertised anew or
					 * another version is in force */
};

struct authkey_row {
	uint64_t	 tailnet;
	uint64_t	 id;
	uint8_t		 hash[HASH_LEN]; /* SHA-256 of the whole text */
	struct slice	 prefix;	/* public part, for lists */
	uint64_t	 user;		/* 0: only tags */
	bool		 reusable;
	bool		 ephemeral;
	bool		 revoked;
	uint32_t	 used;		/* registrations that it made */
	uint64_t	 used_node;	/* single-use: what it made */
	uint8_t		 used_machine[KEY_LEN];
	int64_t		 created;
	int64_t		 expiry;	/* 0 never */
	struct msg_list	 tags;		/* of r_text */
};

/* One operation's address that must rest: never reused within an hour. */
struct rest_row {
	uint64_t	 tailnet;
	struct ip	 ip4;
	struct ip	 ip6;
	int64_t		 until;
};

struct audit_row {
	uint64_t	 tailnet;
	int64_t		 at;
	uint32_t	 uid;		/* administrator, or UINT32_MAX */
	const char	*what;		/* "node.rename" */
	uint64_t	 target;
	struct slice	 detail;	/* text, no secrets */
};

/* A version of a tailnet's policy; the newest is in force. */
struct policy_row {
	uint64_t	 tailnet;
	uint32_t	 version;	/* 1 ..., given by the store */
	enum policy_kind kind;
	uint32_t	 uid;		/* author, or UINT32_MAX: the server */
	int64_t		 at;
	struct slice	 reason;	/* at most 255 octets */
	struct slice	 text;		/* what was given */
	uint64_t	 size;		/* octets of it, also where text is
					 * not loaded */
	struct slice	 blob;		/* POLICY_COMPILED: common/pol.h, or
					 * empty: not compiled yet */
};

struct exposure_row {
	/* Master's life in which it was; all zero in a put: this one. */
	uint8_t		 boot[16];
	uint16_t	 slot;
	uint64_t	 generation;
	uint64_t	 tailnet;
	uint64_t	 node;
	uint8_t		 node_key[KEY_LEN];
	int64_t		 first;
	int64_t		 last;
	bool		 revoked;
};

/*
 * The stored answer to a request: found again when it is sent a second time.
 * body is the encoded reply; secret: it held one that can't be repeated.
 */
struct result_row {
	uint16_t	 slot;
	uint64_t	 generation;
	uint32_t	 request;
	uint32_t	 type;		/* enum msg_type of the reply */
	bool		 secret;
	struct slice	 body;
};

/* The log row of a batch: what workers that were away must be told. */
struct log_row {
	uint64_t	 tailnet;
	uint64_t	 seq;		/* of the last operation in it */
	uint8_t		 batch[BATCH_LEN];
	int64_t		 at;
	struct slice	 changes;	/* as in a snapshot: u16 type, u32
					 * length, body, without DB_BATCH */
};

/* The last good answer of a URL. */
struct fetched_row {
	struct slice	 url;		/* at most 255 octets */
	struct slice	 body;		/* at most FETCHED_MAX */
	int64_t		 at;
};
#define FETCHED_MAX	(1024 * 1024)

/* What is known of the certificate that is had by ACME. */
struct cert_row {
	struct slice	 directory;	/* of the account; at most 1024 */
	struct slice	 account;	/* its URL, or empty; likewise */
	struct msg_list	 names;		/* of r_text: those of the chain */
	struct slice	 chain;		/* PEM, CERT_CHAIN_MAX; or empty */
	int64_t		 not_before;
	int64_t		 not_after;
	uint32_t	 failed;	/* times in a row */
	int64_t		 retry;		/* not before this time */
	struct slice	 why;		/* it failed; at most 255 */
};
#define CERT_CHAIN_MAX	60000
#define CERT_NAMES	32

#endif
