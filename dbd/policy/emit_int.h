/* Between the emit*.c files only: a compiled policy in the making. */

#ifndef DBD_POLICY_EMIT_INT_H
#define DBD_POLICY_EMIT_INT_H

#include "common/pol.h"
#include "dbd/policy/arena.h"
#include "dbd/policy/ast.h"
#include "dbd/policy/who.h"

/* Finds what is equal among things with numbers. */
struct table {
	uint32_t	*slot;		/* number + 1; 0: free */
	size_t		 nslots;	/* a power of two */
	size_t		 n;
};

/* Ids, ascending. */
struct users {
	const uint64_t	*v;
	uint32_t	 n;
	bool		 known;
};

struct domain_users {
	struct domain_users *next;
	struct slice	 domain;
	struct users	 users;
};

struct emit {
	struct arena	*a;
	const struct policy *p;
	const struct tailnet_info *info;
	struct who	*who;
	bool		 too_big;	/* over a bound of pol.h */
	struct pol_sel	*sel;
	struct pol_src	*src;
	struct pol_row	*row;
	uint32_t	 nsels, nsrcs, nrows;
	uint32_t	 capsels, capsrcs, caprows;
	struct table	 sels, srcs;
	struct users	*group;		/* of each of p->group, once asked */
	struct users	 role[2];
	struct domain_users *domains;
	struct table	 groups;	/* by name, numbers of p->group */
	uint64_t	 entries;	/* as POL_MAX_ENTRIES counts them */
	uint64_t	 locals;	/* of all sets of domains */
};

/* What an alias is there for: "*" and danger-all differ. */
enum emit_as {
	AS_SOURCE,	/* source, target, approver; of a CapGrant, either */
	AS_DST		/* destination with ports */
};

/* Room in an arena's array that grows: returns where it is now. */
void	*emit_room(struct emit *, void *old, uint32_t n, uint32_t *cap,
	    size_t size);

/* Must come first. */
void	 emit_sels_init(struct emit *);
/* The selector of an alias that yields one: all but self and internet. */
uint32_t emit_sel(struct emit *, const struct alias *, enum emit_as);
/* The seven ranges of autogroup:internet, appended to v. */
void	 emit_internet(struct emit *, uint32_t v[7]);
/* The source set of these selectors, in any order, twice or not. */
uint32_t emit_src(struct emit *, const uint32_t *sel, uint32_t n);
/* The source set of a list of aliases. */
uint32_t emit_src_of(struct emit *, const struct aliases *);
/*
 * The users that an alias means; nobody if it means nodes.  Lists of groups,
 * domains and roles are made once.
 */
struct users emit_users(struct emit *, const struct alias *);
/* Sorts ids and leaves each once; how many are left. */
uint32_t emit_uniq(uint64_t *v, uint32_t n);
/* The user has a role: AG_OWNER, or AG_ADMIN with the owners. */
bool	 emit_has_role(const struct pol_user *, enum autogroup);
/*
 * The part of the user's login behind the last "@" is the domain, which is one
 * of the tailnet's own.
 */
bool	 emit_in_domain(const struct emit *, const struct pol_user *,
	    struct slice domain);
/* The login of a user: e-mail, or the name of one who has none. */
struct slice emit_login(const struct pol_user *);

void	 emit_prov(struct pol_prov *, enum pol_section, size_t index,
	    struct pos);

/* All rows of the packet filter, in their order, with names. */
void	 emit_rows(struct emit *);
/* A row is complete; dst's and ports' numbers are counted. */
void	 emit_row_add(struct emit *, const struct pol_row *);
void	 emit_row_names(struct emit *);
/* The ranges among the destinations, taken together, cover the Internet. */
bool	 emit_covers_internet(const struct emit *, const struct pol_dst *,
	    uint32_t n);

void	 emit_sshs(struct emit *, struct pol *);
void	 emit_attrs(struct emit *, struct pol *);
void	 emit_approvers(struct emit *, struct pol *);
void	 emit_owners(struct emit *, struct pol *);

/* An empty table for about n things, and what to do with one. */
void	 table_init(struct emit *, struct table *, size_t n);
/*
 * Walks the numbers whose hash may be h: *at starts as h; UINT32_MAX at the
 * end.
 */
uint32_t table_next(const struct table *, uint64_t *at);
void	 table_add(struct emit *, struct table *, uint64_t h, uint32_t number,
	    uint64_t (*hash)(const struct emit *, uint32_t number));
uint64_t table_hash(const void *, size_t, uint64_t seed);

#endif
