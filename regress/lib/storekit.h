/* A store in a folder of its own, rows to put in and ways to look at it. */

#ifndef REGRESS_LIB_STOREKIT_H
#define REGRESS_LIB_STOREKIT_H

#include "common/buf.h"
#include "dbd/store.h"

struct storekit {
	char		 dir[64];
	char		 path[80];
	char		 logged[1024];	/* the last line */
	struct store	*s;
	struct buf	 got;		/* rows as text */
	int		 rows;
	int		 stop_at;	/* this row's callback returns -1 */
};

/* For cmocka: an open, empty store as *state; the folder goes with it. */
int	sk_setup(void **state);
int	sk_teardown(void **state);
/* Opens it in master's life 0 or 1. */
void	sk_open_as(struct storekit *, unsigned int boot);
/* Closes it and opens it in life 0. */
void	sk_again(struct storekit *);

/* Rows; texts are borrowed.  Octets follow from the id. */
void	sk_fill(uint8_t *, size_t, unsigned int seed);
struct tailnet_row sk_tailnet(uint64_t id, const char *name);
/* In tailnet 1, as all that follow. */
struct user_row	sk_user(uint64_t id, const char *name);
/* Of user 1, with empty lists; ip4 may be NULL. */
struct node_row	sk_node(uint64_t id, const char *name, const char *ip4);
struct authkey_row sk_authkey(uint64_t id, uint64_t owner);
/* Append to a list whose octets are in the buffer. */
void	sk_add_text(struct msg_list *, struct buf *, struct slice);
void	sk_add_route(struct msg_list *, struct buf *, const char *);
void	sk_add_endpoint(struct msg_list *, struct buf *, const char *);
/* Commits tailnet 1 "default" with user 1 "alice". */
void	sk_base(struct storekit *);

/* Callbacks: append the row as text to got and count it. */
int	sk_on_tailnet(const struct tailnet_row *, void *storekit);
int	sk_on_user(const struct user_row *, void *storekit);
int	sk_on_node(const struct node_row *, void *storekit);
int	sk_on_key(const struct authkey_row *, void *storekit);
int	sk_on_rest(const struct rest_row *, void *storekit);
int	sk_on_exposure(const struct exposure_row *, void *storekit);
int	sk_on_row(const struct log_row *, void *storekit);
int	sk_on_result(const struct result_row *, void *storekit);
int	sk_on_policy(const struct policy_row *, void *storekit);
int	sk_on_audit(const struct audit_row *, void *storekit);
/* What was appended since the last call; counting begins anew. */
const char *sk_got(struct storekit *);

/* How many nodes can be loaded. */
unsigned int sk_nodes_left(struct storekit *);
/* True if the one node that is loaded is the same in every field. */
bool	sk_same_node(struct storekit *, const struct node_row *);
/* The number that a query gives on a connection of its own. */
long long sk_ask(struct storekit *, const char *sql);
/* Changes the file behind the store's back. */
void	sk_poke(struct storekit *, const char *sql);

#endif
