/*
 * A client as map messages see it: decodes them as stock clients do, with
 * what these lose and refuse (protocol.md 2.3, 5.2 to 5.8), and keeps what
 * they would know.
 */

#ifndef REGRESS_LIB_MAPVIEW_H
#define REGRESS_LIB_MAPVIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct json_object;
struct mapview;

/* What came so far. */
struct mapview_count {
	unsigned int	 messages;	/* but keep-alives */
	unsigned int	 keepalives;
	unsigned int	 full;		/* with Peers */
	unsigned int	 changed;	/* nodes in PeersChanged */
	unsigned int	 patched;	/* PeerChanges */
	unsigned int	 removed;	/* ids */
	unsigned int	 self;		/* Node */
	unsigned int	 dns;
	unsigned int	 derp;
	unsigned int	 filters;	/* messages with PacketFilters */
};

struct mapview	*mapview_new(uint64_t self, bool compress);
void		 mapview_free(struct mapview *);
/*
 * Takes the next octets of the stream: any number of messages, parts of them
 * too.  NULL, or what a client would refuse or lose.
 */
const char	*mapview_input(struct mapview *, const void *, size_t);
/* Nothing of a message is left over. */
bool		 mapview_whole(const struct mapview *);
const struct mapview_count *mapview_count(const struct mapview *);
/* The last message's JSON, NUL-terminated. */
const char	*mapview_text(const struct mapview *);

/* Borrowed; NULL if there is none. */
struct json_object *mapview_self(const struct mapview *);
struct json_object *mapview_peer(const struct mapview *, uint64_t id);
struct json_object *mapview_profile(const struct mapview *, uint64_t id);
/* The latest value of a member such as "DNSConfig". */
struct json_object *mapview_get(const struct mapview *, const char *name);
/* An object's list of this name has the text in it. */
bool		 mapview_lists(struct json_object *, const char *name,
		    const char *text);
size_t		 mapview_peers(const struct mapview *);
/*
 * NULL if both know the same: peers (but LastSeen of those that are online),
 * the own node, the owners' profiles, DNS, DERP map, filters.  Else what is
 * different.
 */
const char	*mapview_differ(const struct mapview *,
		    const struct mapview *truth);

#endif
