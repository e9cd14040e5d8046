/* Policies as text for tests: users, a compile, and what it says. */

#ifndef REGRESS_LIB_POLREAD_H
#define REGRESS_LIB_POLREAD_H

#include "dbd/policy/arena.h"
#include "dbd/policy/ast.h"

/*
 * Six users: 1 ann (owner) and 2 ben of corp.example, 3 eve, whose provider
 * says idp-77, 4 and 5 both called twin, and 6, who is called as ben's mail
 * and whose provider says twin's.  The tailnet's domain is corp.example.
 */
extern const struct tailnet_info polread_info;

struct outcome {
	struct arena	*a;
	struct policy	*p;		/* NULL: refused */
	struct buf	 text, detail;	/* with a NUL */
	struct pol_error err;
};

/* Reads a policy; fails unless a refusal has a bounded message. */
void	polread(struct outcome *, struct slice text);
void	polread_done(struct outcome *);

struct polread_row {
	const char	*policy;
	const char	*says;		/* NULL: taken */
};

/* Fails with the policy's text where one says something else. */
void	polread_all(const struct polread_row *, size_t);

/* Shorthands: one rule in a policy that defines what the rules name. */
#define DEFS	"\"groups\":{\"group:ops\":[\"ann@\"]}," \
		"\"tagOwners\":{\"tag:db\":[\"group:ops\"],\"tag:web\":[]}," \
		"\"hosts\":{\"nas\":\"10.9.0.7\",\"lan\":\"10.9.0.0/16\"," \
		"\"all\":\"::/0\"},"
#define ACL(x)		"{" DEFS "\"acls\":[{\"action\":\"accept\"," x "}]}"
#define ACL_SRC(x)	ACL("\"src\":[" x "],\"dst\":[\"*:*\"]")
#define ACL_DST(x)	ACL("\"src\":[\"*\"],\"dst\":[" x "]")
#define GRANT(x)	"{" DEFS "\"grants\":[{" x "}]}"
#define GRANT_DST(x)	GRANT("\"src\":[\"ann@\"],\"ip\":[\"*\"],\"dst\":[" \
			    x "]")
#define GRANT_IP(x)	GRANT("\"src\":[\"*\"],\"dst\":[\"*\"],\"ip\":[" x \
			    "]")
#define GRANT_APP(x)	GRANT("\"src\":[\"*\"],\"dst\":[\"tag:db\"]," \
			    "\"app\":{" x "}")
#define SSH(x)		"{" DEFS "\"ssh\":[{" x "}]}"
#define SSH_SRC(x)	SSH("\"action\":\"accept\",\"users\":[\"root\"]," \
			    "\"dst\":[\"tag:db\"],\"src\":[" x "]")
#define SSH_DST(x)	SSH("\"action\":\"accept\",\"users\":[\"root\"]," \
			    "\"src\":[\"ann@\"],\"dst\":[" x "]")
#define SSH_BOTH(s, d)	SSH("\"action\":\"accept\",\"users\":[\"root\"]," \
			    "\"src\":[" s "],\"dst\":[" d "]")
#define SSH_USERS(x)	SSH("\"action\":\"accept\",\"src\":[\"ann@\"]," \
			    "\"dst\":[\"tag:db\"],\"users\":[" x "]")
#define SSH_CHECK(x)	SSH("\"action\":\"check\",\"src\":[\"ann@\"]," \
			    "\"dst\":[\"tag:db\"],\"users\":[\"root\"]," \
			    "\"checkPeriod\":" x)
#define ATTR(x)		"{" DEFS "\"nodeAttrs\":[{" x "}]}"
#define TARGET(x)	ATTR("\"attr\":[\"funnel\"],\"target\":[" x "]")
#define TEST(x)		"{" DEFS "\"tests\":[{" x "}]}"
#define SSHTEST(x)	"{" DEFS "\"sshTests\":[{\"src\":\"ann@\"," \
			    "\"accept\":[\"root\"],\"dst\":[" x "]}]}"

#endif
