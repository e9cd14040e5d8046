/*
 * A compiled policy (state.md 6): what policyc makes of text and users, dbd
 * checks and stores, and workers apply to nodes.  It names no node.  The
 * rules' meaning is that of policy.md; this is their shape.
 */

#ifndef COMMON_POL_H
#define COMMON_POL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/ip.h"

#define POL_RANGE_TEXT	96	/* longest text of a range with NUL */

/* A selector: one thing that a rule can say of a node or an address. */
enum pol_sel_kind {
	POL_ANY,	/* every address: "*" on the wire (as a destination,
			 * and autogroup:danger-all as a source) */
	POL_TAILNET,	/* "*" as a source: all nodes; the tailnet's ranges
			 * and each approved subnet route on the wire */
	POL_USERS,	/* untagged nodes of these users */
	POL_TAG,	/* nodes with this tag */
	POL_MEMBER,	/* untagged nodes */
	POL_TAGGED,	/* nodes with any tag */
	POL_RANGE	/* addresses lo to hi, as text says it */
};

struct pol_sel {
	uint8_t		 kind;
	bool		 inet;		/* POL_RANGE inside of
					 * autogroup:internet */
	struct slice	 text;		/* POL_TAG: with "tag:"; POL_RANGE:
					 * wire form */
	struct ip	 lo, hi;	/* POL_RANGE, one family */
	const uint64_t	*user;		/* POL_USERS: ascending, no duplicate */
	uint32_t	 nusers;
};

/* A set of sources: distinct selectors, ascending. */
struct pol_src {
	const uint32_t	*sel;
	uint32_t	 n;
};

struct pol_port {
	uint16_t	 first;
	uint16_t	 last;
};

/* One destination of a row, in the order of policy.md 5.3. */
struct pol_dst {
	uint32_t	 sel;
	const struct pol_port *port;	/* none in rows with caps */
	uint32_t	 nports;
	uint32_t	 alias;		/* those with the same number came of
					 * one alias: one CapGrant entry */
};

enum pol_section {
	POL_GRANTS, POL_ACLS, POL_SSH, POL_ATTRS, POL_APPROVERS,
	POL_DEFAULT			/* of no acls and no grants */
};

/* Where a row comes from. */
struct pol_prov {
	uint8_t		 section;
	uint32_t	 index;		/* in its section, from 0 */
	uint32_t	 line;		/* from 1 */
	uint32_t	 column;
};

#define POL_ROW_SELF	0x01	/* autogroup:self: for each owner apart; dst
				 * has one entry whose sel is not used */
#define POL_ROW_VIA	0x02	/* only on nodes with one of the via tags */
#define POL_ROW_INET	0x04	/* dst as a whole covers the Internet
				 * (policy.md 10.1) */
#define POL_ROW_APP	0x08	/* caps instead of ports; with POL_ROW_VIA it
				 * is never sent but steers (policy.md 8) */

/*
 * A rule of the packet filter, in the order of policy.md 5.1, before rows
 * with equal sources and protocol are merged (5.5).
 */
struct pol_row {
	uint64_t	 name;		/* stays the same while its sources
					 * and protocol, or caps, do */
	uint8_t		 flags;
	uint8_t		 proto;		/* 0: none named */
	uint32_t	 src;
	const struct pol_dst *dst;
	uint32_t	 ndst;
	const uint32_t	*via;		/* POL_TAG selectors */
	uint32_t	 nvia;
	struct slice	 caps;		/* JSON of the CapMap */
	struct pol_prov	 prov;
};

/* localpart:*@domain: the local part of a user's login, as JSON string. */
struct pol_local {
	uint64_t	 user;
	struct slice	 name;
};

struct pol_ssh {
	bool		 check;		/* else accept */
	bool		 self;		/* autogroup:self is a destination */
	bool		 locals;	/* the rule has a localpart */
	int64_t		 period;	/* check, seconds; 0: always */
	uint32_t	 src;
	const uint32_t	*dst;		/* selectors, besides self */
	uint32_t	 ndst;
	struct slice	 users;		/* JSON of the common sshUsers map */
	const struct pol_local *local;	/* ascending by user */
	uint32_t	 nlocals;
	struct slice	 env;		/* JSON of acceptEnv, or empty */
	struct pol_prov	 prov;
};

/* nodeAttrs: keys, each `"key":null`, joined by commas. */
struct pol_attr {
	uint32_t	 src;		/* whose nodes; POL_TAILNET: all */
	struct slice	 keys;
	bool		 no_ip4;	/* disable-ipv4 is among them */
	struct pol_prov	 prov;
};

/* autoApprovers: exit for exitNode, else routes inside of route. */
struct pol_approver {
	bool		 exit;
	struct prefix	 route;
	uint32_t	 src;
	struct pol_prov	 prov;
};

/* tagOwners with all that is owned through other tags. */
struct pol_owner {
	struct slice	 tag;
	bool		 anyone;	/* any user (autogroup:member) */
	const uint64_t	*user;		/* ascending */
	uint32_t	 nusers;
};

struct pol {
	const struct pol_sel *sel;
	uint32_t	 nsels;
	const struct pol_src *src;
	uint32_t	 nsrcs;
	const struct pol_row *row;
	uint32_t	 nrows;
	const struct pol_ssh *ssh;
	uint32_t	 nsshs;
	const struct pol_attr *attr;
	uint32_t	 nattrs;
	const struct pol_approver *approver;
	uint32_t	 napprovers;
	const struct pol_owner *owner;	/* ascending by tag */
	uint32_t	 nowners;
	struct pol_index *index;	/* made by pol_load() */
	void		*mem;
};

#define POLICY_TEXT_MAX	(1024u * 1024)	/* octets of a text */
#define POL_MAX		(64u * 1024 * 1024)	/* octets of a blob */
#define POL_MAX_COUNT	(1u << 18)	/* selectors, rows, ... of a policy */
#define POL_MAX_ENTRIES	(1u << 20)	/* ports of all destinations of rows */
#define POL_MAX_SOURCES	(1u << 22)	/* selectors of the sources of all rows,
					 * ... that have one, shared or not */

/*
 * The name of a row by what it holds: sources (their pol_src_hash()),
 * protocol, kind, via tags and caps, not destinations.  nth: how many rows
 * with caps that are alike came before it.
 */
uint64_t pol_row_name(const struct pol *, const struct pol_row *,
	    uint64_t src_hash, uint32_t nth);
uint64_t pol_src_hash(const struct pol *, uint32_t src);
/*
 * Writes addresses as the wire has them: address, prefix or "lo-hi" (span);
 * returns the length, without NUL.  lo and hi of one family.
 */
size_t	 pol_range_print(char dst[POL_RANGE_TEXT], const struct ip *lo,
	    const struct ip *hi, bool span);

/* Appends the blob of a policy; index and mem are not looked at. */
void	 pol_save(struct buf *, const struct pol *);
/*
 * Reads a blob, checks every count, index and order in it and makes the
 * indexes.  The octets are copied.  NULL, and why in err, if anything is off:
 * nothing of a blob that fails is ever used.  pol_free() frees it.
 */
struct pol *pol_load(const void *, size_t, const char **err);
/* What has no text: everything is allowed as by {} (policy.md 5.6), or not. */
struct pol *pol_builtin(bool allow);
void	 pol_free(struct pol *);

#endif
