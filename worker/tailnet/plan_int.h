/*
 * Between filter.c, plan*.c, sshplan.c and attrs.c: the lists that plans are
 * made of, kept until what they list changes.
 */

#ifndef WORKER_TAILNET_PLAN_INT_H
#define WORKER_TAILNET_PLAN_INT_H

#include "worker/tailnet/filter_int.h"
#include "worker/tailnet/replica_int.h"
#include "worker/tailnet/srcset_int.h"

enum source_kind {
	SRC_IPS,		/* SrcIPs of a pol_src */
	SRC_OWNER_IPS,		/* of an owner's untagged nodes */
	SRC_PEOPLE,		/* principals of a pol_src */
	SRC_TAGGED_PEOPLE,	/* tagged nodes of it alone */
	SRC_OWNER_PEOPLE,	/* an owner's untagged nodes */
	SRC_SSH			/* what an SSH rule is for those who are
				 * among its destinations */
};

/* A list of the policy in force, made when it is asked for. */
struct source {
	uint8_t		 kind;
	bool		 stale;
	uint32_t	 index;		/* of the pol_src or pol_ssh */
	uint64_t	 user;
	struct srctext	*text;		/* NULL: nobody asked */
};

/* What a plan was made of: it is good while these texts are the same. */
struct dep {
	struct source	*source;
	struct srctext	*text;
};

/* Where a plan is kept. */
struct slot {
	struct plan	*plan;		/* NULL: none */
	uint64_t	 gen;		/* of filters when it was good */
	struct dep	*dep;
	uint32_t	 ndeps;
	uint32_t	 cap;
};

struct class_slot {
	struct slot	 all;
	struct idmap	 some;		/* struct slot by owner or node */
	bool		 known;		/* the next two are */
	bool		 by_owner;	/* the owner matters */
	bool		 by_node;	/* the node's own routes are told */
};

/* All that is kept for a replica's plans under one ruleset. */
struct filters {
	struct ruleset	*rules;		/* counted */
	uint64_t	 gen;		/* one more with each change of any
				 * list's members */
	struct source	*ips;		/* by pol_src; so are the next two */
	struct source	*people;
	struct source	*tagged;
	struct source	*ssh;		/* by pol_ssh */
	struct idmap	 owner;		/* struct owner_sources */
	struct class_slot *class;	/* by its index */
	uint32_t	 nclasses;
	uint32_t	 nslots;	/* by owner and node */
	uint32_t	 nsrcs;
	uint32_t	 nsshs;
	uint64_t	 made;		/* lists, ever: for tests */
	uint64_t	 planned;	/* plans, ever */
};

struct owner_sources {
	struct source	 ips;
	struct source	 people;
};

/* Those of the ruleset in force, made if there are none. */
struct filters	*filters_get(struct replica *);
/* The list as it is now; borrowed until the replica changes. */
struct srctext	*filters_text(struct replica *, struct source *);
/* Of an owner; made if there is none. */
struct owner_sources *filters_owner(struct replica *, uint64_t user);
/*
 * Forgets what is kept by owner and node if that is more than there are; for
 * nobody tells of those who go.  No text may be borrowed.
 */
void		 filters_trim(struct replica *);
/* The class's node is in the set by what it is, not by its address. */
bool		 src_identity(const struct pol *, uint32_t src,
		    const struct pol_hits *);
/*
 * The class's owners are in the set, each with all untagged nodes: what
 * autogroup:self asks (policy.md 7).
 */
bool		 src_owners(const struct pol *, uint32_t src,
		    const struct pol_hits *);
/*
 * The set may have so many members: false is certain, and costs no list.
 */
bool		 src_count(const struct replica *, uint32_t src, uint32_t n);
/* A selector of this kind is in the set. */
bool		 src_has(const struct pol *, uint32_t src, enum pol_sel_kind);
/* What is left in a slot's stead is nothing. */
void		 slot_clear(struct slot *);

/* Own addresses stand in a plan's text as these octets. */
#define PLAN_IP4	'\001'
#define PLAN_IP6	'\002'

/* A rule of the packet filter, as a chunk of its own. */
struct rule {
	uint64_t	 name;
	struct src_hash	 hash;		/* of all that it says */
	struct srctext	*src;
	uint32_t	 at;		/* what follows the sources */
	uint32_t	 n;
};

/* A part of the SSH policy: whole rules, comma separated. */
struct piece {
	struct srctext	*shared;	/* NULL: at and n */
	uint32_t	 at;
	uint32_t	 n;
};

struct plan {
	uint32_t	 refs;
	uint32_t	 nrules;
	uint32_t	 npieces;
	uint32_t	 caps_at;
	uint32_t	 caps_n;
	struct src_hash	 filter;	/* of all rules, in any order */
	struct src_hash	 ssh;
	struct src_hash	 caps;
	struct rule	*rule;
	struct piece	*piece;
	struct buf	 text;
};

/* A plan while it is made. */
struct maker {
	struct replica	*r;
	struct filters	*f;
	const struct pol *pol;
	const struct class *class;
	const struct node *node;	/* whose it is if the class has one
					 * node only; else any of it */
	uint64_t	 owner;		/* 0: it does not matter */
	struct plan	*plan;
	struct slot	*slot;
};

/* The list's text, and that the plan was made of it; borrowed. */
struct srctext	*maker_text(struct maker *, struct source *);
/*
 * Appends the row's destinations for the class as DstPorts or CapGrant
 * entries, comma separated and maybe with one in front: those that it is
 * among (policy.md 6, 8, 9).
 */
void		 plan_dst(struct maker *, const struct pol_row *,
		    struct buf *);
/* Makes the plan's pieces (sshplan.c) and its CapMap (attrs.c). */
void		 plan_ssh(struct maker *);
void		 plan_attrs(struct maker *);
/* The owner of the class's nodes may matter to what they are told. */
bool		 plan_by_owner(const struct pol *, const struct class *);
/* An SSH rule names the class's nodes once for each tag of theirs. */
bool		 ssh_by_node(const struct pol *, const struct pol_hits *);
/* Appends what an SSH rule is for its destinations; how many rules. */
uint32_t	 ssh_rule_text(struct replica *, uint32_t index,
		    struct buf *);

#endif
