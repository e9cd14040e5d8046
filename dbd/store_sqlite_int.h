/* Within the SQLite store: prepared statements, bound and read in order. */

#ifndef DBD_STORE_SQLITE_INT_H
#define DBD_STORE_SQLITE_INT_H

#include <sqlite3.h>

#include "common/buf.h"
#include "dbd/store.h"

/* Each is prepared at its first use and kept. */
enum stmt {
	ST_BEGIN, ST_COMMIT, ST_ROLLBACK, ST_SAVEPOINT, ST_RELEASE, ST_UNDO,
	ST_DATA_VERSION, ST_COUNTER_GET, ST_COUNTER_SET, ST_FORGET_BOOTS,
	ST_TAILNET_LOAD, ST_TAILNET_SEQ, ST_TAILNET_PUT,
	ST_USER_LOAD, ST_USER_PUT, ST_USER_DEL,
	ST_NODE_LOAD, ST_NODE_SAME, ST_NODE_PUT, ST_NODE_SEEN, ST_NODE_DEL,
	ST_ROUTE_LIST, ST_ROUTE_LOAD, ST_ROUTE_CLEAR, ST_ROUTE_ADD,
	ST_KEY_LOAD, ST_KEY_PUT, ST_KEY_DEL,
	ST_POLICY_LOAD, ST_POLICY_LIST, ST_POLICY_FIND, ST_POLICY_ADD,
	ST_POLICY_BLOB, ST_POLICY_BARE,
	ST_REST_LOAD, ST_REST_PUT, ST_REST_DEL,
	ST_EXPOSURE_LOAD, ST_EXPOSURE_PUT, ST_EXPOSURE_DEL,
	ST_BOOT_GET, ST_BOOT_SET,
	ST_RESULT_FIND, ST_RESULT_PUT, ST_RESULT_DEL, ST_RESULT_TRIM,
	ST_LOG_LOAD, ST_LOG_HAS, ST_LOG_ADD, ST_LOG_TRIM,
	ST_AUDIT_LOAD, ST_AUDIT_ADD, ST_AUDIT_TRIM,
	ST_FETCHED_LOAD, ST_FETCHED_PUT, ST_FETCHED_DEL,
	ST_CERT_FIND, ST_CERT_PUT,
	ST_MAX
};

struct store {
	sqlite3		*db;
	sqlite3_stmt	*stmt[ST_MAX];
	char		*path;
	uint8_t		 boot[16];
	bool		 same_boot;	/* it has been open in this one */
	uint64_t	 next[STORE_ID_MAX];
	int64_t		 data_version;
	bool		 broken;	/* a commit failed: never write again */
	struct buf	 tags;		/* scratch of the codecs */
	struct buf	 endpoints;
	struct buf	 hostinfo;
	struct buf	 approved;
	struct buf	 primary;
	struct buf	 refused;
};

/*
 * One use of a statement: values are bound and columns read in the order in
 * which they stand, and an error sticks.
 */
struct query {
	struct store	*s;
	sqlite3_stmt	*st;
	const char	*what;		/* "put node", for the log */
	int		 i;		/* last parameter or column */
	bool		 bad;
};

void	 q_init(struct query *, struct store *, enum stmt, const char *what,
	    const char *sql);

/* Text and octets must live until the query ends. */
void	 q_u64(struct query *, uint64_t);
void	 q_i64(struct query *, int64_t);
void	 q_text(struct query *, struct slice);
void	 q_blob(struct query *, const void *, size_t);
void	 q_null(struct query *);
/* NULL for 0. */
void	 q_id(struct query *, uint64_t);
/* NULL for UINT32_MAX: the server itself. */
void	 q_uid(struct query *, uint32_t);
/* NULL for none. */
void	 q_ip(struct query *, const struct ip *, char text[IP_TEXT]);

/* Runs a statement without rows and ends the query; 0 or -1 (logged). */
int	 q_run(struct query *);
/* The same, and only within a transaction. */
int	 q_write(struct query *);
/* Next row: 1, or 0 at the end, or -1 (logged). */
int	 q_row(struct query *);
/* Ends a query with rows: rc, or -1 if a column of the last row was bad. */
int	 q_end(struct query *, int rc);

/* The next column; an error sticks in bad. */
uint64_t q_get_u64(struct query *);
/* At most max. */
uint64_t q_get_max(struct query *, uint64_t max);
int64_t	 q_get_i64(struct query *);
bool	 q_get_bool(struct query *);
/* 0 for NULL, else not 0. */
uint64_t q_get_id(struct query *);
/* UINT32_MAX for NULL. */
uint32_t q_get_uid(struct query *);
/* UTF-8 without NUL, min to max octets. */
struct slice q_get_text(struct query *, size_t min, size_t max);
/* At most max octets. */
struct slice q_get_blob(struct query *, size_t max);
/* Exactly n octets. */
void	 q_get_fix(struct query *, void *, size_t n);
/* Family 0 for NULL, else of this family. */
void	 q_get_ip(struct query *, struct ip *, uint8_t family);

/*
 * Tags as text: joined by commas, and what is not a letter, digit, ':', '_',
 * '.' or '-' as %XX, so that any list comes back as it was.  tags_dec appends
 * the list's records to b; false if there are more than max or one is bad.
 */
void	 tags_enc(struct buf *, const struct msg_list *);
bool	 tags_dec(struct msg_list *, struct buf *, struct slice, uint32_t max);
/* Endpoints as text, joined by spaces; "-" for none. */
void	 endpoints_enc(struct buf *, const struct msg_list *);
bool	 endpoints_dec(struct msg_list *, struct buf *, struct slice,
	    uint32_t max);

#endif
