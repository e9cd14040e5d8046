/* Inside regress/sim: world.c and wire.c. */

#ifndef REGRESS_SIM_WORLD_INT_H
#define REGRESS_SIM_WORLD_INT_H

#include <sys/queue.h>

#include "common/buf.h"
#include "regress/sim/world.h"

#define SIM_FD_BASE	1000000

struct event {
	uint64_t	 at;
	uint64_t	 order;
	void		(*fn)(void *);
	void		*arg;
};

struct sproc {
	TAILQ_ENTRY(sproc) entry;
	struct world	*world;
	char		 name[32];
	struct env	*env;
	void		(*turn)(void *);
	void		*arg;
	void		(*on_death)(struct sproc *, const char *, void *);
	void		*death_arg;
	char		 how[80];
	bool		 touched;
	bool		 dying;
	bool		 buried;
	bool		 limited;
	unsigned int	 sends_left;
	uint64_t	 hung_until;
};

/* One message on the way. */
struct packet {
	STAILQ_ENTRY(packet) entry;
	uint64_t	 at;
	uint32_t	 type;
	uint32_t	 id;
	int		 fd;
	bool		 eof;
	size_t		 n;
	uint8_t		 body[];
};

struct wend {
	struct wire	*wire;
	struct sproc	*proc;		/* who holds it; NULL: nobody yet */
	struct link	*link;
	bool		 held;		/* a link still points here */
	bool		 closed;
	STAILQ_HEAD(, packet) in;	/* on the way to this end */
	size_t		 octets;
	uint64_t	 last_at;
	unsigned int	 boxed;		/* events that wait for proc */
};

struct wire {
	TAILQ_ENTRY(wire) entry;
	struct world	*world;
	uint64_t	 min_us;
	uint64_t	 max_us;
	struct wend	 end[2];
	unsigned int	 pending;	/* events that point here */
};

struct world {
	uint64_t	 rng;
	uint64_t	 now;
	int64_t		 wall_offset;
	FILE		*trace;
	bool		 went_back;
	bool		 any_dying;
	bool		 any_touched;
	unsigned int	 failures;
	struct event	*heap;
	size_t		 nheap;
	size_t		 capheap;
	uint64_t	 order;
	TAILQ_HEAD(, sproc) procs;
	TAILQ_HEAD(, wire) wires;
	size_t		 peak;
	struct { void *p; size_t n; } *fds;
	unsigned int	 nfds;
};

void	wire_free(struct wire *);

#endif
