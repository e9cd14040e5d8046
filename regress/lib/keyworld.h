/*
 * keyd's real core, two workers' KEY links and their clients: what tests of
 * keyd and of rogue workers share.
 */

#ifndef REGRESS_LIB_KEYWORLD_H
#define REGRESS_LIB_KEYWORLD_H

#include "keyd/keyd.h"
#include "keyd/responder.h"
#include "regress/lib/fakeenv.h"
#include "regress/lib/noise_client.h"
#include "regress/lib/pair.h"
#include "regress/lib/vectors.h"

/* The server's static key. */
#define KEYWORLD_PRIV		VEC_SERVER_PRIV
#define KEYWORLD_PUB		VEC_SERVER_PUB
/* 32 octets with the NUL; dbdworld has the same. */
#define KEYWORLD_BOOT		"a boot secret for tests, 32 oct"
#define KEYWORLD_WORKERS	2
#define KEYWORLD_GEN		77	/* keyd's own generation */
#define KEYWORLD_MAX		4	/* pending_max */
#define KEYWORLD_MS		10000	/* pending_ms */
#define KEYWORLD_CAPVER		148

struct keyworld;

/* One worker's view of its link, and what keyd made of it. */
struct keyside {
	struct keyworld	*world;
	struct pair	*pair;		/* PAIR_A is the worker */
	uint16_t	 slot;
	uint64_t	 generation;
	enum msg_type	 first;		/* the oldest message */
	struct msg	 last;		/* the newest */
	uint8_t		 plain[NOISE_PLAIN];	/* of the newest OK */
	unsigned int	 ready, ok, no;	/* answers so far */
	unsigned int	 gone;		/* KEY_NOISE_GONE so far */
	/* NULL, or called for each message. */
	void		(*seen)(const struct msg *, void *);
	void		*seen_arg;
	bool		 worker_down;
	bool		 keyd_down;	/* keyd's end, and why */
	enum link_why	 why;
};

struct keyworld {
	struct fakeenv	*fake;
	struct noise	*noise;
	struct keyd	*keyd;
	struct keyside	 side[KEYWORLD_WORKERS];
	uint8_t		 boot[32];
};

/*
 * Workers in slots 1 and 2, of generations 100 and 101, whose links are up
 * and settled.  The env stays the caller's.  After noise_init().
 */
struct keyworld	*keyworld_new(struct fakeenv *);
/* Kills the workers first; false if keyd did not see them go. */
bool		 keyworld_free(struct keyworld *);
/* Moves what is on the links. */
void		 keyworld_deliver(struct keyworld *);
/* Everything that can happen without the clock. */
void		 keyworld_settle(struct keyworld *);

/* A new process in this slot; the old one is killed. */
void		 keyside_up(struct keyworld *, unsigned int i,
		    uint64_t generation);
/* Likewise, of one that keeps no rules; what it gets goes to fn. */
void		 keyside_up_raw(struct keyworld *, unsigned int i,
		    uint64_t generation, pair_raw fn, void *arg);
void		 keyside_accept(struct keyside *, uint32_t conn,
		    const uint8_t init[NOISE_INIT]);
void		 keyside_confirm(struct keyside *, uint32_t conn,
		    const void *record, size_t n);
void		 keyside_drop(struct keyside *, uint32_t conn);
/* The newest answer is this refusal. */
bool		 keyside_is_no(const struct keyside *, uint32_t conn,
		    enum refusal);

/* A client's initiation, with keys of its own; who tells them apart. */
void		 keyclient_start(struct keyworld *, struct noise_client *,
		    uint8_t who, uint8_t init[NOISE_INIT]);
/* The same, and keyd is asked. */
void		 keyclient_accept(struct keyside *, uint32_t conn,
		    struct noise_client *, uint8_t who);
/* The newest answer is its response and the client takes it. */
bool		 keyclient_ready(struct keyside *, uint32_t conn,
		    struct noise_client *);
/* Its next record goes to keyd. */
void		 keyclient_confirm(struct keyside *, uint32_t conn,
		    struct noise_client *, const char *text);
/*
 * The newest answer is OK with this text, the client's key, and a ticket for
 * its machine key on this side's link.
 */
bool		 keyclient_is_ok(struct keyside *, uint32_t conn,
		    struct noise_client *, const char *text);

#endif
