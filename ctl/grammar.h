/*
 * The command language: tables that point at tables.  Pure: words in, a
 * command or a text out.
 */

#ifndef CTL_GRAMMAR_H
#define CTL_GRAMMAR_H

#include <stddef.h>

#include "common/buf.h"

enum act {
	A_NONE,
	A_USER_ADD,
	A_USER_LIST,
	A_USER_RENAME,
	A_USER_DELETE,
	A_USER_ROLE,
	A_KEY_CREATE,
	A_KEY_LIST,
	A_KEY_EXPIRE,
	A_KEY_DELETE,
	A_NODE_LIST,
	A_NODE_SHOW,
	A_NODE_RENAME,
	A_NODE_TAG,
	A_NODE_MOVE,
	A_NODE_EXPIRE,
	A_NODE_LOGOUT,
	A_NODE_DELETE,
	A_ROUTE_LIST,
	A_ROUTE_APPROVE,
	A_ROUTE_UNAPPROVE,
	A_POLICY_SET,
	A_POLICY_GET,
	A_POLICY_CHECK,
	A_POLICY_TEST,
	A_POLICY_DIFF,
	A_POLICY_WHY,
	A_POLICY_HISTORY,
	A_POLICY_ROLLBACK,
	A_DERP_LIST,
	A_CERT_LIST,
	A_CERT_RENEW,
	A_STATUS,
	A_METRICS,
	A_EXPOSURE,
	A_RELOAD,
	A_LOG_VERBOSE,
	A_LOG_BRIEF,
	A_VERSION,
	A_HELP,
	A_COMPLETE
};

/* What stands after a word or an option. */
enum arg {
	ARG_NONE,
	ARG_USER,
	ARG_NODE,
	ARG_KEY,
	ARG_NAME,
	ARG_DISPLAY,
	ARG_TAGS,
	ARG_WHEN,
	ARG_EXPIRES,
	ARG_SLOT,
	ARG_GENERATION,
	ARG_ROLE,
	ARG_FILE,
	ARG_REASON,
	ARG_VERSION,
	ARG_SRC,
	ARG_DST,
	ARG_LINES,
	ARG_SOCKET,
	ARG_MAX
};

#define F_JSON		0x01
#define F_YES		0x02
#define F_HELP		0x04
#define F_REUSABLE	0x08
#define F_EPHEMERAL	0x10
#define F_REVOKE	0x20
#define F_VERBOSE	0x40

struct command {
	enum act	 act;
	unsigned int	 flags;
	const char	*arg[ARG_MAX];	/* as typed; NULL: not given */
	int		 restc;		/* help, complete: all that follows; */
	char		**rest;		/* routes: the prefixes */
};

/*
 * Reads the words after the program's name.  Keywords and long options may be
 * cut short where that leaves one.  0, or -1 with a text in why.  The command
 * points into argv, whose order may change.
 */
int	grammar_parse(struct command *, int argc, char **argv, char *why,
	    size_t whylen);
/* "nodes delete", for messages. */
const char *grammar_name(enum act);
/*
 * Appends the usage of all commands that begin with these words; false if
 * there are none.
 */
bool	grammar_usage(struct buf *, int argc, char **argv);
/*
 * What may stand in the place of the last word, for completion: appends lines
 * "WORD<tab>help".  Returns the argument that stands there, ARG_NONE if it is
 * a keyword, an option or nothing.
 */
enum arg grammar_complete(struct buf *, int argc, char **argv);

/* Steps from a to b by insertion, deletion, change and swap of octets. */
unsigned int	word_distance(const char *a, const char *b);
/* True if b is near enough to a to ask whether it was meant. */
bool		word_near(const char *a, const char *b);

#endif
