/* What a stock client believes after the messages of one map stream. */

#ifndef REGRESS_SIM_VIEW_H
#define REGRESS_SIM_VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"

struct view_peer {
	uint64_t	 id;
	char		 name[80];
	char		 key[80];
	char		 disco[80];
	char		 endpoints[512];	/* comma separated */
	char		 addr[80];
	char		 allowed[256];		/* AllowedIPs */
	char		 primary[256];
	int		 online;		/* -1 unknown */
};

/* A named part of the packet filter, by the lowest port of each rule. */
struct view_filter {
	char		 name[40];
	uint64_t	 low, high;		/* of these */
};

struct view {
	bool		 first;			/* a first map has come */
	uint64_t	 self;
	char		 self_name[80];
	char		 self_key[80];
	char		 self_addr[80];
	char		 self_allowed[256];
	char		 self_primary[256];
	struct view_peer *peers;
	size_t		 n;
	struct view_filter filter[32];
	size_t		 nfilters;
	unsigned int	 messages;
	unsigned int	 keepalives;
	struct buf	 in;			/* of an unfinished message */
	char		 fault[200];		/* first, of protocol.md */
};

void	view_reset(struct view *);
void	view_free(struct view *);
/* Octets of the response body: u32 LE length, zstd, JSON, applied in order. */
void	view_input(struct view *, const void *, size_t);
/*
 * The one port that all rules of the packet filter begin at; UINT64_MAX if
 * there are none, or they do not agree.
 */
uint64_t view_port(const struct view *);
const struct view_peer *view_find(const struct view *, uint64_t id);

#endif
