/* The lexical forms of policy.md 3: texts to values, without any context. */

#ifndef DBD_POLICY_LEX_H
#define DBD_POLICY_LEX_H

#include "dbd/policy/ast.h"

struct arena;

/* What is wrong with a protocol's name (policy.md 3.5). */
enum lex_proto {
	PROTO_OK, PROTO_STAR, PROTO_ZERO, PROTO_UNKNOWN, PROTO_RANGE
};

/* What is wrong with a duration (policy.md 3.7). */
enum lex_duration {
	DURATION_OK, DURATION_BAD, DURATION_BARE, DURATION_UNIT
};

/* Without white space, which is Unicode's, at both ends. */
struct slice	 lex_trim(struct slice);
/*
 * What an alias is (policy.md 3.1): fills kind, ag, text, prefix, slash;
 * AL_HOST's prefix is not known here.  False if it is none.
 */
bool		 lex_alias(struct alias *, struct slice);
/*
 * A host and its ports apart (policy.md 3.2); brackets are gone.  False with
 * the reason, for a message, in *why.
 */
bool		 lex_hostport(struct arena *, struct slice,
		    struct slice *host, struct slice *ports, const char **why);
/* policy.md 3.3.  False with the reason in *why. */
bool		 lex_ports(struct arena *, struct slice, struct ports *,
		    const char **why);
/* policy.md 3.5: the number of a protocol.  fold: its name in any case. */
enum lex_proto	 lex_proto(struct slice, bool fold, uint8_t *);
/* "tcp", or the number where there is no name. */
const char	*lex_proto_name(uint8_t, char buf[4]);
/*
 * Go's duration syntax, in nanoseconds; "0" without a unit too.  unit is the
 * one of DURATION_UNIT.
 */
enum lex_duration lex_duration(struct slice, int64_t *, struct slice *unit);
/* As Go prints it: "168h0m1s". */
void		 lex_duration_print(char buf[40], int64_t ns);
/* An address, or a prefix whose host bits are cleared; slash: a prefix. */
bool		 lex_prefix(struct slice, struct prefix *, bool *slash);

#endif
